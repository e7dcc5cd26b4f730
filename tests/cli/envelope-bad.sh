#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge envelope: messages that are damaged or hostile, outputs that fail, runs that are cut off.
. "$(dirname "$0")/lib.sh"
new_home
cd "$work" || exit
kb -q key create env --use envelope --type aes-256
kb -q key create other --use envelope --type aes-256
kb -q key create rsa --use wrap --type rsa-2048
openssl rand 10000 >page
encrypt() { kb envelope encrypt --key env "$@"; }
decrypt() { kb envelope decrypt --key env "$@"; }
encrypt -c a=b -i page -o signed
encrypt -c a=b --suite 0478 --frame-length 1000 -i page -o sealed
echo old >old
# refused EXIT 'part' ARGUMENTS…: the file that was there is whole, and nothing else is left.
refused() {
    rm -rf folder
    mkdir folder
    cp old folder/out
    want=$1 part=$2
    shift 2
    expect "$want" "$part" "$@" -o folder/out
    check "the old file is whole: $*" cmp -s old folder/out
    check "nothing else is left: $*" [ "$(ls -A folder)" = out ]
}

# --- no messages --------------------------------------------------------------------------------

base64 -w0 sealed >text
base64 -w0 signed >text2
echo 'Dear Ann,' >letter
: >empty
head -c 5000 /dev/zero >zeros
refused 4 'base64' decrypt -i text
refused 4 'base64' decrypt -i text2
for file in letter empty zeros page; do
    refused 4 '' decrypt -i $file
    expect 4 "$file: " kb envelope inspect $file
    refused 4 '' kb envelope rewrap --key env --to-key other -i $file
done
refused 3 'nothere' decrypt -i nothere
refused 2 'it is a folder' decrypt -i "$work"
expect 2 'it is a folder' kb envelope inspect "$work"
expect 2 'it is a folder' kb envelope inspect -i "$work"
expect 4 'hint: decode it first' kb envelope inspect text
expect 4 'hint: it looks like text' kb envelope inspect letter
expect 4 'hint: it looks like text' kb envelope inspect letter zeros
expect 8 '1 of 2 files failed' kb envelope inspect sealed letter
refused 4 '' kb envelope decrypt --key other -i sealed
refused 4 '' kb envelope decrypt --key rsa -i sealed
refused 4 '' kb envelope decrypt --keyring key=env,namespace=keybridge,name=other -i sealed
refused 4 '' kb envelope decrypt --keyring key=env,namespace=other,name=env -i sealed
refused 4 '' kb envelope decrypt --keyring key=other,namespace=keybridge,name=env -i sealed
refused 4 '' decrypt -c a=c -i sealed
refused 4 '' decrypt -c more=x -i sealed

# --- cut off, and changed ---------------------------------------------------------------------------

for message in signed sealed; do
    size=$(wc -c <$message)
    for keep in 1 2 10 50 100 200 300 400 1000 5000 $((size - 200)) $((size - 100)) $((size - 1)); do
        [ "$keep" -lt "$size" ] || continue
        head -c "$keep" $message >shorter
        refused 4 '' decrypt -i shorter
        decrypt --allow-unverified-stream <shorter >out 2>err
        check "$message cut at $keep fails as a stream" [ $? = 4 ]
        check "and what came out is the beginning" cmp -s -n "$(wc -c <out)" out page
    done
    (cat $message; echo) >longer
    refused 4 'behind' decrypt -i longer
    for at in $(seq 0 11 120) $(seq 150 60 500) $((size - 130)) $((size - 60)) $((size - 1)); do
        [ "$at" -lt "$size" ] || continue
        cp $message flipped
        change_byte flipped "$at"
        decrypt -i flipped -o back 2>err
        status=$?
        check "$message changed at $at: exit $status" [ $status = 4 ]
        check "$message changed at $at gives nothing" [ ! -e back ]
        rm -f back
    done
done
# A stream gives what was good before the damage, and no byte more.
cp sealed flipped
change_byte flipped 7000
decrypt <flipped >out 2>err
check 'a damaged stream fails' [ $? = 4 ]
check 'behind the six whole frames before it' [ "$(wc -c <out)" = 6000 ]
check 'that are right' cmp -s -n "$(wc -c <out)" out page

# --- long frames to a stream -----------------------------------------------------------------------------

