#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge s3 rotate, cp and bucket encryption at servers that copy and have default
# encryption: ministack, and moto (with.sh ministack,moto-s3,s3-front).
. "$(dirname "$0")/lib.sh"
if [ -z "${KB_MINISTACK_FRONT_URL:-}" ] || [ -z "${KB_MOTO_S3_URL:-}" ]; then
    echo 'KB_MINISTACK_FRONT_URL and KB_MOTO_S3_URL are not set'
    exit 77
fi
new_home
cd "$work" || exit
AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
AWS_REGION=us-east-1
AWS_ENDPOINT_URL_S3=$KB_MINISTACK_FRONT_URL AWS_CA_BUNDLE=$KB_MINISTACK_FRONT_CA
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION AWS_ENDPOINT_URL_S3 AWS_CA_BUNDLE
secret "$AWS_SECRET_ACCESS_KEY"
name=s3-copy-$$
b=s3://$name v=s3://$name-versions
openssl rand 100000 >page
head -c 12000000 /dev/urandom >long
s3() { kb s3 "$@"; }
put() { kb -q s3 put "$@"; }
key_of() { kb s3 head "$1" | sed -n 's/^vault-key *//p'; }
same() { # FILE URL, options
    file=$1
    shift
    s3 cat "$@" | cmp -s - "$file"
}
rules() {
    printf '{"reset":true,"rules":[%s]}' "$1" |
        curl -sf --cacert "$AWS_CA_BUNDLE" -d @- "$AWS_ENDPOINT_URL_S3/__front/rules" >/dev/null ||
        fail "the front takes no rules: $1"
}
# How often an action was called since the last `rules`.
calls() {
    curl -sf --cacert "$AWS_CA_BUNDLE" "$AWS_ENDPOINT_URL_S3/__front/stats" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["requests"].get(sys.argv[1], 0))' "$1"
}
expect 0 '' s3 mb "$b"
expect 0 '' s3 mb --versioning "$v"

# --- the server copies ---------------------------------------------------------------------

put -m Colour=red --tag team=blue --content-type text/x-page page "$b/page"
old=$(key_of "$b/page")
rules ''
expect 0 '"by_server":true' s3 rotate --json "$b/page"
check 'nothing was got' [ "$(calls GetObject)" = 0 ]
check 'it has another key' [ "$(key_of "$b/page")" != "$old" ]
check 'and is what it was' same page "$b/page"
check 'the old key is retired' [ "$(kb vault show "$old" | grep -c retired)" = 1 ]
for part in text/x-page colour=red 'stored and verified by us' "$(sha256sum page | cut -d' ' -f1)"; do
    expect 0 "$part" s3 head "$b/page"
done
put page "$v/page"
expect 0 '1 former version stays' s3 rotate "$v/page"
expect 0 'refused, as tried' s3 head "$v/page"
expect 0 '0 to note, 2 good' s3 verify --versions "$v"
put --encryption none page "$b/clear"
put --encryption sse-s3 page "$b/sse-s3"
expect 0 '3 objects rotated, 3 of them by the server' s3 rotate -r --encryption sse-c "$b"
expect 0 '0 to note, 3 good' s3 verify --content "$b"
expect 0 '' s3 rotate --encryption sse-s3 "$b/sse-s3"
expect 0 'sse-s3' s3 head "$b/sse-s3"
kb -q key create env --use envelope --type aes-256
kb -q key create env2 --use envelope --type aes-256
put --encryption client --key env -m own=kept page "$b/client"
rules ''
expect 0 '"by_server":true' s3 rotate --json --key env --to-key env2 "$b/client"
check 'the body stays where it is' [ "$(calls GetObject)" = 0 ]
check 'under another wrapping key' same page --key env2 "$b/client"
expect 0 'own=kept' s3 head "$b/client"
put --encryption client --key env --instruction-file page "$b/file"
rules ''
expect 0 '' s3 rotate --key env --to-key env2 "$b/file"
check 'only the instruction file is written' [ "$(calls CopyObject)" = 0 ]
check 'and opens it' same page --key env2 "$b/file"
expect 0 '' s3 cp --key env2 "$b/file" "$b/file2"
check 'a copy has one, too' same page --key env2 "$b/file2"

# --- a server that cannot, lies or fails -----------------------------------------------------

