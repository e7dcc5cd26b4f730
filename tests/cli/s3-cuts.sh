#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge s3: runs that end too early, at every part and between any two calls, and
# are gone on with. s3_front.py before Ceph's gateway stops them where it matters
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
head -c 23000000 /dev/urandom >long # five parts, the last a shorter one
kb -q key create env --use envelope --type aes-256
expect 0 '' s3 mb "$b"
AWS_ENDPOINT_URL_S3=$KB_RGW_FRONT_URL AWS_CA_BUNDLE=$KB_RGW_FRONT_CA

# parts: numbers of those that were sent since the rules were set, sorted.
parts() {
    stats | python3 -c 'import json, sys
log = json.load(sys.stdin)["log"]
print(*sorted(int(e["query"]["partNumber"]) for e in log if e["action"] == "UploadPart"))'
}
same() { s3 cat "$@" | cmp -s - long; }
# Whether an upload of `long` to a key goes on behind the first n - 1 parts.
goes_on() { # key, n, more options
    at=$1 n=$2
    shift 2
    rules ''
    expect 0 '' s3 put --resume --part-size 5M "$@" long "$b/$at"
    check "$at: parts from $n are sent and no others" [ "$(parts)" = "$(seq -s ' ' "$n" 5)" ]
}

# --- a part that is refused: nothing else was in flight ---------------------------------------

for n in 1 2 3 4 5; do
    rules "{\"fault\":\"status\",\"status\":403,\"code\":\"AccessDenied\",\"action\":\"UploadPart\",\"part\":$n}"
    expect 5 '' s3 put --resume --part-size 5M --connections 1 long "$b/refused$n"
    check "part $n is the last that was sent" [ "$(parts)" = "$(seq -s ' ' 1 "$n")" ]
    check 'the upload stays' [ "$(uploads "$bucket")" = 1 ]
    goes_on "refused$n" "$n"
    check "what was cut at part $n is whole" same "$b/refused$n"
    check 'no upload is left' [ "$(uploads "$bucket")" = 0 ]
done
rules '{"fault":"status","status":403,"code":"AccessDenied","action":"UploadPart","part":3}'
expect 5 '' s3 put --part-size 5M long "$b/refused"
check 'without --resume none stays' [ "$(uploads "$bucket")" = 0 ]

# --- killed while a part, the beginning or the end waits for its answer -------------------------

killed_at() { # rule, action, key, more options
    rules "$1"
    action=$2 at=$3
    shift 3
    "$KEYBRIDGE" -q s3 put --resume --part-size 5M --connections 1 "$@" long "$b/$at" 2>err &
    pid=$!
    await_fault
    check "$at: $action is waited for" kill -KILL $pid
    wait $pid 2>/dev/null
}
for n in 1 3 5; do
    killed_at "{\"fault\":\"delay\",\"seconds\":600,\"action\":\"UploadPart\",\"part\":$n}" "part $n" "killed$n"
    goes_on "killed$n" "$n"
    check "what was killed at part $n is whole" same "$b/killed$n"
done
killed_at '{"fault":"delay","seconds":600,"action":"UploadPart","part":4}' 'part 4' client --encryption client --key env
goes_on client 4 --encryption client --key env
check 'ciphertext goes on under its own data key' same --key env "$b/client"
killed_at '{"fault":"delay","seconds":600,"action":"CreateMultipartUpload"}' 'the beginning' begun
goes_on begun 1
check 'what had not begun is whole' same "$b/begun"
killed_at '{"fault":"delay","seconds":600,"action":"CompleteMultipartUpload"}' 'the end' ended
goes_on ended 6
check 'what had all its parts is whole' same "$b/ended"
check 'no upload is left' [ "$(uploads "$bucket")" = 0 ]
rules ''
expect 0 '0 to note' s3 verify "$b"

# --- the token is gone halfway -----------------------------------------------------------------------

# Helpers that are killed are started again; none can be when this is so.
cat >helper <<EOF
#!/bin/sh
[ ! -e "$work/gone" ] || exit 1
exec "$KEYBRIDGE_TOKEN_HELPER" "\$@"
EOF
chmod +x helper
mkdir tree
for i in $(seq 60); do echo "$i" >"tree/$i"; done
# Objects after the twentieth are not taken while there is a token.
without_token() { # command…
    rules '{"fault":"status","action":"PutObject","after":20}'
    AWS_MAX_ATTEMPTS=40 KEYBRIDGE_TOKEN_HELPER=$work/helper "$KEYBRIDGE" "$@" >out 2>err &
    pid=$!
    await_fault
    touch gone
    # shellcheck disable=SC2046  # a list of numbers
    kill -KILL $(ps -o pid=,comm= --ppid $pid | sed -n 's/ *keybridge-token$//p') 2>/dev/null
    rules ''
    wait $pid
    code=$?
    rm gone
    check "no token: exit $code" [ $code = 6 ]
    manners
    check "and how it is said: $complaint" [ -z "$complaint" ]
}
# What is listed opens.
nothing_lost() { # prefix, reading options
    prefix=$1
    shift
    rm -rf back
    s3 get -r "$@" "$b/$prefix" back >out 2>err
    code=$?
    check "all of $prefix opens" [ $code = 0 -o $code = 3 ]
    for file in back/*; do
        [ ! -e "$file" ] || cmp -s "$file" "tree/${file#back/}" || fail "$file is another"
    done
}
without_token s3 put -r --connections 2 tree "$b/tree/"
nothing_lost tree
check 'some were stored' [ -d back ]
expect 0 '60 objects stored' s3 put -r tree "$b/tree/"
nothing_lost tree
check 'and now all' diff -r tree back
without_token s3 put -r --connections 2 --encryption client --key env tree "$b/client-tree/"
nothing_lost client-tree --key env
without_token s3 rotate -r --connections 2 "$b/tree/"
nothing_lost tree
check 'a rotation that was cut loses none' diff -r tree back
finish
