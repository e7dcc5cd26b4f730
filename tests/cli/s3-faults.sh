#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge s3 and a server that lies or fails: s3_front.py before Ceph's gateway
# (with.sh rgw,s3-front).
. "$(dirname "$0")/lib.sh"
if [ -z "${KB_RGW_FRONT_URL:-}" ]; then
    echo 'KB_RGW_FRONT_URL is not set'
    exit 77
fi
. "$(dirname "$0")/s3-lib.sh"
new_home
cd "$work" || exit
b=s3://$bucket
openssl rand 100000 >page
head -c 12000000 /dev/urandom >long
expect 0 '' s3 mb "$b"
expect 0 '' s3 mb --versioning "$b-versions"
kb -q key create env --use envelope --type aes-256
direct=$KB_RGW_URL directly=$KB_RGW_CA
AWS_ENDPOINT_URL_S3=$KB_RGW_FRONT_URL AWS_CA_BUNDLE=$KB_RGW_FRONT_CA
echo_header=x-amz-server-side-encryption-customer-key-md5
algorithm=x-amz-server-side-encryption-customer-algorithm
key_header=x-amz-server-side-encryption-customer-key

# A lie about SSE-C: nothing is left on the server, or in the bucket of versions.
lie() { # what, rule, status, words
    rules "$2"
    for place in "$b" "$b-versions"; do
        expect "$3" "$4" s3 put page "$place/lie"
        rules ''
        check "$1: nothing stays" [ -z "$(AWS_ENDPOINT_URL_S3=$direct AWS_CA_BUNDLE=$directly s3 ls --versions "$place/lie")" ]
        rules "$2"
    done
    rules ''
}
lie 'no echo' "{\"fault\":\"headers\",\"action\":\"PutObject\",\"drop\":[\"$echo_header\",\"$algorithm\"]}" \
    7 'did not confirm'
lie 'another echo' "{\"fault\":\"headers\",\"action\":\"PutObject\",\"set\":{\"$echo_header\":\"AAAAAAAAAAAAAAAAAAAAAA==\"}}" \
    7 'did not confirm'
lie 'a server that ignores the key' "{\"fault\":\"forget\",\"action\":[\"PutObject\",\"HeadObject\"],\"drop\":[\"$key_header\",\"$echo_header\",\"$algorithm\"]}" \
    7 'in the clear'
rules "{\"fault\":\"headers\",\"action\":\"HeadObject\",\"set\":{\"etag\":\"\\\"0123456789abcdef0123456789abcdef\\\"\"}}"
expect 7 'another ETag' s3 put page "$b-versions/etag"
rules ''
expect 3 '' s3 head "$b-versions/etag"
rules "{\"fault\":\"headers\",\"action\":\"HeadObject\",\"set\":{\"x-amz-version-id\":\"other\"}}"
expect 7 'another version' s3 put page "$b-versions/version"
rules ''
expect 3 '' s3 head "$b-versions/version"
# Every part, and the beginning of an upload.
rules "{\"fault\":\"headers\",\"action\":\"UploadPart\",\"part\":2,\"drop\":[\"$echo_header\",\"$algorithm\"]}"
expect 7 '' s3 put --part-size 5M long "$b/long"
rules ''
expect 3 '' s3 head "$b/long"

# --- a bucket that forbids SSE-C ------------------------------------------------------------

printf '{"blocked":["%s"]}' "$bucket" |
    curl -sf --cacert "$KB_RGW_FRONT_CA" -d @- "$KB_RGW_FRONT_URL/__front/rules" >/dev/null
expect 5 'allow-sse-c' s3 put page "$b/blocked"
expect 5 'allow-sse-c' s3 put --part-size 5M long "$b/blocked"
rules ''

# --- credentials and clocks -----------------------------------------------------------------