fingerprint=x-amz-server-side-encryption-customer-key-md5
algorithm=x-amz-server-side-encryption-customer-algorithm
rules '{"fault":"status","status":501,"code":"NotImplemented","action":"CopyObject"}'
expect 0 '"by_server":false' s3 rotate --json "$b/page"
check 'what it cannot copy goes through here' same page "$b/page"
rules "{\"fault\":\"headers\",\"action\":\"CopyObject\",\"drop\":[\"$fingerprint\",\"$algorithm\"]}"
expect 0 '"by_server":false' s3 rotate --json "$b/page"
rules ''
check 'so does what it does not confirm' same page "$b/page"
rules "{\"fault\":\"headers\",\"action\":[\"CopyObject\",\"PutObject\"],\"drop\":[\"$fingerprint\",\"$algorithm\"]}"
expect 7 'did not confirm' s3 rotate "$b/page"
check 'the only object there is stays' grep -q 'no other' err
rules ''
check 'and opens' same page "$b/page"
rules '{"fault":"status","status":412,"code":"PreconditionFailed","action":"CopyObject"}'
old=$(key_of "$b/page")
expect 4 'changed' s3 rotate "$b/page"
rules '{"fault":"status","status":403,"code":"AccessDenied","action":"CopyObject"}'
expect 5 '' s3 rotate "$b/page"
rules ''
check 'nothing has changed' [ "$(key_of "$b/page")" = "$old" ]
for fault in drop-before drop-after; do
    rules "{\"fault\":\"$fault\",\"action\":\"CopyObject\",\"next\":1}"
    expect 0 '' s3 rotate "$b/page"
    rules ''
    check "$fault, and tried again" same page "$b/page"
done
AWS_MAX_ATTEMPTS=1
export AWS_MAX_ATTEMPTS
rules '{"fault":"drop-after","action":"CopyObject"}'
expect 0 '"by_server":true' s3 rotate --json "$b/page"
rules ''
check 'done, and not answered: it opens' same page "$b/page"
rules '{"fault":"drop-after","action":"PutObject"}'
expect 7 '' s3 rotate --stream "$b/page"
rules ''
check 'through here, too' same page "$b/page"
expect 0 'not seen to its end' s3 verify "$b/page"
unset AWS_MAX_ATTEMPTS
expect 0 '' s3 rotate --stream --older-than 1h "$b/page"
expect 0 '0 to note, 1 good' s3 verify --content "$b/page"
put page "$b/flip"
rules '{"fault":"flip","action":"GetObject","at":50}'
expect 4 'SHA-256' s3 rotate --stream "$b/flip"
rules ''
check 'what was altered on its way is not stored' same page "$b/flip"

# --- default encryption ---------------------------------------------------------------------------

encryption() { kb s3 bucket encryption "$@"; }
defaults() {
    expect 0 '' encryption set --encryption sse-kms --kms-key testkey --bucket-key "$b"
    expect 0 '"encryption":"sse-kms","kms_key":"testkey","bucket_key":true' encryption get --json "$b"
    put --encryption none page "$b/default"
    expect 0 'encryption   sse-kms' s3 head "$b/default"
    expect 0 '' encryption set --encryption sse-s3 "$b"
    expect 0 'encryption  sse-s3' encryption get "$b"
    expect 0 'bytes, sse-s3' s3 put --encryption none page "$b/default"
    expect 0 '"encryption":"sse-s3"' s3 put --json --encryption none page "$b/default"
    expect 0 'encryption   sse-s3' s3 head "$b/default"
    expect 0 '"code":"ok"' s3 verify --json "$b/default"
    expect 0 '{"encryption":"sse-s3","kms_key":"",' encryption set --json --encryption sse-s3 "$b"
    expect 0 '' s3 mb "$b-policy"
    printf '{"Version":"2012-10-17","Statement":[]}' >policy
    expect 0 '-policy","policy":"set"}' s3 bucket policy set --json "$b-policy" policy
    expect 3 '' encryption get "s3://$name-none"
}
defaults
# As AWS has it since April 2026.
printf '{"blocked":["%s"]}' "$name" |
    curl -sf --cacert "$AWS_CA_BUNDLE" -d @- "$AWS_ENDPOINT_URL_S3/__front/rules" >/dev/null
expect 0 'blocked' encryption get "$b"
expect 5 'allow-sse-c' s3 put page "$b/blocked"
expect 5 'allow-sse-c' s3 rotate --encryption sse-c "$b/default"
expect 0 '' encryption set --encryption sse-s3 "$b"
expect 0 'blocked' encryption get "$b"
expect 0 'allowed' s3 bucket allow-sse-c "$b"
expect 0 'encryption  sse-s3' encryption get "$b"
expect 0 'is allowed' s3 bucket allow-sse-c "$b"
expect 0 '' s3 put page "$b/blocked"
# ministack takes policies and does not apply them.
expect 7 'was not denied' s3 bucket policy require-encryption --require sse-s3 "$b"
expect 3 '' s3 bucket policy get "$b"
check 'nothing of the trial is left' [ "$(s3 ls "$b" | grep -c trial)" = 0 ]

AWS_ENDPOINT_URL_S3=$KB_MOTO_S3_URL AWS_CA_BUNDLE=$KB_MOTO_S3_CA
expect 0 '' s3 mb "$b"
defaults
# moto takes the headers of SSE-C, and stores in the clear.
expect 7 '' s3 put page "$b/clear"
expect 3 '' s3 head "$b/clear"
expect 7 '' s3 rotate --encryption sse-c "$b/default"
check 'what could not be moved is still there' same page "$b/default"
finish
