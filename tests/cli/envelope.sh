#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge envelope: what it is for.
. "$(dirname "$0")/lib.sh"
new_home
cd "$work" || exit
kb -q key create env --use envelope --type aes-256
kb -q key create env2 --use envelope --type aes-128
kb -q key create rsa --use wrap --type rsa-2048
openssl rand 100000 >page
encrypt() { kb envelope encrypt --key env "$@"; }
decrypt() { kb envelope decrypt --key env "$@"; }
inspect() { kb envelope inspect "$@"; }
# has 'what' MEMBER VALUE: of the JSON in out
has() { check "$1: $2 is $3" grep -qF "\"$2\":$3" out; }

# --- one message ----------------------------------------------------------------------------

for suite in 0x0578 0478 0x0378 0346 0214 0178 0146 0114; do
    for size in 0 1 4095 4096 4097 8192 100000; do
        head -c $size page >plain
        case $suite in *0578 | *0478) policy='require-require' ;; *) policy='forbid-allow' ;; esac
        expect 0 '' encrypt --suite $suite --policy $policy -i plain -o sealed
        expect 0 '' decrypt --policy $policy -i sealed -o back
        check "$suite, $size bytes come back" cmp -s plain back
        expect 0 '' inspect --json sealed
        has "$suite" plaintext_bytes $size
    done
    has "$suite" suite "\"0x${suite#0x}\""
done
for length in 1 100 128 65536 5000000; do
    expect 0 '' encrypt --suite 0478 --frame-length $length -i page -o sealed
    expect 0 '' decrypt -i sealed -o back
    check "frames of $length" cmp -s page back
    expect 0 "$length bytes" inspect sealed
done
for workers in 1 3; do
    expect 0 '' encrypt --workers $workers --suite 0478 -i page -o sealed
    expect 0 '' decrypt --workers $workers -i sealed -o back
    check "$workers workers" cmp -s page back
done
head -c 3000000 /dev/zero | cat - page >long
expect 0 '' encrypt -i long -o sealed
expect 0 '' decrypt -i sealed -o back
check 'more than a buffer' cmp -s long back
: >empty
expect 0 '' encrypt -i empty -o sealed
expect 0 '' decrypt -i sealed -o back
check 'nothing is a message, too' [ -e back ] && [ ! -s back ]
# Names and standard streams.
encrypt --suite 0478 <page >sealed
decrypt <sealed >back
check 'from pipe to pipe' cmp -s page back
encrypt --suite 0478 - <page | decrypt -i - -o - >back
check 'and by the name -' cmp -s page back
expect 0 '' encrypt page -o sealed
expect 0 '' decrypt -o back sealed
check 'a file that is an argument, and -o' cmp -s page back
(head -c 70000 page; sleep 0.3; tail -c 30000 page) | encrypt --suite 0478 | (decrypt) >back
check 'a pipe that pauses' cmp -s page back
mkfifo slow
encrypt --suite 0478 -i page >sealed
(head -c 50000 sealed; while [ ! -e go ]; do sleep 0.1; done; tail -c +50001 sealed) >slow &
decrypt <slow >back &
reader=$!
for _ in $(seq 600); do
    [ "$(wc -c <back)" -le 40000 ] || break
    sleep 0.1
done
check 'frames come out before the message ends' [ "$(wc -c <back)" -gt 40000 ]
touch go
wait $reader
check 'and the rest' cmp -s page back

# --- modes and old files ------------------------------------------------------------------------

rm -f sealed back
encrypt -i page -o sealed
check 'a message has the usual mode' [ "$(stat -c %a sealed)" = 644 ]
decrypt -i sealed -o back
check 'a plaintext is private' [ "$(stat -c %a back)" = 600 ]
chmod 640 back
decrypt -i sealed -o back
check 'an old file keeps its mode' [ "$(stat -c %a back)" = 640 ]
expect 0 '' encrypt --json -i page -o sealed
has 'json of encrypt' input_bytes 100000
has 'json of encrypt' output_bytes "$(wc -c <sealed | tr -d ' ')"
has 'json of encrypt' recipients 1
has 'json of encrypt' suite '"0x0578"'
expect 0 '' decrypt --json -i sealed -o back
has 'json of decrypt' output_bytes 100000

# --- keyrings --------------------------------------------------------------------------------------

expect 0 '' kb envelope encrypt --key env --key env2 --key rsa -i page -o sealed
for key in env env2 rsa; do
    expect 0 '' kb envelope decrypt --key $key -i sealed -o back
    check "$key opens" cmp -s page back