# HEAD has no word for it, and a strange key is not the reason.
put page "$b/dated"
rules '{"fault":"status","status":400,"code":"ExpiredToken","message":"x"}'
for verb in cat head; do
    expect 5 'have expired' s3 $verb "$b/dated"
done
rules '{"fault":"status","action":["HeadObject","GetObject"],"status":400,"code":"ExpiredToken","message":"x"}'
for verb in verify audit; do
    s3 $verb --json "$b/dated" >found 2>err
    check "$verb finds no stranger" [ "$(grep -c not-ours found)" = 0 ]
    check "$verb says why" grep -q 'have expired' found err
done
rules '{"fault":"status","status":403,"code":"InvalidAccessKeyId","message":"x"}'
expect 5 'InvalidAccessKeyId' s3 head "$b/dated"
rules '{"fault":"status","status":403,"code":"RequestTimeTooSkewed","message":"x"}'
expect 5 'clock' s3 put page "$b/dated"
rules ''

# --- bodies ------------------------------------------------------------------------------------

put page "$b/page"
put --part-size 5M long "$b/long"
rules '{"fault":"flip","action":"GetObject","at":500}'
expect 4 'not what was stored' s3 get "$b/page" bad
check 'an altered body is no file' [ ! -e bad ]
rules '{"fault":"short","action":"GetObject","at":500}'
expect 7 '' s3 get "$b/page" bad
check 'nor a short one' [ ! -e bad ]
rules '{"fault":"cut","action":"GetObject","at":70000,"next":2}'
expect 0 '' s3 get --part-size 5M "$b/long" good
check 'one that was cut is gone on with' cmp -s long good
rules '{"fault":"status","every":3}'
rm -f good
expect 0 '' s3 get --part-size 5M "$b/long" good
check 'a server that is busy' cmp -s long good
rules '{"fault":"drop-after","action":["PutObject","UploadPart"],"next":1}'
expect 0 '' s3 put --part-size 5M long "$b/again"
rules ''
check 'an answer that was lost' sh -c "'$KEYBRIDGE' s3 cat $b/again | cmp -s - long"
put --encryption client --key env page "$b/c"
# --- what may be another's, or could not be tried ---------------------------------------------

away() { AWS_ENDPOINT_URL_S3=$direct AWS_CA_BUNDLE=$directly "$@"; }
head -c 3000 /dev/urandom >other
# Its look at what it stored has no answer until the other has written.
rules '{"fault":"status","action":"HeadObject"}'
(AWS_MAX_ATTEMPTS=40 "$KEYBRIDGE" s3 put page "$b/both" >first 2>&1; echo $? >code) &
writer=$!
await_fault
away put other "$b/both"
rules ''
wait $writer
check 'the first of two writers says so' grep -q "may be another's" first
check 'and fails' [ "$(cat code)" = 7 ]
away s3 cat "$b/both" >back
check "another writer's object stays" cmp -s other back
for place in "$b" "$b-versions"; do
    rules '{"fault":"status","action":"HeadObject","status":403,"code":"AccessDenied"}'
    expect 5 'could not be verified' s3 put page "$place/writeonly"
    rules ''
    s3 cat "$place/writeonly" >back
    check 'what could not be looked at stays' cmp -s page back
done
rules '{"fault":"drop-after","action":"PutObject","next":1}'
expect 2 '' s3 put --if-none-match page "$b/once"
rules ''
s3 cat "$b/once" >back
check 'the row of an answer that was lost stays' cmp -s page back

# --- a source that has no more for now --------------------------------------------------------

mkfifo held
exec 9<>held
rules '{"fault":"status","action":"UploadPart","part":1,"status":403,"code":"AccessDenied"}'
while_held() { # command…
    cat long >&9 &
    writer=$!
    expect 5 's3:PutObject' timeout 60 "$KEYBRIDGE" "$@" <held
    kill $writer 2>/dev/null
    wait $writer 2>/dev/null
    check 'the upload was ended' [ "$(uploads "$bucket")" = 0 ]
}
while_held s3 put --part-size 5M - "$b/held"
while_held s3 put --part-size 5M --encryption client --key env - "$b/held"
while_held s3 put --part-size 5M --encryption client-envelope --key env - "$b/held"
while_held envelope encrypt --key env -o "$b/held"
exec 9>&-
rules ''