head -c 3000000 /dev/zero >zeros
encrypt --suite 0478 --frame-length 2000000 -i zeros -o long
"$KEYBRIDGE" envelope decrypt --key env <long | cmp -s - zeros
check 'a frame of 2 MB is held back, and comes out' [ $? = 0 ]
change_byte long 1500000
expect 4 '' decrypt -i long
check 'but not when it is forged' [ ! -s out ]
for more in 0 1; do
    length=$((67108864 + more))
    head -c $length /dev/zero >zeros
    encrypt --suite 0478 --frame-length $length -i zeros -o long
    if [ $more = 0 ]; then
        "$KEYBRIDGE" envelope decrypt --key env <long | cmp -s - zeros
        check '64 MiB are held back' [ $? = 0 ]
    else
        expect 5 'kept back' decrypt -i long
        check 'more is not' [ ! -s out ]
        check 'and what to do is said' grep -q 'hint: decrypt to a file' err
    fi
    decrypt -i long -o back
    check "a frame of $length bytes goes to a file" cmp -s zeros back
    rm -f back long
done

# --- hostile headers -----------------------------------------------------------------------------------

# A version 2 header: suite 0478, id, context, recipients, frame length.
if [ -n "$(python struct)" ]; then
    "$(python struct)" - <<'PYTHON'
import struct
def header(context=b"", edks=[(b"keybridge", b"env", b"x")], count=None, frame=4096):
    body = bytearray(b"\x02\x04\x78" + bytes(32) + struct.pack(">H", len(context)) + context)
    body += struct.pack(">H", len(edks) if count is None else count)
    for edk in edks:
        for part in edk:
            body += struct.pack(">H", len(part)) + part
    return bytes(body) + b"\x02" + struct.pack(">I", frame) + bytes(32) + bytes(16)
def pairs(*each):
    out = struct.pack(">H", len(each))
    for name, value in each:
        out += struct.pack(">H", len(name)) + name + struct.pack(">H", len(value)) + value
    return out
def put(name, data):
    open("hostile-" + name, "wb").write(data)
edk = (b"keybridge", b"env", b"x")
put("many", header(edks=[edk] * 65535))
put("claimed", header(count=65535))
put("seventeen", header(edks=[edk] * 17))
put("none", header(edks=[]))
put("frame", header(frame=0xffffffff) + bytes(100))
put("noframe", header(frame=0))
put("twice", header(context=pairs((b"a", b"1"), (b"a", b"2"))))
put("unsorted", header(context=pairs((b"b", b"1"), (b"a", b"2"))))
put("reserved", header(context=pairs((b"aws-crypto-public-key", b"x"))))
put("utf8", header(context=pairs((b"\xff", b"x"))))
put("long", header(context=struct.pack(">H", 1) + b"\xff\xff"))
put("edk", header()[:40] + b"\xff\xff")
put("zero", header(context=pairs((b"na\0me", b"va\0lue"))))
large = (b"keybridge", b"env" + b"x" * 59997, b"y" * 60000)
put("large", header(edks=[large] * 550))
put("larger", header(edks=[large] * 600))
PYTHON
    for name in many claimed seventeen; do
        refused 5 'recipients' decrypt -i hostile-$name
        refused 5 'recipients' kb envelope rewrap --key env --to-key other -i hostile-$name
    done
    while IFS=: read -r name sentence inspected; do
        refused 4 "hostile-$name: $sentence" decrypt -i "hostile-$name"
        # What is wrong with the header itself needs no key.
        [ "$inspected" = 0 ] || expect 4 "hostile-$name: $sentence" kb envelope inspect "hostile-$name"
    done <<'HEADERS'
none:the message has no recipients:4
noframe:the message has frames, of length zero:4
twice:'a' is twice in the encryption context:4
reserved:the message is not signed, but has a public key:4
utf8:the message's encryption context is malformed:4
long:the message's encryption context is malformed:4
edk:the message ends within its header:4
frame:no key here opens this message:0
unsorted:no key here opens this message:0
HEADERS
    refused 4 '' decrypt --max-edks 17 -i hostile-seventeen
    expect 0 '' kb envelope inspect hostile-many
    check 'all recipients are told' [ "$(grep -c namespace=keybridge out)" = 65535 ]
    expect 5 'recipients' kb envelope inspect --max-edks 16 hostile-many
    expect 0 '4294967295' kb envelope inspect hostile-frame
    # 550 recipients of 120,000 bytes are a header that is read, 600 are more than that.
    expect 0 '"header_bytes":' kb envelope inspect --json hostile-large
    check 'a large header is told of' grep -q '"name":"env' out
    refused 4 'no key here opens this message' decrypt --max-edks 600 -i hostile-large
    expect 5 'more than 67108864 bytes' kb envelope inspect hostile-larger
    refused 5 'more than 67108864 bytes' decrypt --max-edks 700 -i hostile-larger
    expect 0 'na?me                        va?lue' kb envelope inspect hostile-zero
    expect 0 '"na\u0000me":"va\u0000lue"' kb envelope inspect --json hostile-zero
    # AddressSanitizer itself takes more than any limit.
    # shellcheck disable=SC3045  # dash and bash have it
    ([ -n "${ASAN_OPTIONS:-}" ] || ulimit -v 200000; decrypt -i hostile-frame -o back 2>err)
    check 'a frame of 4 GiB takes no memory' [ $? = 4 ]
