#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge s3 rotate, cp, verify and audit at Ceph's gateway, which cannot copy
# what is encrypted, and ignores the key of a copy of what is not.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/s3-lib.sh"
new_home
cd "$work" || exit
b=s3://$bucket v=s3://$bucket-versions
openssl rand 100000 >page
head -c 12000000 /dev/urandom >long
expect 0 '' s3 mb "$b"
expect 0 '' s3 mb --versioning "$v"
stranger() { KEYBRIDGE_HOME=$work/stranger "$@"; }
(KEYBRIDGE_HOME=$work/stranger kb init --yes 2>/dev/null)

# --- one object -----------------------------------------------------------------------------

put -m Colour=red --tag team=blue --content-type text/x-page page "$b/page"
old=$(field vault_key "$b/page")
expect 0 '"by_server":false' s3 rotate --json "$b/page"
new=$(field vault_key "$b/page")
check 'it has another key' [ -n "$new" -a "$new" != "$old" ]
s3 cat "$b/page" | cmp -s - page
check 'and is what it was' [ $? = 0 ]
expect 0 'stored and verified by us' s3 head "$b/page"
expect 0 'text/x-page' s3 head "$b/page"
expect 0 'colour=red' s3 head "$b/page"
expect 0 'tags         1' s3 head "$b/page"
expect 4 'not under this key' s3 cat --vault-key "$old" "$b/page"
expect 5 '' s3 put --vault-key "$old" page "$b/other"
expect 0 '' s3 rotate -q "$b/page"
check 'silence' [ ! -s err ]
expect 3 '' s3 rotate "$b/nothing"
for size in 0 1 5242880; do
    head -c $size long >sized
    put sized "$b/sized"
    expect 0 '' s3 rotate "$b/sized"
    s3 cat "$b/sized" | cmp -s - sized
    check "$size bytes" [ $? = 0 ]
done
put long "$b/long"
expect 0 '"by_server":false' s3 rotate --json --part-size 5M "$b/long"
s3 cat "$b/long" | cmp -s - long
check 'many parts' [ $? = 0 ]

# --- options ------------------------------------------------------------------------------------

expect 2 '--older-than' s3 rotate --older-than yesterday "$b/page"
expect 2 '--older-than' s3 rotate --older-than 2026-13-01 "$b/page"
expect 2 '--older-than' s3 rotate --older-than 5 "$b/page"
expect 2 '--to-key' s3 rotate --to-key x "$b/page"
expect 2 'named in one way' s3 rotate --vault-key x --key-per prefix "$b/page"
expect 2 'KMS' s3 rotate --kms-key x "$b/page"
expect 2 "client's side" s3 rotate --encryption client "$b/page"
expect 2 'names a bucket' s3 rotate "$b"
expect 2 '--yes' s3 rotate --versions "$b/page" </dev/null
expect 2 'http' env AWS_ENDPOINT_URL_S3=http://localhost:1 "$KEYBRIDGE" s3 rotate --encryption sse-c "$b/page"

# --- many ---------------------------------------------------------------------------------------

mkdir tree
for i in 1 2 3 4 5 6 7 8; do head -c "${i}000" long >tree/$i; done
put -r tree "$b/tree/"
expect 0 '8 objects rotated' s3 rotate -r "$b/tree"
expect 0 '8 passed over' s3 rotate -r --older-than 1h "$b/tree"
sleep 2.1
expect 0 '8 objects rotated' s3 rotate -r --older-than 1s "$b/tree/"
expect 0 '0 to note, 8 good' s3 verify --content "$b/tree/"
# One that is not ours does not keep the others back.
stranger kb -q s3 put page "$b/tree/theirs"
expect 8 'theirs' s3 rotate -r "$b/tree"
check 'the others are rotated' grep -q '8 objects rotated' err
expect 8 'not-ours' s3 verify "$b/tree/"
check 'one is bad' grep -q '1 bad, 0 to note, 8 good' err
stranger kb -q s3 rm --yes "$b/tree/theirs"

# --- other modes ----------------------------------------------------------------------------------

