#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Helpers that die, tokens that vanish, outputs that are full, and what others may see of a run.
. "$(dirname "$0")/lib.sh"
new_home
cd "$work" || exit
awk 'BEGIN { for (i = 1; i <= 20000; i++) printf "{\"id\":{\"S\":\"%d\"},\"a\":{\"S\":\"text %d\"}}\n", i, i }' >many
head -n 1 many >one
encrypt() { kb item encrypt --table T --partition-key id "$@"; }
decrypt() { kb item decrypt --table T --partition-key id "$@"; }
helpers() { ps -o pid=,comm= --ppid "$1" | sed -n "s/ *keybridge-token\$//p"; }
await_helpers() {
    for _ in $(seq 200); do
        [ -z "$(helpers "$1")" ] || return 0
        sleep 0.02
    done
}

# --- killed helpers ------------------------------------------------------------------------

for pause in 0.05 0.1 0.15 0.2; do
    rm -f sealed
    "$KEYBRIDGE" item encrypt --table T --partition-key id --workers 2 -i many -o sealed 2>err &
    run=$!
    sleep "$pause"
    # shellcheck disable=SC2046  # a list of numbers
    kill -9 $(helpers $run) 2>/dev/null || echo "no helper after $pause s"
    wait $run
    status=$?
    : >out
    manners
    check "manners of a run whose helper was killed: $complaint" [ -z "$complaint" ]
    if [ $status = 0 ]; then
        expect 0 '' decrypt -i sealed -o back
        check "a run whose helper was killed after $pause s is whole" cmp -s many back
    else
        check "a run whose helper was killed after $pause s: exit $status" [ $status = 6 ]
        check 'and publishes nothing' [ ! -e sealed ]
    fi
done
expect 6 'none' env KEYBRIDGE_TOKEN_HELPER="$work/none" "$KEYBRIDGE" key list
expect 6 'sales-records.csv' env KEYBRIDGE_TOKEN_HELPER="$data" "$KEYBRIDGE" key list
for program in true false cat yes; do
    expect 6 '' env KEYBRIDGE_TOKEN_HELPER="$(command -v $program)" timeout 4 "$KEYBRIDGE" key list
done
expect 6 '' env KEYBRIDGE_TOKEN_HELPER="$(command -v false)" "$KEYBRIDGE" item encrypt --table T \
    --partition-key id --workers 8 -i many -o none.out
check 'nothing is published' [ ! -e none.out ]

# --- a token that goes away -------------------------------------------------------------------

mkfifo pipe
"$KEYBRIDGE" item encrypt --table T --partition-key id <pipe >sealed 2>err &
run=$!
exec 9>pipe
cat one >&9
for _ in $(seq 300); do
    [ "$(lines sealed)" = 1 ] && break
    sleep 0.1
done
mv "$KEYBRIDGE_HOME/tokens" "$work/away"
# shellcheck disable=SC2046
kill -9 $(helpers $run)
head -n 3 many >&9
exec 9>&-
wait $run
check "a token that vanished: exit $?, expected 6" [ $? = 6 ]
: >out
manners
check "manners: $complaint" [ -z "$complaint" ]
check 'what was not done is told' grep -q 'lines from 2 on' err
expect 6 '' kb key list
mv "$work/away" "$KEYBRIDGE_HOME/tokens"
expect 0 '"id":{"S":"1"}' decrypt -i sealed
check 'what was printed is valid' cmp -s out one

# --- outputs -------------------------------------------------------------------------------------

if [ -c /dev/full ]; then
    expect 1 '/dev/full' encrypt -i one -o /dev/full
    for words in 'key list' 'key list --json' 'key show default-wrap' 'config show' 'config show --json' 'token list' \
        'token show' 'token probe' 'item inspect -i sealed' 'item inspect --json -i sealed' --help --version \
        'item encrypt --table T --partition-key id -i one' 'item decrypt --table T --partition-key id -i sealed'; do
        # shellcheck disable=SC2086
        "$KEYBRIDGE" $words >/dev/full 2>err
        check "$words >/dev/full: exit $?, expected 1" [ $? = 1 ]
        check "$words >/dev/full: one sentence" [ "$(lines err)" = 1 ]
    done
else
    skip 'full outputs' 'no /dev/full'
fi
expect 0 '' kb table create --table local:t.table --partition-key id
# Closed descriptors must not be taken for files.
(echo bad; cat one) >two
timeout 4 "$KEYBRIDGE" item encrypt --table T --partition-key id -i two -o closed.out >&- 2>&-
check 'no message goes into an output' [ "$(grep -c keybridge: closed.out)" = 0 ]
timeout 4 "$KEYBRIDGE" item encrypt --table T --partition-key id <&- >out 2>err
check 'a closed input is an end or an error' [ $? -le 1 ]
timeout 4 "$KEYBRIDGE" item encrypt --table T --partition-key id -i one >&- 2>err
check 'a closed output is an error' [ $? = 1 ]

# --- what others see --------------------------------------------------------------------------------

"$KEYBRIDGE" item encrypt --table T --partition-key id --workers 2 -i many -o sealed &
run=$!
await_helpers $run
for process in $run $(helpers $run); do
    cat "/proc/$process/cmdline" "/proc/$process/environ" 2>/dev/null | tr '\0' '\n' >>seen
    [ "$process" = "$run" ] || echo "$process" >>found
done
check 'helpers were looked at' [ -s found ]
check 'no PIN in arguments or environment' [ -z "$(grep -F -f secrets seen)" ]
if [ -e /proc/self/coredump_filter ]; then
    # The owner of these files is root for a process that cannot be dumped.
    if [ "$(id -u)" != 0 ]; then
        check 'the process is not dumpable' [ "$(stat -c %u "/proc/$run/environ")" = 0 ]
    else
        check 'the process has no core' grep -q 'Max core file size *0 *0' "/proc/$run/limits"
    fi
fi
wait $run
cp sealed sealed.whole
mkdir core
cd core || exit
# shellcheck disable=SC3045  # dash and bash have it
(ulimit -c unlimited; exec "$KEYBRIDGE" item encrypt --table T --partition-key id -i ../many -o x) &
run=$!
await_helpers $run
# shellcheck disable=SC2046
kill -ABRT $run $(helpers $run) 2>/dev/null
wait $run 2>/dev/null
sleep 0.2
check 'an aborted run leaves no core' [ -z "$(find . -name 'core*')" ]
cd ..
# An interrupted one leaves nothing, least of all what it decrypted.
mkdir broken
for signal in INT TERM HUP; do
    # A shell's background command ignores INT; env makes it heard again.
    env --default-signal=INT,HUP "$KEYBRIDGE" item decrypt --table T --partition-key id -i sealed.whole -o broken/out &
    run=$!
    sleep 0.15
    kill -$signal $run
    wait $run 2>/dev/null
    check "$signal leaves nothing" [ -z "$(find broken -type f ! -name out)" ]
    rm -f broken/*
done
finish
