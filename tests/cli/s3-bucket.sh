#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge s3 bucket and with-key, at Ceph's gateway.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/s3-lib.sh"
new_home
cd "$work" || exit
b=s3://$bucket
echo 'a memo' >memo
expect 0 '' s3 mb "$b"
for option in -m --storage-class --resume --if-none-match --instruction-file --connections; do
    expect 0 "[$option" s3 put --help
done
expect 0 '[--older-than' s3 rotate --help
policy() { kb s3 bucket policy "$@"; }

# --- policies -------------------------------------------------------------------------------

expect 3 'has no policy' policy get "$b"
expect 4 'JSON' policy set "$b" memo
expect 3 '' policy set "$b" nothing
expect 2 'is no bucket' policy get "$b/x"
expect 2 '--require' policy require-encryption --require none "$b"
expect 2 "no verb 'colour'" s3 bucket colour "$b"
expect 2 "no verb 'policy fly'" s3 bucket policy fly "$b"
expect 2 'a verb is missing' s3 bucket
expect 2 "behind 's3 bucket policy'" s3 bucket policy
expect 2 "behind 's3 bucket encryption'" s3 bucket encryption "$b"
expect 0 '"lock":true' s3 mb --json --lock "$b-l"
cat >own <<END
{"Version":"2012-10-17","Statement":{"Sid":"Own","Effect":"Deny","Principal":"*",
 "Action":"s3:DeleteObject","Resource":"arn:aws:s3:::$bucket/kept/*"}}
END
expect 0 '' policy set "$b" own
# This gateway applies the policy and does not encrypt so: what it lets in is in the clear.
expect 7 'did not say that it is encrypted so' policy require-encryption --require sse-s3 "$b"
expect 2 '--kms-key' policy require-encryption --require sse-s3 --kms-key k "$b"
for kms in '' '--kms-key testkey-1'; do
    # Without the key's name its half of the trial fails for another reason.
    tried='could not be tried'
    [ -z "$kms" ] || tried='and with it not, as tried'
    # shellcheck disable=SC2086
    expect 0 "$tried" policy require-encryption --require sse-kms $kms "$b"
    expect 0 "\"StringNotEquals\":{\"s3:x-amz-server-side-encryption\":\"aws:kms\"}" policy get "$b"
    check 'our own statement stays' grep -q '"Sid":"Own"' out
    check 'ours are there once' [ "$(grep -o KeybridgeDeny out | wc -l)" = 2 ]
    expect 5 '' s3 put --encryption none memo "$b/denied"
    expect 5 '' s3 put memo "$b/denied"
    expect 3 '' s3 head "$b/denied"
    check 'nothing of the trial is left' [ -z "$(s3 ls "$b")" ]
done
expect 5 '' s3 put --encryption sse-s3 memo "$b/denied"
expect 0 '' s3 put --encryption sse-kms --kms-key testkey-1 memo "$b/allowed"
expect 8 'unversioned' s3 audit "$b"
check 'the policy is found' [ "$(grep -c policy out)" = 0 ]
# This gateway does not know the condition's key and would deny all.
policy get "$b" >before
expect 7 'denied, too' policy require-encryption "$b"
check 'what to expect is told' grep -q 'put back' err
policy get "$b" >after
check 'the former policy is back' cmp -s before after
expect 0 '"deleted":true' s3 rm --json "$b/allowed"
expect 0 '' s3 mb "$b-2"
expect 7 'denied, too' policy require-encryption --require sse-c "$b-2"
expect 3 '' policy get "$b-2"
expect 6 '' s3 bucket encryption get "$b"
expect 6 '' s3 bucket allow-sse-c "$b"
expect 2 'sse-s3 or sse-kms' s3 bucket encryption set --encryption sse-c "$b"
expect 2 '--kms-key' s3 bucket encryption set --encryption sse-s3 --kms-key k "$b"

# --- with-key ----------------------------------------------------------------------------------

