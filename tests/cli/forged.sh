#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What somebody without the keys can do to items and tables, and what comes of it.
. "$(dirname "$0")/lib.sh"
new_home
cd "$work" || exit
item() { kb item "$@" --table T --partition-key id --actions signed; }

# --- numbers that round to the signed one ---------------------------------------------------

echo '{"default":"SIGN_ONLY"}' >signed
echo '{"id":{"N":"5"},"n":{"N":"7"}}' >one
expect 0 '' item encrypt -i one -o sealed
sed 's/"id":{"N":"5"}/"id":{"N":"5.0000000000000000000000000001"}/' sealed >moved
expect 4 'was altered' item decrypt -i moved
sed 's/"n":{"N":"7"}/"n":{"N":"7.0000000000000000000000000000000001"}/' sealed >changed
# What the Python client would take, since it signs 28 digits ...
expect 0 '"id":{"N":"5"}' item decrypt -i changed
# ... and whoever has no items of that client need not.
expect 4 'was altered' item decrypt --exact-numbers -i changed
expect 0 '"n":{"N":"7"}' item decrypt --exact-numbers -i sealed
echo '{"id":{"N":"5"},"n":{"N":"12345678901234567890123456789012345678"}}' >long
expect 0 '' item encrypt -i long -o sealed.long
expect 0 '12345678901234567890123456789012345678' item decrypt --exact-numbers -i sealed.long
sed 's/345678"}/345679"}/' sealed.long >changed
expect 4 'was altered' item decrypt -i changed

# --- an item under the key of another --------------------------------------------------------

expect 0 '' kb table create --table local:people --partition-key user
printf '%s\n' '{"user":{"S":"alice"},"role":{"S":"admin"}}' '{"user":{"S":"mallory"},"role":{"S":"guest"}}' >items
expect 0 '' kb table put --table local:people -i items
python3=$(python sqlite3)
if [ -n "$python3" ]; then
    "$python3" - <<'PYTHON'
import sqlite3
def mix(state, word):
    state = (state ^ word) * 0x9e3779b97f4a7c15 & (1 << 64) - 1
    return state ^ state >> 32
def mix_bytes(state, data):
    state = mix(state, len(data))
    for at in range(0, len(data) // 8 * 8, 8):
        state = mix(state, int.from_bytes(data[at:at + 8], "little"))
    return mix(state, int.from_bytes(data[len(data) // 8 * 8:], "little"))
def mark(*parts):
    state = 0
    for part in parts:
        state = mix_bytes(state, part)
    return state & (1 << 63) - 1
db = sqlite3.connect("people")
row = {bytes(p): (bytes(s), i, m) for p, s, i, m in db.execute("select partition, sort, item, mark from items")}
sort, item, old = row[b"alice"]
data = item if isinstance(item, bytes) else item.encode()
assert mark(b"alice", sort, data) == old  # the row check, which anybody can make
db.execute("update items set item = ?, mark = ? where partition = ?", (item, mark(b"mallory", sort, data), b"mallory"))
db.commit()
PYTHON
    check 'a row was forged' [ $? = 0 ]
    expect 4 'under the key of another' kb table get --table local:people --key '{"user":{"S":"mallory"}}'
    check 'nothing of it is printed' [ ! -s out ]
    expect 0 '"admin"' kb table get --table local:people --key '{"user":{"S":"alice"}}'
else
    skip 'items changed in the file' 'python3 has no sqlite3'
fi

# --- a file under another name ----------------------------------------------------------------

expect 4 "signed as table 'people'" kb table get --name payroll --table local:people --key '{"user":{"S":"alice"}}'
expect 0 '"admin"' kb table get --name people --table local:people --key '{"user":{"S":"alice"}}'

# --- items made to be huge ----------------------------------------------------------------------

python3=$(python json)
if [ -n "$python3" ]; then
    "$python3" -c 'print("{\"id\":{\"N\":\"1\"},\"l\":{\"L\":[" + ",".join(["{\"N\":\"1E-130\"}"] * 110000) + "]}}")' >huge
    cat one huge one >three
    expect 8 'line 2' kb item encrypt --table T --partition-key id -i three
    check 'the others come through' [ "$(lines out)" = 2 ]
    sed 's/}$/,"*amzn-ddb-map-sig*":{"B":"AAAA"},"*amzn-ddb-map-desc*":{"B":"AAAAAA=="}}/' huge >hostile
    cat sealed hostile sealed >three
    expect 8 'line 2' item decrypt -i three
    check 'the others are read' [ "$(lines out)" = 2 ]
else
    skip 'huge items' 'no python3'
fi

# --- a backup, put back -----------------------------------------------------------------------------

expect 0 '' kb table create --table local:backup --name people --partition-key user
kb table get --raw --table local:people --key '{"user":{"S":"alice"}}' >raw
expect 0 '' kb table put --raw --table local:backup -i raw
expect 0 '"admin"' kb table scan --table local:backup
echo '{"role":{"S":"x"}}' >nokey
expect 4 "'user'" kb table put --raw --table local:backup -i nokey

# --- several at once -----------------------------------------------------------------------------------

busy=0
for _ in 1 2 3 4 5 6 7 8 9 10; do
    runs=
    for _ in 1 2 3 4; do
        "$KEYBRIDGE" key list >/dev/null 2>>said &
        runs="$runs $!"
    done
    for run in $runs; do wait "$run" || busy=$((busy + 1)); done
done
check "40 starts, four at once: $busy failed: $(head -n 1 said)" [ $busy = 0 ]

# A helper killed in the middle of a login leaves SoftHSM without its token.
for object in "$KEYBRIDGE_HOME"/tokens/*/token.object; do : >"$object"; done
expect 0 'default-wrap' kb key list

# --- -v ----------------------------------------------------------------------------------------------------

"$KEYBRIDGE" -v key show nobody 2>said
check '-v gives the codes' grep -q 'detail: KB_ERR_NOT_FOUND' said
finish