put --encryption none page "$b/mixed/clear"
put --encryption sse-kms --kms-key testkey-1 page "$b/mixed/kms"
put page "$b/mixed/sse-c"
expect 0 '1 object rotated, 0 of them by the server; 2 passed over' s3 rotate -r "$b/mixed"
expect 0 'unencrypted' s3 verify "$b/mixed/clear"
# The gateway says that it copied, and stored plaintext.
expect 0 '3 objects rotated' s3 rotate -r --encryption sse-c "$b/mixed"
expect 0 '0 to note, 3 good' s3 verify --content "$b/mixed/"
expect 0 '' s3 rotate --encryption sse-kms --kms-key testkey-2 "$b/mixed/kms"
expect 0 'testkey-2' s3 head "$b/mixed/kms"
expect 0 'passed over' s3 rotate --encryption sse-kms --kms-key testkey-2 "$b/mixed/kms"
s3 cat "$b/mixed/kms" | cmp -s - page
check 'from customer keys to a KMS' [ $? = 0 ]
kb -q key create env --use envelope --type aes-256
kb -q key create env2 --use envelope --type aes-256
put --encryption client --key env page "$b/client"
put --encryption client --key env --sse-c page "$b/both"
put --encryption client --key env --instruction-file page "$b/file"
expect 0 'passed over' s3 rotate "$b/client"
for name in client both file; do
    expect 0 '' s3 rotate --key env --to-key env2 "$b/$name"
    s3 cat --key env2 "$b/$name" | cmp -s - page
    check "$name is under the new key" [ $? = 0 ]
    expect 4 '' s3 cat --key env "$b/$name"
    expect 0 "$([ $name = both ] || echo passed over)" s3 rotate --key env2 --to-key env2 "$b/$name"
done
expect 0 '' s3 rotate "$b/both"
s3 cat --key env2 "$b/both" | cmp -s - page
check 'what is beneath is rotated alone' [ $? = 0 ]

# --- versions ----------------------------------------------------------------------------------------

put page "$v/a"
first=$(s3 ls --versions "$v/a" | awk '{print $3; exit}')
expect 0 '1 former version stays' s3 rotate "$v/a"
expect 0 'stays under its old key' s3 rotate -v "$v/a"
s3 cat --version-id "$first" "$v/a" | cmp -s - page
check 'a former version opens' [ $? = 0 ]
expect 0 '0 to note, 3 good' s3 verify --versions --content "$v"
expect 0 '3 noncurrent versions deleted' s3 rotate --versions --yes "$v/a"
# Behind what somebody else stored the former ones may be all that is ours.
put page "$v/covered"
before=$(s3 ls --versions "$v/covered" | wc -l)
KEYBRIDGE_HOME=$work/nobody s3 put --encryption none page "$v/covered" 2>/dev/null
s3 rotate --versions --yes "$v/covered" >/dev/null 2>&1
check 'the original is there still' [ "$(s3 ls --versions "$v/covered" | wc -l)" -gt "$before" ]
expect 0 '' s3 rm --versions --yes "$v/covered"
check 'one is left' [ "$(s3 ls --versions "$v/a" | wc -l)" = 1 ]
expect 0 '0 to note, 1 good' s3 verify --versions "$v"
expect 0 '' s3 cp --encryption sse-c "$b/page" "$v/"
s3 cat "$v/page" | cmp -s - page
check 'a copy has the name' [ $? = 0 ]
check 'and a key of its own' [ "$(field vault_key "$v/page")" != "$(field vault_key "$b/page")" ]
expect 0 '8 objects copied' s3 cp -r "$b/tree" "$v/copies"
expect 0 '0 to note, 8 good' s3 verify --content "$v/copies/"
expect 2 '' s3 cp "$b/page"
expect 3 '' s3 cp "$b/nothing" "$v/nothing"

# --- Object Lock ------------------------------------------------------------------------------------------

expect 0 '' s3 mb --lock "$b-lock"
put page "$b-lock/locked"
put page "$b-lock/free"
version=$(field version "$b-lock/locked")
until=$(date -u -d '+1 day' +%Y-%m-%dT%H:%M:%SZ)
sent() { # what, document
    printf '%s' "$2" | ask PUT "/$bucket-lock/locked?$1=&versionId=$version"
}
check 'it is locked' sent retention \
    "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>$until</RetainUntilDate></Retention>"
