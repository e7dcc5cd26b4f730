#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge envelope: names that are taken, links, signals, file systems that can do less, odd file names.
. "$(dirname "$0")/lib.sh"
new_home
cd "$work" || exit
kb -q key create env --use envelope --type aes-256
kb -q key create other --use envelope --type aes-256
encrypt() { kb envelope encrypt --key env "$@"; }
decrypt() { kb envelope decrypt --key env "$@"; }
odd_files=$(dirname "$KEYBRIDGE")/.libs/odd_files.so
# odd 'SETTING=VALUE …' COMMAND…: with files that behave as tests/tools/odd_files.c says.
odd() {
    odd_settings=$1
    shift
    # shellcheck disable=SC2086  # several settings
    env $odd_settings LD_PRELOAD="$odd_files" \
        ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0:detect_leaks=0" "$@"
}
odd_encrypt() {
    odd_settings=$1
    shift
    odd "$odd_settings" "$KEYBRIDGE" envelope encrypt --key env "$@"
}
openssl rand 3000000 >big
echo page >page
echo victim >victim
encrypt -i big -o big.sealed
encrypt -i page -o sealed
[ -e "$odd_files" ] || skip 'odd files' "no $odd_files: make odd_files.la"

# --- signals ------------------------------------------------------------------------------------------

# begun PID: it writes to a file in the folder, so it has seen to its signals; then it waits for more.
begun() {
    for _ in $(seq 600); do
        if find "/proc/$1/fd" -lname "*/${work##*/}/folder/*" 2>/dev/null | grep -q .; then
            sleep 0.2
            return
        fi
        sleep 0.1
    done
    return 1
}
# ended_by SIGNAL 'what' COMMAND…: waits for a pipe, is ended by the signal, and leaves the old file alone.
ended_by() {
    signal=$1 told=$2
    shift 2
    rm -rf folder
    mkdir folder
    cp victim folder/out
    env --default-signal=INT,TERM,HUP "$@" -o folder/out <pipe 2>err &
    run=$!
    exec 9>pipe
    [ -z "$source" ] || head -c 2000000 "$source" >&9
    check "$told: it writes" begun $run
    [ "$settings" = ODD_NO_TMPFILE=1 ] && check "$told: it has begun" [ "$(find folder -type f | wc -l)" = 2 ]
    kill -"$signal" $run
    (sleep 10; kill -9 $run 2>/dev/null) &
    watch=$!
    wait $run 2>/dev/null
    got=$?
    kill $watch
    exec 9>&-
    check "$told: exit $got by $signal" [ "$(kill -l $got)" = "$signal" ]
    check "$told by $signal: the old file is whole" cmp -s victim folder/out
    check "$told by $signal: nothing else is left" [ "$(ls -A folder)" = out ]
    check "$told by $signal: said in one line" [ "$(lines err)" = 1 ]
}
mkfifo pipe
if [ -e "$odd_files" ]; then
    preload="LD_PRELOAD=$odd_files ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0:detect_leaks=0"
    for settings in ODD_NO_TMPFILE=1 ODD_NONE=1; do
        for signal in INT TERM HUP; do
            for verb in encrypt decrypt rewrap; do
                source=big.sealed words="--key env"
                [ $verb = rewrap ] && words="$words --to-key other"
                [ $verb = encrypt ] && source=big
                # shellcheck disable=SC2086
                ended_by $signal "$verb, $settings" $settings $preload "$KEYBRIDGE" envelope $verb $words
            done
        done
        source=
        # shellcheck disable=SC2086
        ended_by INT "decrypt before a header, $settings" $settings $preload "$KEYBRIDGE" envelope decrypt --key env
    done
fi
# What is ignored stays so.
(trap '' HUP; exec "$KEYBRIDGE" envelope encrypt --key env -o kept <pipe 2>err) &
run=$!
exec 9>pipe
sleep 0.3
kill -HUP $run
cat page >&9
exec 9>&-
wait $run
check 'nohup is obeyed' [ $? = 0 ]
check 'and the message whole' decrypt -i kept -o /dev/null --allow-unverified-stream