done
expect 0 'name=env2' inspect sealed
check 'three recipients' [ "$(grep -c namespace=keybridge out)" = 3 ]
expect 0 '' kb envelope encrypt --keyring key=env,namespace=a%2Cb%25,name=n%C3%A4me -i page -o sealed
expect 0 'namespace=a%2Cb%25,name=n%C3%A4me' inspect sealed
expect 0 '' kb envelope decrypt --keyring name=n%C3%A4me,key=env,namespace=a%2cb%25 -i sealed -o back
expect 4 '' kb envelope decrypt --key env -i sealed -o other
expect 0 '"name":"n%C3%A4me"' inspect --json sealed
for padding in pkcs1 oaep-sha1 oaep-sha256 oaep-sha384 oaep-sha512; do
    ring=key=rsa,namespace=n,name=k,padding=$padding
    expect 0 '' kb envelope encrypt --keyring $ring -i page -o sealed
    expect 0 '' kb envelope decrypt --keyring $ring -i sealed -o back
    check "$padding" cmp -s page back
done
expect 4 '' kb envelope decrypt --keyring key=rsa,namespace=n,name=k,padding=pkcs1 -i sealed -o other
check 'nothing is published' [ ! -e other ]
kb key export-public rsa >rsa.pem
expect 0 '' kb key import partner --use wrap --type rsa-public --in rsa.pem --format pem
expect 0 '' kb envelope encrypt --keyring key=partner,namespace=n,name=k -i page -o sealed
expect 0 '' kb envelope decrypt --keyring key=rsa,namespace=n,name=k -i sealed -o back
check 'encrypted with the public half alone' cmp -s page back
expect 5 '' kb envelope decrypt --keyring key=partner,namespace=n,name=k -i sealed -o other

# --- context ---------------------------------------------------------------------------------------

printf '{"tenant":"k\303\244se","empty":""}' >context.json
expect 0 '' encrypt -c purpose=archive --context-file context.json --not-stored tenant -i page -o sealed
expect 0 '"context":{' inspect --json sealed
has context purpose '"archive"'
check 'what is not stored is not there' [ "$(grep -c tenant out)" = 0 ]
expect 4 '' decrypt -i sealed -o other
expect 4 '' decrypt -c tenant=x -i sealed -o other
expect 0 '' decrypt --context "$(printf 'tenant=k\303\244se')" -i sealed -o back
expect 0 '' decrypt --context-file context.json --require purpose=archive --require tenant --require empty= -i sealed -o back
check 'with its context' cmp -s page back
for require in nothere purpose=other purpose= tenant=x; do
    expect 4 '' decrypt --context-file context.json --require "$require" -i sealed -o other
done
expect 4 '' decrypt --context-file context.json --context purpose=other -i sealed -o other
check 'none of these published anything' [ ! -e other ]

# --- policies and signatures -------------------------------------------------------------------------

expect 2 '' encrypt --suite 0178 -i page -o other
expect 2 '' encrypt --suite 0578 --policy forbid-allow -i page -o other
expect 2 '' encrypt --suite 0078 --policy forbid-allow -i page -o other
expect 0 '' encrypt --policy forbid-allow -i page -o sealed
expect 0 '0x0378' inspect sealed
expect 5 '' decrypt -i sealed -o other
expect 0 '' decrypt --policy require-allow -i sealed -o back
expect 5 'signed' decrypt --policy require-allow --unsigned-only -i sealed -o other
check 'the option that refuses it is told' grep -q 'hint: --unsigned-only' err
encrypt -i page -o sealed
expect 5 'signature' decrypt -i sealed
check 'no byte came out' [ ! -s out ]
check 'and there is a hint' grep -q -e '-o FILE' err
expect 5 '' decrypt -i sealed -o /dev/null
expect 0 '' decrypt --allow-unverified-stream -i sealed
check 'unless it is asked for' cmp -s page out
check 'none of these published anything' [ ! -e other ]

# --- ranges --------------------------------------------------------------------------------------------