check 'and held' sent legal-hold '<LegalHold><Status>ON</Status></LegalHold>'
expect 0 '' s3 rotate "$b-lock/locked" "$b-lock/free"
rotated=$(field version "$b-lock/locked")
check 'its new version is another' [ -n "$version" -a -n "$rotated" -a "$rotated" != "$version" ]
ask GET "/$bucket-lock/locked?retention=&versionId=$rotated" >lock
check 'is retained as long' grep -q "<Mode>GOVERNANCE</Mode><RetainUntilDate>${until%Z}" lock
ask GET "/$bucket-lock/locked?legal-hold=&versionId=$rotated" >lock
check 'and held' grep -q '<Status>ON</Status>' lock
check 'what had neither has neither' [ "$(s3 head "$b-lock/free" | grep -c '^lock\|^legal')" = 0 ]
s3 cat "$b-lock/locked" | cmp -s - page
check 'and is what it was' [ $? = 0 ]
expect 5 '' s3 rm --version-id "$rotated" --yes "$b-lock/locked"
check 'it is not deleted' [ "$(s3 ls --versions "$b-lock/locked" | wc -l)" = 2 ]

# --- verify ---------------------------------------------------------------------------------------------

code() { # CODE URL, options
    want=$1 url=$2
    shift 2
    s3 verify --json "$@" "$url" 2>/dev/null | sed -n 's/.*"code":"\([^"]*\)".*/\1/p' >codes
    check "$want of $url" [ "$(cat codes)" = "$want" ] || cat codes
}
put page "$b/v/ok"
code ok "$b/v/ok"
stranger kb -q s3 rm --yes "$b/v/ok"
code missing "$b/v/ok"
put page "$b/v/changed"
stranger kb -q s3 put page "$b/v/changed"
code not-ours "$b/v/changed"
put --encryption sse-kms --kms-key testkey-1 page "$b/v/kms"
stranger kb -q s3 put --encryption none long "$b/v/kms"
code changed "$b/v/kms"
put --encryption none page "$b/v/known-clear"
code unencrypted "$b/v/known-clear"
put page "$b/v/removed"
expect 0 '' s3 rm "$b/v/removed"
code '' "$b/v/removed"
put page "$b/v/twice"
put page "$b/v/twice"
code ok "$b/v/twice" --content

# --- audit: Codefinger ---------------------------------------------------------------------------------------

put page "$v/prey"
stranger kb -q s3 put page "$v/prey"
expect 8 'overwritten' s3 audit "$v"
check 'the version before it is named' grep -q 'prey.*version .* before it is ours and opens' out
check 'the missing policy is told' grep -q '^no-policy' out
check 'versions are kept' [ "$(grep -c '^unversioned' out)" = 0 ]
expect 8 'unversioned' s3 audit "$b"
put --encryption none page "$v/history"
s3 ls --versions --json "$v/history" >listed
bare=$(sed -n 's/.*"version":"\([^"]*\)".*/\1/p' listed)
put page "$v/history"
stranger kb -q s3 put page "$v/history"
theirs=$(s3 ls --versions "$v/history" | awk '/latest/ {print $3}')
put --vault-key "$(kb vault create --name own)" page "$v/history"
expect 8 '' s3 audit "$v"
check 'former versions are not looked at' [ "$(grep -c history out)" = 0 ]
expect 8 '' s3 audit --versions "$v"
check 'but with --versions: one in the clear' grep -q "^unencrypted .*history (version $bare)" out
check 'and one of a stranger' grep -q "^overwritten .*history (version $theirs)" out
check 'and no other' [ "$(grep -c history out)" = 2 ]
last=$(s3 ls --versions "$v/prey" | awk '!/latest/ {print $3}')
expect 0 '' s3 cp --version-id "$last" "$v/prey" "$v/prey-back"
s3 cat "$v/prey-back" | cmp -s - page
check 'and it can be brought back' [ $? = 0 ]

# --- killed --------------------------------------------------------------------------------------------------

mkdir many
for i in $(seq 24); do head -c 3000 /dev/urandom >many/$i; done
put -r many "$b/many/"
put long "$b/many/long"
cp long many/long
started=$(date -u +%Y-%m-%dT%H:%M:%SZ)
sleep 1
for delay in 0.15 0.3 0.45 0.6 0.9; do
    "$KEYBRIDGE" s3 rotate -r "$b/many" 2>/dev/null &
    victim=$!
    sleep $delay
    kill -KILL $victim 2>/dev/null
    wait $victim 2>/dev/null
    sleep 0.5 # what the server has in hand it ends
    rm -rf back
    expect 0 '' s3 get -r "$b/many" back
    check "after $delay s every object opens" diff -r many back
done
expect 0 'rotated' s3 rotate -r --older-than "$started" "$b/many"
expect 0 '0 objects rotated' s3 rotate -r --older-than "$started" "$b/many"
expect 0 '25 good' s3 verify --content "$b/many/"
finish