# --- names that are taken -----------------------------------------------------------------------------

mkdir names
cp page names/dup
cp victim names/one
cd names || exit
expect 8 'dup and ./dup would both become ./dup.encrypted' encrypt dup ./dup
rm dup.encrypted
expect 8 'dup and ../names/dup would both become ../names/dup.encrypted' encrypt --yes dup one ../names/dup
decrypt -i dup.encrypted -o back
check 'the first is written' cmp -s dup back
expect 8 './dup and ../names/dup would both become' encrypt --yes -r . ../names
rm -f ./*.encrypted ./*.encrypted.encrypted
ln -s nowhere dup.encrypted
expect 2 'dup.encrypted is there already' encrypt dup
expect 3 'leads nowhere' encrypt --yes dup
expect 3 'leads nowhere' encrypt -i dup -o dup.encrypted
check 'a link to nothing stays' [ "$(readlink dup.encrypted)" = nowhere ]
rm dup.encrypted
ln -s "$work/target" dup.encrypted
: >"$work/target"
expect 0 '' encrypt --yes dup
check 'a link that is named is followed' [ -L dup.encrypted ]
check 'to its file' [ -s "$work/target" ]
rm dup.encrypted
cd "$work" || exit
if [ -e "$odd_files" ]; then
    # Somebody takes the name between the beginning and the end.
    left='names/back names/dup names/dup.encrypted names/one names/one.encrypted'
    for settings in ODD_NONE=1 ODD_NO_TMPFILE=1 'ODD_NO_TMPFILE=1 ODD_NO_RENAME2=1'; do
        rm -f names/*.encrypted
        expect 0 '1 file encrypted' odd_encrypt "$settings" names/dup
        expect 0 '' decrypt -i names/dup.encrypted -o back
        check "$settings: a free name" cmp -s page back
        rm names/dup.encrypted
        expect 2 'dup.encrypted is there already' odd_encrypt "$settings ODD_RACE=names/dup.encrypted" names/dup
        check "$settings: the other's file stays" [ "$(cat names/dup.encrypted)" = raced ]
        rm names/dup.encrypted
        expect 8 'dup.encrypted is there already' odd_encrypt "$settings ODD_RACE=names/dup.encrypted" names/dup names/one
        check "$settings: in a batch, too" [ "$(cat names/dup.encrypted)" = raced ]
        check "$settings: the other file comes through" [ -e names/one.encrypted ]
        check "$settings: nothing else is left" [ "$(echo names/*)" = "$left" ]
        expect 0 '' odd_encrypt "$settings ODD_RACE=names/dup.encrypted" --yes names/dup
        check "$settings: --yes replaces it" [ "$(head -c 5 names/dup.encrypted)" != raced ]
    done
    # A pipe, when it was looked at.
    mkfifo turned
    expect 1 'turned cannot be written' odd_encrypt ODD_SWAP="$work/turned" -i big -o "$work/turned"
    check 'a file that took its place is not written' [ "$(cat turned)" = raced ]
fi

# --- what is said of files ------------------------------------------------------------------------------

mkdir said
cd said || exit
cp ../page a
cp ../page the
expect 4 'keybridge: a: the input is no message' kb envelope rewrap --key env --to-key other a the
check 'a file of any name is named' grep -q '^keybridge: the: the input is no message' ../err
expect 4 'keybridge: a: the input is no message' kb envelope inspect the a
check 'once' [ "$(grep -c 'keybridge: a: ' ../err)" = 1 ]
expect 4 'keybridge: a: the input is no message' decrypt -i a
mkfifo s
expect 2 'keybridge: s: it is no file' encrypt s
expect 2 'keybridge: a: its name does not end in .encrypted' decrypt a
expect 3 'keybridge: b: it cannot be opened' encrypt b
expect 2 'keybridge: a: the output is the input itself' encrypt -i a -o a
cp ../page 1.encrypted
cp ../big.sealed 2.encrypted
cp ../page 3.encrypted
cp ../sealed 4.encrypted
# shellcheck disable=SC3045
(ulimit -f 1000; exec "$KEYBRIDGE" envelope decrypt --key env ./*.encrypted 2>../err)
check "the disk ends the run: exit $?, expected 1" [ $? = 1 ]
check 'what failed before it is named' grep -q '^keybridge: ./1.encrypted: the input is no' ../err
check 'and what was not begun and would fail' grep -q '^keybridge: ./3.encrypted: the input is no' ../err
check 'but nothing else' [ "$(grep -c encrypted: ../err)" = 2 ]
cd "$work" || exit

# --- links out of trees -----------------------------------------------------------------------------------

mkdir -p x/in outside m
cp victim outside/victim
cp sealed x/in/a.encrypted
ln -s ../../outside/victim x/in/a
expect 5 'is a link' decrypt -r --yes x
check 'the victim is whole' cmp -s victim outside/victim
expect 2 'is there already' decrypt -r x
rm x/in/a
expect 0 '' decrypt -r x
ln -s ../../outside/victim x/in/b.encrypted
cp page x/in/b
expect 8 'is a link' encrypt -r --yes x
check 'the victim is whole still' cmp -s victim outside/victim
rm x/in/b.encrypted
mkdir -p tree/sub/deep
cp page tree/sub/page
cp page tree/sub/deep/page
cp page tree/top
ln -s ../outside m/sub
expect 8 'm/sub is there and is no folder' encrypt -r tree -o m
check 'nothing is written through a link' [ "$(ls outside)" = victim ]
check 'the rest is' [ -e m/top.encrypted ]
rm -r m
mkdir real
ln -s real m
expect 0 '3 files' encrypt -r tree -o m
check 'the folder that is named may be a link' [ -e real/sub/deep/page.encrypted ]

# --- the token first ----------------------------------------------------------------------------------------

KEYBRIDGE_TOKEN_HELPER=/bin/false expect 6 '' encrypt -r tree -o made
check 'no folder is made without a token' [ ! -e made ]
expect 3 'nokey' kb envelope encrypt --key nokey -r tree -o made
check 'nor without a key' [ ! -e made ]

# --- threads ------------------------------------------------------------------------------------------------

mkdir large
for i in $(seq 12); do ln big "large/$i"; done
"$KEYBRIDGE" -q envelope encrypt --key env --suite 0478 --workers 64 -r large -o sunk &
run=$!
most=0
while kill -0 $run 2>/dev/null; do
    now=$(sed -n 's/^Threads:[^0-9]*//p' /proc/$run/status 2>/dev/null)
    [ "${now:-0}" -gt $most ] && most=$now