else
    skip 'hostile headers' 'no Python'
fi

# --- options -----------------------------------------------------------------------------------------------

expect 2 '--key' kb envelope encrypt -i page -o out2
expect 2 '--to-key' kb envelope rewrap --key env -i sealed -o out2
for spec in '' key=env key=env,namespace=n name=n,namespace=n key=env,namespace=n,name=k,x=y key=env,,name=k \
    key=env,namespace=n,name=k,name=k key=env,namespace=%,name=k key=env,namespace=%4,name=k \
    key=env,namespace=%zz,name=k key=env,namespace=%00,name=k key=env,namespace=n,name=k,padding=oaep; do
    expect 2 '' kb envelope encrypt --keyring "$spec" -i page -o out2
done
expect 2 'padding' kb envelope encrypt --keyring key=rsa,namespace=n,name=k,padding=OAEP -i page -o out2
expect 2 'aws-kms' kb envelope encrypt --keyring key=env,namespace=aws-kms,name=k -i page -o out2
expect 2 '' kb envelope encrypt --keyring key=env,namespace=n,name=k,padding=pkcs1 -i page -o out2
expect 2 '' kb envelope encrypt --keyring key=env,namespace=,name=k -i page -o out2
expect 2 '' kb envelope encrypt --keyring key=env,namespace=n,name=%ff -i page -o out2
expect 3 'nokey' kb envelope encrypt --key nokey -i page -o out2
expect 5 '' kb envelope encrypt --key default-wrap -i page -o out2
for suite in 0 9999 x 0x '' 0x05789; do
    expect 2 'suite' encrypt "--suite=$suite" -i page -o out2
done
for length in 0 4294967296 -1 x ''; do
    expect 2 'frame-length' encrypt "--frame-length=$length" -i page -o out2
done
for edks in 0 65536 x; do
    expect 2 'max-edks' decrypt --max-edks $edks -i sealed -o out2
    expect 2 'max-edks' kb envelope inspect --max-edks $edks sealed
done
expect 2 'policy' encrypt --policy none -i page -o out2
expect 2 'workers' encrypt --workers 0 -i page -o out2
expect 2 'name=value' encrypt -c a -i page -o out2
expect 2 'aws-crypto-' encrypt -c aws-crypto-x=y -i page -o out2
expect 2 '' encrypt -c a=b -c a=c -i page -o out2
expect 2 '' encrypt -c "$(printf 'a=\377')" -i page -o out2
expect 2 '' encrypt -c "a=$(head -c 65536 /dev/zero | tr '\0' x)" -i page -o out2
expect 2 "'x'" encrypt --not-stored x -i page -o out2
for context in '[]' '{"a":1}' '{"a":"b"' '{"a":"b","a":"c"}' '{"a":"\u0000"}' '{"a":"b"} x' ''; do
    printf '%s' "$context" >context.json
    expect 2 '' encrypt --context-file context.json -i page -o out2
done
expect 3 'nofile' encrypt --context-file nofile -i page -o out2
(printf '{"a":"b"}'; head -c 262135 /dev/zero | tr '\0' ' ') >context.json
expect 0 '' encrypt --context-file context.json -i page -o most
echo >>context.json
expect 2 'more than 262144 bytes' encrypt --context-file context.json -i page -o out2
for verb in encrypt decrypt inspect; do
    key=--key=env
    [ $verb = inspect ] && key=
    expect 2 'name of a file is empty' kb envelope $verb $key -i ''
    expect 2 'name of a file is empty' kb envelope $verb $key page ''
done
expect 2 'name of a file is empty' encrypt -i page -o ''
expect 2 'page is there and is no folder' encrypt -r "$work/tree" -o page
expect 2 'cannot hold a tree' encrypt -r "$work" -o -
expect 2 'name files in one way' encrypt -i page letter
expect 2 '-o' encrypt page letter -o out2
expect 2 '-r' encrypt -r
expect 2 '-r' encrypt -r "$work" "$HOME" -o out2
expect 2 'suffix' encrypt --suffix '' page
expect 2 'suffix' encrypt --suffix a/b page
expect 2 'alone' encrypt - page
expect 2 'range' decrypt --range 0-1 sealed letter
expect 2 'folder' encrypt "$work"
expect 2 'JSON' encrypt --json -i page
expect 2 'is no file' encrypt /dev/null
check 'none of these made a file' [ ! -e out2 ]