# --- uploads that are gone on with ------------------------------------------------------------

rules '{"fault":"status","action":"CompleteMultipartUpload","status":403,"code":"AccessDenied"}'
expect 5 '' s3 put --resume --part-size 5M long "$b/end"
rules ''
expect 0 '' s3 put --resume --part-size 5M long "$b/end"
s3 cat "$b/end" >back
check 'only the end was missing' cmp -s long back
kb -q vault create --name first
kb -q vault create --name second
rules '{"fault":"status","action":"UploadPart","part":2,"status":403,"code":"AccessDenied"}'
expect 5 '' s3 put --resume --vault-key first --part-size 5M long "$b/keys"
rules ''
expect 0 '' s3 put --resume --vault-key second --part-size 5M long "$b/keys"
expect 0 'second' s3 head "$b/keys"
# An upload that the server says it forgot begins anew, under another content key.
rules '{"fault":"status","action":"UploadPart","part":2,"status":403,"code":"AccessDenied"}'
expect 5 '' s3 put --resume --encryption client --key env --part-size 5M long "$b/forgot"
rules '{"fault":"status","action":"ListParts","status":404,"code":"NoSuchUpload","next":1}'
expect 0 '' s3 put --resume --encryption client --key env --part-size 5M long "$b/forgot"
rules ''
s3 cat --key env "$b/forgot" >back
check 'a forgotten upload' cmp -s long back

# --- instruction files --------------------------------------------------------------------------

away put other "$b/mine.instruction"
expect 2 'may be another object' s3 put --encryption client --key env --instruction-file page "$b/mine"
away put --encryption none other "$b/mine.instruction"
expect 2 'is no instruction file' s3 put --encryption client --key env --instruction-file page "$b/mine"
away s3 cat "$b/mine.instruction" >back
check "an object of the user's stays" cmp -s other back
put --encryption client --key env --instruction-file page "$b/from"
put --encryption client --key env --instruction-file other "$b/to"
expect 2 'instruction file already' s3 cp --key env "$b/from" "$b/to"
s3 cat --key env "$b/to" >back
check "and what a copy would cover" cmp -s other back
rules '{"fault":"status","action":"PutObject","after":1,"status":403,"code":"AccessDenied"}'
expect 5 '' s3 put --encryption client --key env --instruction-file page "$b/none"
rules ''
expect 3 '' s3 head "$b/none.instruction"

rules '{"fault":"headers","action":"GetObject","set":{"content-range":"bytes 0-9/100000"}}'
expect 7 '' s3 get "$b/page" bad
rules '{"fault":"headers","action":"HeadObject","set":{"x-amz-meta-x-amz-key-v2":"AAAA","x-amz-meta-x-amz-3":"AAAA","x-amz-meta-x-amz-iv":"AAAA"}}'
expect 4 '' s3 get --key env "$b/c" bad
check 'nothing was published' [ ! -e bad ]
rules ''

# --- an overwrite that is not what it should be ---------------------------------------------------

printf short >short
put --encryption none page "$b-versions/over"
put --encryption none page "$b/over"
rules "{\"fault\":\"forget\",\"action\":[\"PutObject\",\"HeadObject\"],\"drop\":[\"$key_header\",\"$echo_header\",\"$algorithm\"]}"
expect 7 'in the clear' s3 put short "$b-versions/over"
expect 7 'in the clear' s3 put short "$b/over"
rules ''
expect 0 '' s3 get "$b-versions/over" over
check 'the version before it is the current one again' cmp -s page over
expect 3 '' s3 head "$b/over"
finish