done
wait $run
check 'large files are encrypted' [ $? = 0 ]
check "threads end with their file: $most" [ "$most" -lt 140 ]

# --- odd file names -------------------------------------------------------------------------------------------

mkdir odd
latin=$(printf 'odd/caf\351')
turned=$(printf 'odd/\342\200\256txt')
cp page "$latin"
cp page "$turned"
cp page "odd/na\"me
"
for file in "$latin" "$turned"; do
    expect 0 '' encrypt --json "$file"
    cat out >>json
    expect 0 '' kb envelope inspect --json "$file.encrypted"
    cat out >>json
    expect 0 '' kb envelope inspect "$file.encrypted"
    check 'text does not turn' [ "$(grep -c "$(printf '\342\200\256')" out)" = 0 ]
    expect 2 '' encrypt "$file"
    check 'nor do errors' [ "$(grep -c "$(printf '\342\200\256')" err)" = 0 ]
done
expect 0 '' encrypt --json -r --yes odd
cat out >>json
check 'what turns text is escaped' grep -qF '"input":"odd/\u202etxt"' json
check 'what is no UTF-8 is replaced' grep -qF '"input":"odd/caf\ufffd"' json
if [ -n "$(python json)" ]; then
    check 'the JSON is JSON' "$(python json)" -c 'import json
[json.loads(line) for line in open("json", encoding="utf-8", newline="\n")]'
fi
finish