# --- inputs and outputs --------------------------------------------------------------------------------------

cp page same
ln same hard
ln -s same soft
for out in same ./same hard soft; do
    expect 2 'is the input' encrypt -i same -o $out
    expect 2 'is the input' encrypt -o $out <same
done
# shellcheck disable=SC2094  # that is the mistake
"$KEYBRIDGE" envelope encrypt --key env <same >>same 2>err
check 'not even by redirection' [ $? = 2 ]
ln -s same same.encrypted
expect 2 'is the input' encrypt --yes same
check 'the input is whole' cmp -s page same
expect 3 'folder2' encrypt -i page -o folder2/out
mkdir closed
chmod 500 closed
[ "$(id -u)" = 0 ] || expect 1 'closed' encrypt -i page -o closed/out
if [ -c /dev/full ]; then
    expect 1 '/dev/full' encrypt -i page -o /dev/full
    "$KEYBRIDGE" envelope encrypt --key env -i page >/dev/full 2>err
    check 'a full standard output' [ $? = 1 ]
    "$KEYBRIDGE" envelope decrypt --key env -i sealed >/dev/full 2>err
    check 'a full standard output of decrypt' [ $? = 1 ]
fi
head -c 3000000 /dev/zero >big
encrypt -i big -o big.sealed
rm -rf folder
mkdir folder
cp old folder/out
for words in 'envelope encrypt --key env -i big' 'envelope decrypt --key env -i big.sealed' \
    'envelope rewrap --key env --to-key other -i big.sealed'; do
    # shellcheck disable=SC2086,SC3045
    (ulimit -f 1000; exec "$KEYBRIDGE" $words -o folder/out 2>err)
    check "$words on a full disk: exit $?, expected 1" [ $? = 1 ]
    check "$words: the old file is whole" cmp -s old folder/out
    check "$words: nothing else is left" [ "$(ls -A folder)" = out ]
done
# The file that is too large ends the run; what came before it is there.
mkdir tree
cp letter tree/1
cp big tree/2
cp letter tree/3
# shellcheck disable=SC3045
(ulimit -f 1000; exec "$KEYBRIDGE" envelope encrypt --key env -r tree 2>err)
check "a full disk in a tree: exit $?, expected 1" [ $? = 1 ]
check 'the first file is there' [ -e tree/1.encrypted ]
check 'the second is not' [ ! -e tree/2.encrypted ]
if [ -n "$(python pty)" ]; then
    cat >terminal.py <<'PYTHON'
import os, pty, sys
status = pty.spawn(sys.argv[1:], lambda fd: os.read(fd, 1024))
sys.exit(os.waitstatus_to_exitcode(status))
PYTHON
    "$(python pty)" terminal.py "$KEYBRIDGE" envelope encrypt --key env -i page >out </dev/null
    check 'a message does not go to a terminal' [ $? = 2 ]
    check 'which is told' grep -q 'not to a terminal' out
    "$(python pty)" terminal.py "$KEYBRIDGE" envelope encrypt --key env -i page -o /dev/tty >out </dev/null
    check 'by no name' grep -q 'not to a terminal' out
    "$(python pty)" terminal.py "$KEYBRIDGE" envelope decrypt --key env -i signed >out </dev/null
    check 'and no signed plaintext' grep -q 'the message is signed' out
else
    skip 'a terminal' 'no Python'
fi

# --- runs that are cut off ---------------------------------------------------------------------------------------

cp old folder/out
mkfifo pipe
for signal in INT TERM KILL; do
    for verb in encrypt decrypt rewrap; do
        words="--key env"
        [ $verb = rewrap ] && words="$words --to-key other"
        source=big.sealed
        [ $verb = encrypt ] && source=big
        # shellcheck disable=SC2086
        env --default-signal=INT,TERM,HUP "$KEYBRIDGE" envelope $verb $words -o folder/out <pipe 2>err &
        run=$!
        exec 9>pipe
        head -c 2000000 $source >&9
        sleep 0.1
        kill -$signal $run
        wait $run 2>/dev/null
        check "$verb ended by $signal does not say that it is done" [ $? -gt 128 ]
        exec 9>&-
        check "$verb ended by $signal: the old file is whole" cmp -s old folder/out
        check "$verb ended by $signal: nothing else is left" [ "$(ls -A folder)" = out ]
    done
done
finish