encrypt --suite 0478 --frame-length 1000 -i page -o sealed
for range in 0-0 0-999 999-1000 1000-1999 1- 0- 99999- 99999-99999 99000-200000 12345-67890; do
    first=${range%-*} last=${range#*-}
    size=$((${last:-99999} - first + 1))
    dd if=page of=want iflag=skip_bytes,count_bytes skip="$first" count=$size status=none
    expect 0 '' decrypt --range "$range" -i sealed -o part
    check "range $range" cmp -s want part
    # shellcheck disable=SC2002  # a pipe is what is tried
    cat sealed | decrypt --range "$range" >part
    check "range $range of a pipe" cmp -s want part
done
expect 3 '100000' decrypt --range 100000- -i sealed -o other
for range in 5-4 - x 1 a-b 1-2-3 -5; do
    expect 2 'range' decrypt "--range=$range" -i sealed -o other
done
encrypt -i page -o signed
expect 5 'signature' decrypt --range 0-9 -i signed -o other
expect 0 'not verified' decrypt --range 5-14 --allow-unverified-stream -i signed -o part
dd if=page of=want bs=1 skip=5 count=10 status=none
check 'a range of a signed message' cmp -s want part
check 'nothing was published' [ ! -e other ]
# Frames that are not needed are not read, those that are must be right.
change_byte sealed 60000
expect 0 '' decrypt --range 1000-2000 -i sealed -o part
expect 4 '' decrypt --range 1000-70000 -i sealed -o other

# --- many files ------------------------------------------------------------------------------------------

mkdir -p tree/sub/deep tree/.hidden
for i in $(seq 150); do echo "file $i" >"tree/sub/$i"; done
echo dot >tree/.hidden/.dot
echo deep >tree/sub/deep/x
: >tree/empty
chmod 751 tree/sub/deep/x
ln -s sub tree/link
mkfifo tree/pipe
cp -r tree/sub copy
expect 0 '153 files encrypted' encrypt -r tree
check 'a link is told' grep -q 'tree/link is a link' err
check 'a pipe is told' grep -q 'tree/pipe is no file' err
check 'hidden files are taken' [ -e tree/.hidden/.dot.encrypted ]
check 'sources are as they were' diff -r copy tree/sub -x '*.encrypted' -q
check 'permissions are kept' [ "$(stat -c %a tree/sub/deep/x.encrypted)" = 751 ]
expect 2 'is there already' encrypt -r tree
check '--yes is hinted at' grep -q -e '--yes' err
expect 0 '153 files encrypted, 153 passed over' encrypt -r --yes tree
expect 0 '153 files decrypted, 153 passed over' decrypt -r tree -o mirror
check 'a tree comes back' diff -r --no-dereference tree mirror -x '*.encrypted' -x link -x pipe
check 'permissions come back' [ "$(stat -c %a mirror/sub/deep/x)" = 751 ]
expect 0 '153 files encrypted' encrypt -r --suffix .kb mirror -o mirror/out
expect 0 '' encrypt -r --suffix .kb mirror -o mirror/out2
check 'outputs are no inputs' [ "$(find mirror/out2/out2 2>/dev/null | wc -l)" = 0 ]
expect 0 '3 files decrypted' decrypt --suffix .kb mirror/out/sub/1.kb mirror/out/sub/2.kb mirror/out/sub/deep/x.kb
check 'the suffix goes' [ "$(cat mirror/out/sub/deep/x)" = deep ]
expect 0 '' encrypt --json tree/sub/1 tree/sub/2 --yes
check 'a line of JSON a file' [ "$(grep -c '^{"input":"tree/sub/[12]"' out)" = 2 ]
# Some that fail.
cp tree/sub/1.encrypted bad.encrypted
printf XXXX | dd of=bad.encrypted bs=1 seek=300 conv=notrunc status=none
cp tree/sub/2.encrypted good.encrypted
expect 8 'bad.encrypted: ' decrypt bad.encrypted good.encrypted none.encrypted
check 'the missing one is named' grep -q none.encrypted err
check 'the good one is there' [ "$(cat good)" = 'file 2' ]
check 'the bad one is not' [ ! -e bad ]
expect 4 'bad.encrypted' decrypt bad.encrypted
check 'one file is told of once' [ "$(grep -vc hint: err)" = 1 ]
expect 3 'none.encrypted' decrypt none.encrypted
check 'and no more than that' [ "$(lines err)" = 1 ]
expect 4 'page: ' inspect page
check 'nor of inspect' [ "$(grep -vc hint: err)" = 1 ]
rm good
expect 0 '1 file decrypted' decrypt good.encrypted
expect 2 'there already' decrypt good.encrypted
check 'with a hint' grep -q -e 'hint: --yes' err
expect 2 'does not end in' decrypt good
expect 4 'no file came through' decrypt bad.encrypted none.encrypted
expect 0 '1 file encrypted' encrypt -r page -o newdir
check 'a file gets the folder of -o, too' [ -e newdir/page.encrypted ]
expect 0 '1 file decrypted' decrypt -r newdir/page.encrypted -o newdir
check 'which may be there' cmp -s page newdir/page
mkdir nothing
expect 0 '0 files' encrypt -r nothing

# --- rewrap ----------------------------------------------------------------------------------------------

rewrap() { kb envelope rewrap --key env --to-key env2 "$@"; }
encrypt -c a=b -c secret=x --not-stored secret --suite 0478 --frame-length 512 -i page -o sealed
expect 0 '' rewrap -c secret=x --not-stored secret -i sealed -o new
expect 0 '' inspect --json new
has rewrap suite '"0x0478"'
has rewrap frame_length 512
has rewrap context '{"a":"b"}'
has rewrap name '"env2"'
expect 0 '' kb envelope decrypt --key env2 -c secret=x -i new -o back
check 'a new key opens it' cmp -s page back
expect 4 '' decrypt -c secret=x -i new -o other
rewrap -c secret=x <sealed >new
expect 0 '' inspect --json new
has 'what was not stored stays so' context '{"a":"b"}'
expect 4 '' kb envelope decrypt --key env2 -i new -o other
expect 0 '' kb envelope decrypt --key env2 -c secret=x --require secret=x -i new -o back
check 'through pipes' cmp -s page back
expect 0 '' rewrap -c secret=x --not-stored a -i sealed -o new
expect 0 '"context":{}' inspect --json new
expect 2 "'x'" rewrap -c secret=x --not-stored x -i sealed -o other
# The frames are not for the sender to choose, whatever they weigh.
encrypt --suite 0478 --frame-length 1048576 -i page -o sealed
expect 0 '' kb envelope rewrap --key env --max-edks 1 --to-key env --to-key env2 -i sealed -o new
expect 5 '2 recipients' kb envelope rewrap --key env --max-edks 1 --to-key env -i new -o other
recipients=
for i in $(seq 17); do recipients="$recipients --keyring key=env,namespace=n,name=$i"; done
# shellcheck disable=SC2086
expect 0 '' kb envelope encrypt $recipients -i page -o many
expect 5 '17 recipients' kb envelope decrypt --keyring key=env,namespace=n,name=17 -i many -o other
expect 0 '' kb envelope decrypt --max-edks 17 --keyring key=env,namespace=n,name=17 -i many -o back
expect 0 '' rewrap -i sealed -o new
expect 0 '"frame_length":1048576' inspect --json new
encrypt --suite 0478 --frame-length 1048577 -i page -o sealed
expect 0 '' rewrap -i sealed -o new
expect 0 '"frame_length":4096' inspect --json new
expect 0 '' rewrap --frame-length 1048577 -i sealed -o new
expect 0 '"frame_length":1048577' inspect --json new
encrypt --policy forbid-allow -i page -o sealed
expect 5 '' rewrap -i sealed -o other
expect 0 '' rewrap --policy require-allow -i sealed -o new
expect 0 '0x0578' inspect new
expect 0 '' rewrap --policy forbid-allow -i sealed -o new
expect 0 '0x0378' inspect new
encrypt -i page -o sealed
size=$(wc -c <sealed)
change_byte sealed $((size - 20))
rewrap <sealed >new 2>err
check 'a signature that is wrong fails the pipe' [ $? = 4 ]
expect 4 '' kb envelope decrypt --key env2 --allow-unverified-stream -i new
check 'whose message has no end' [ "$(wc -c <new)" -lt "$size" ]
chmod 600 tree/sub/1.encrypted
expect 0 '153 files rewrapped, 153 passed over' rewrap -r tree
check 'in place, with its permissions' [ "$(stat -c %a tree/sub/1.encrypted)" = 600 ]
expect 0 '' kb envelope decrypt --key env2 -i tree/sub/7.encrypted -o back
check 'under the new key' [ "$(cat back)" = 'file 7' ]
cp tree/sub/7.encrypted before
expect 4 'tree/sub/7.encrypted' rewrap tree/sub/7.encrypted
check 'what cannot be opened stays' cmp -s before tree/sub/7.encrypted

# --- inspect -----------------------------------------------------------------------------------------------

encrypt -c "$(printf 'esc=\033[31m')" -i page -o sealed
expect 0 '?[31m' inspect sealed
check 'no escape reaches the terminal' [ "$(grep -c "$(printf '\033')" out)" = 0 ]
expect 0 '\u001b[31m' inspect --json sealed
expect 0 'nothing of this is authenticated' inspect <sealed
expect 0 '' sh -c "cat sealed | '$KEYBRIDGE' envelope inspect"
check 'a pipe has no size' [ "$(grep -c plaintext out)" = 0 ]
KEYBRIDGE_TOKEN_HELPER=/bin/false expect 0 '0x0578' inspect sealed
expect 8 '' inspect sealed page
if [ -n "$(python json)" ]; then
    inspect --json sealed >json
    check 'the JSON is JSON' "$(python json)" -c 'import json, sys; json.load(open("json"))'
fi
finish
