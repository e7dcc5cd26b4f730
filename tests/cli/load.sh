#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge table load as a loader: rate, progress, dry runs, merged rows, items too large.
. "$(dirname "$0")/lib.sh"
new_home
cd "$work" || exit
create() { expect 0 '' kb table create --table "local:$1" --partition-key id --sort-key sort; }
items() { kb table describe --table "local:$1" --json | sed 's/.*"items":\([0-9]*\).*/\1/'; }
load() { kb table load "$@"; }
awk 'BEGIN { print "id,sort,text"; for (i = 1; i <= 400; i++) printf "%d,s%d,text number %d\n", i, i, i }' >rows.csv
now() { date +%s%N; }

# --- rate ------------------------------------------------------------------------------

create rate
start=$(now)
expect 0 '400 rows loaded' load rows.csv --table local:rate --max-rate 200
took=$((($(now) - start) / 1000000))
# The first step goes at once; 380 more rows at 200 a second follow.
check "400 rows at 200 a second took $took ms" [ "$took" -ge 1850 ]
check 'all are there' [ "$(items rate)" = 400 ]
check 'no progress where there is no terminal' [ "$(lines err)" = 1 ]
create one
start=$(now)
expect 0 '3 rows loaded in the clear' load rows.csv --table local:one --max-rate 2 --limit 3 --plaintext
took=$((($(now) - start) / 1000000))
check "3 rows at 2 a second took $took ms" [ "$took" -ge 950 ]
for bad in 0 x -1 '' 1.5 9999999999; do
    expect 2 'max-rate' load rows.csv --table local:one --max-rate "$bad"
done
for bad in 0 x ''; do
    expect 2 'limit' load rows.csv --table local:one --limit "$bad"
done
create limit
expect 0 '7 rows loaded' load rows.csv --table local:limit --limit 7
check 'so many are there' [ "$(items limit)" = 7 ]
expect 0 'rows a second' load rows.csv --table local:limit -v
check 'requests, retries and merged rows are told' grep -q 'requests, .* retries, .* throttled, 0 merged' err
script=$(command -v script)
if [ -n "$script" ]; then
    "$script" -qec "stty cols 70; '$KEYBRIDGE' table load rows.csv --table local:rate --max-rate 150" /dev/null >shown 2>&1 </dev/null
    check 'a bar on a terminal' grep -q '#  *\] *[1-9][0-9]*% [0-9]* rows loaded, [0-9]* a second' shown
    check 'no wider than the terminal' [ "$(tr '\r' '\n' <shown | awk 'length > 76' | wc -l)" = 0 ]
    # 0.3 s by its rate; on a slow machine one of three takes no second.
    for _ in 1 2 3; do
        "$script" -qec "'$KEYBRIDGE' table load rows.csv --table local:rate --max-rate 40 --limit 16" /dev/null >shown 2>&1 </dev/null
        [ "$(grep -c '[[#]' shown)" != 0 ] || break
    done
    check 'none for what takes less than a second' [ "$(grep -c '[[#]' shown)" = 0 ]
else
    skip 'the progress bar' 'no script(1)'
fi

# --- one key, many rows -------------------------------------------------------------------

create same
awk 'BEGIN { print "id,sort,n"; for (i = 1; i <= 10; i++) print "1,a," i; print "2,a,x" }' >same.csv
expect 0 '9 rows had the key' load same.csv --table local:same
check 'the last of them stays' [ "$(kb table query --table local:same --partition 1 --plain-json)" = \
    '{"id":"1","sort":"a","n":"10"}' ]
expect 0 '9 merged' load same.csv --table local:same -v --plaintext

# --- items too large ----------------------------------------------------------------------

create large
{ printf 'id,sort,text\n1,a,fine\n2,b,'; head -c 410000 /dev/zero | tr '\0' x; printf '\n3,c,fine\n'; } >large.csv
for how in '' --plaintext --dry-run '--dry-run --plaintext'; do
    # shellcheck disable=SC2086
    expect 8 'too large' load large.csv --table local:large --rejects rejects.csv $how
    check "the row is named ($how)" grep -q '^keybridge: line 3: ' err
    check "and kept ($how)" [ "$(wc -c <rejects.csv)" = 410018 ]
done
check 'the others are there' [ "$(items large)" = 2 ]
# Encryption adds some 600 bytes: one that only just fits in the clear does not.
{ printf 'id,sort,text\n1,a,fine\n2,b,'; head -c 409500 /dev/zero | tr '\0' x; printf '\n'; } >just.csv
expect 0 '2 rows would be loaded in the clear' load just.csv --table local:large --dry-run --plaintext
expect 8 '409600' load just.csv --table local:large --dry-run

# --- dry runs --------------------------------------------------------------------------------

create dry
expect 0 '400 rows would be loaded' load rows.csv --table local:dry --dry-run
check 'nothing is' [ "$(items dry)" = 0 ]
printf 'id,sort,text\n1,a,x\n2,,no sort key\n3,c\n' >bad.csv
expect 8 '1 rows would be loaded' load bad.csv --table local:dry --dry-run --rejects rejects.csv
check 'bad rows are named' [ "$(grep -c '^keybridge: line [34]: ' err)" = 2 ]
check 'and kept' [ "$(lines rejects.csv)" = 3 ]
expect 3 'none' load rows.csv --table local:none --dry-run
expect 3 "'nokey'" load rows.csv --table local:dry --dry-run --wrap-key nokey
KEYBRIDGE_HOME=$work/empty expect 0 'there is no token' load rows.csv --table local:dry --dry-run
check 'the rows are checked all the same' grep -q '400 rows pass (not encrypted' err
KEYBRIDGE_HOME=$work/empty expect 6 'init' load rows.csv --table local:dry
check 'nothing was made' [ "$(items dry)" = 0 ]

# --- what ends a run ----------------------------------------------------------------------------

expect 3 'none.csv' load none.csv --table local:dry
# A file that cannot be for this table is refused at once, not row by row.
printf 'a,b\n1,2\n3,4\n' >other.csv
expect 2 "no column 'id', which is the table's partition key" load other.csv --table local:dry
check 'one sentence' [ "$(lines err)" = 1 ]
expect 2 "partition key 'id' is of type S" load rows.csv --table local:dry --numeric id
echo id,sort,text >empty.csv
expect 0 '' load empty.csv --table local:dry

# Who asks for encryption must not get none.
for option in '--provider kms' '--wrap-key x' '--sign-alg HmacSHA256' '--actions x' '--description a=b'; do
    # shellcheck disable=SC2086  # two words
    expect 2 'is for encryption, and here there is none' load rows.csv --table local:dry --plaintext $option
done
expect 2 'is for encryption' kb table put --table local:dry --raw --wrap-key x
expect 2 'is for encryption' kb table scan --table local:dry --raw --provider static

finish