b=s3://$bucket-2
put memo "$b/memo"
with() { kb s3 with-key "$@"; }
expect 0 '' with "$b/memo" -- cp {} raw
expect 0 '"refused_without_key":true' s3 head --json "$b/memo"
check 'members have no hyphens' [ "$(grep -c '"[a-z_]*-[a-z_-]*":' out)" = 0 ]
check 'the key has 32 bytes' [ "$(wc -c <raw)" = 32 ]
check 'and is the one' [ "$(openssl dgst -md5 -binary raw | base64)" = "$(field fingerprint "$b/memo")" ]
expect 0 '' with --form hex "$b/memo" -- sh -c "cat <&\$KEYBRIDGE_KEY_FD >hex; cat x{} >more 2>&1; cat '{}' >again"
check 'as hexadecimal digits' [ "$(cat hex)" = "$(od -An -v -tx1 raw | tr -d ' \n')" ]
check 'by number and by name' cmp -s hex again
check 'in a word' grep -q 'x/dev/fd/' more
expect 0 '' with --form base64 "$b/memo" -- cp {} base64
check 'in base64' [ "$(cat base64)" = "$(base64 -w0 raw)" ]
secret "$(cat hex)"
secret "$(cat base64)"
expect 0 '' with "$b/memo" -- sh -c 'echo x 2>/dev/null >{}; exit 0'
expect 0 '' with "$b/memo" -- sh -c "env >environment; tr '\\0' '\\n' </proc/\$PPID/cmdline >line"
check 'the key is in no variable' [ "$(grep -c "$(cat base64)" environment)" = 0 ]
check 'nor is it an argument' [ "$(grep -c "$(cat base64)" line)" = 0 ]
# A key that was made for it and never used is not its key; nor is one that is disabled in the way.
"$KEYBRIDGE" s3 with-key --new "$b/memo" -- sh -c 'exit 9'
check 'a key for a program that fails' [ $? = 9 ]
expect 0 '' with "$b/memo" -- cp {} again
check 'the key that opens it' cmp -s raw again
unused=$(kb vault objects --json "$b/memo" | sed -n '/"state":"pending"/s/.*"vault_key":"\([0-9a-f]*\)".*/\1/p')
expect 0 '' kb vault disable "$unused"
expect 0 '' s3 cat "$b/memo"
check 'another key of its rows is disabled' cmp -s memo out
expect 0 '' with "$b/memo" -- true
expect 0 '' kb vault enable "$unused"
# What outlives the command finds nothing.
expect 0 '' with --form hex "$b/memo" -- sh -c '(sleep 1; cat {} >late) >/dev/null 2>&1 &'
sleep 1.5
check 'the key is overwritten' [ "$(tr -d '\0' <late | wc -c)" = 0 ]
for code in 1 9 77; do
    "$KEYBRIDGE" s3 with-key "$b/memo" -- sh -c "exit $code"
    check "the exit status $code" [ $? = $code ]
done
"$KEYBRIDGE" s3 with-key "$b/memo" -- sh -c 'kill -TERM $$'
check 'that of a signal' [ $? = 143 ]
expect 127 'cannot be run' with "$b/memo" -- nonesuch
expect 126 'cannot be run' with "$b/memo" -- ./memo
expect 2 '' with "$b/memo"
expect 2 '--form' with --form octal "$b/memo" -- true
expect 3 'knows no key' with "$b/nothing" -- true
expect 3 '' with "$b/prefix/" -- true
expect 3 'no vault' env KEYBRIDGE_HOME="$work/empty" "$KEYBRIDGE" s3 with-key "$b/memo" -- true
"$KEYBRIDGE" s3 with-key "$b/memo" -- sh -c 'trap "exit 5" TERM; touch up; while :; do sleep 0.1; done' &
child=$!
tries=0
while [ ! -e up ] && [ $tries -lt 600 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -TERM $child
wait $child
check 'a signal is handed on' [ $? = 5 ]

# The example of keybridge-s3(1).
if command -v aws >/dev/null && aws --version >/dev/null 2>&1; then
    expect 0 'AES256' with "$b/memo" -- sh -c 'aws s3api get-object --endpoint-url "$AWS_ENDPOINT_URL_S3" --bucket "$1" \
        --key memo --sse-customer-algorithm AES256 --sse-customer-key fileb://"$0" copy.txt' {} "${b#s3://}"
    check 'the AWS CLI reads it' cmp -s memo copy.txt
else
    skip 'aws-cli' 'not installed'
fi

# A new key, for what another program stores.
expect 3 '' with --new "$b/new" -- true
python3=$(python botocore)
if [ -n "$python3" ]; then
    cat >store.py <<'END'
import os, sys, botocore.session, botocore.config
client = botocore.session.get_session().create_client(
    "s3", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"], verify=os.environ["AWS_CA_BUNDLE"], region_name="us-east-1",
    config=botocore.config.Config(s3={"addressing_style": "path"}))
bucket, key = sys.argv[1][5:].split("/", 1)
sse = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": open(sys.argv[2], "rb").read()} if len(sys.argv) > 2 else {}
client.put_object(Bucket=bucket, Key=key, Body=b"by another program", **sse)
END
    export AWS_REQUEST_CHECKSUM_CALCULATION=when_required
    expect 0 '' with --new "$b/new" -- "$python3" store.py "$b/new" {}
    expect 0 'by another program' s3 cat "$b/new"
    expect 0 'stored and verified' s3 head "$b/new"
    expect 7 'not stored under its key' with --new "$b/new2" -- "$python3" store.py "$b/new2"
else
    skip 'botocore' 'not installed'
fi
finish
