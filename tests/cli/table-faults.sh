#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Tables when things go wrong: forged items, two writers, kill -9, a full disk.
. "$(dirname "$0")/lib.sh"
new_home
cd "$work" || exit
awk 'BEGIN { print "id,sort,text"; for (i = 1; i <= 6000; i++) printf "%d,s%d,text number %d\n", i, i, i }' >rows.csv
create() { expect 0 '' kb table create --table "local:$1" --partition-key id --sort-key sort; }
items() { kb table describe --table "local:$1" --json | sed 's/.*"items":\([0-9]*\).*/\1/'; }
# Opens, counts and decrypts what is there.
whole() {
    expect 0 '' kb table scan --table "local:$1"
    check "$1 has what it says" [ "$(lines out)" = "$(items "$1")" ]
}

# --- a forged item ----------------------------------------------------------------------

create forged.table
head -n 301 rows.csv >some.csv
expect 0 '300 rows loaded' kb table load some.csv --table local:forged.table
# A writer without the keys: two items in the clear take the place of others.
printf 'id,sort,text\n7,s7,forged\n150,s150,forged\n' >forged.csv
expect 0 '' kb table load forged.csv --table local:forged.table --plaintext
expect 8 '2 of 300 items failed' kb table scan --table local:forged.table
check 'the others are printed' [ "$(lines out)" = 298 ]
check 'each is named' [ "$(grep -c 'was altered' err)" = 2 ]
check 'nothing forged is printed' [ "$(grep -c forged out)" = 0 ]
expect 4 'was altered' kb table get --table local:forged.table --key '{"id":{"S":"7"},"sort":{"S":"s7"}}'
check 'nothing of it is printed' [ ! -s out ]
expect 4 'was altered' kb table query --table local:forged.table --partition 150
expect 0 'number 8' kb table query --table local:forged.table --partition 8
expect 0 '"forged"' kb table query --table local:forged.table --partition 7 --raw
expect 0 '2 rows loaded' kb table load forged.csv --table local:forged.table
expect 0 '' kb table scan --table local:forged.table
check 'it is whole again' [ "$(lines out)" = 300 ]
# Someone who writes into the file.
python3=$(python sqlite3)
if [ -n "$python3" ]; then
    "$python3" -c 'import sqlite3
db = sqlite3.connect("forged.table")
db.execute("update items set item = replace(item, ?, ?) where rowid in (3, 200)", ("\"text\":{\"B\":\"", "\"text\":{\"B\":\"AAAA"))
db.commit()'
    expect 8 '2 of 300 items failed' kb table scan --table local:forged.table
    check 'the rest is printed' [ "$(lines out)" = 298 ]
else
    skip 'items changed in the file' 'python3 has no sqlite3'
fi

# --- two writers, and a reader ------------------------------------------------------------

create two.table
head -n 3001 rows.csv >first.csv
(head -n 1 rows.csv; tail -n 4000 rows.csv) >second.csv
kb table load first.csv --table local:two.table 2>said &
first=$!
kb table load second.csv --table local:two.table 2>>said &
second=$!
kb table scan --table local:two.table >/dev/null 2>>said
check 'a reader beside two writers' [ $? = 0 ]
wait $first
check 'the first of two loads' [ $? = 0 ]
wait $second
check 'the second of two loads' [ $? = 0 ]
check 'both are whole' [ "$(items two.table)" = 6000 ]
whole two.table

# --- killed -------------------------------------------------------------------------------

for pause in 0.03 0.06 0.09 0.12 0.15 0.2 0.25 0.3 0.35 0.4; do
    create "killed$pause"
    "$KEYBRIDGE" table load rows.csv --table "local:killed$pause" 2>/dev/null &
    loader=$!
    sleep "$pause"
    kill -9 $loader 2>/dev/null
    wait $loader 2>/dev/null
    whole "killed$pause"
done
expect 0 '6000 rows loaded' kb table load rows.csv --table local:killed0.2
check 'a load after a kill completes it' [ "$(items killed0.2)" = 6000 ]

# --- no room --------------------------------------------------------------------------------

# Blocks of a file system that is too small, or of `ulimit -f`.
room=$work/room
mkdir "$room"
if mount -t tmpfs -o size=1m none "$room" 2>/dev/null; then
    at_end 'umount "$room"'
    create "$room/full"
    echo precious >"$room/kept"
    expect 1 'full' kb table load rows.csv --table "local:$room/full"
    check 'what was loaded is told' grep -q 'stays' err
    whole "$room/full"
    check 'and is some' [ "$(items "$room/full")" -gt 0 ]
    awk 'NR > 1' rows.csv | awk -F, '{ printf "{\"id\":{\"S\":\"%s\"},\"text\":{\"S\":\"%s\"}}\n", $1, $3 }' >many
    expect 1 'No space' kb item encrypt --table T --partition-key id -i many -o "$room/kept"
    check 'an output survives a full disk' grep -qx precious "$room/kept"
    check 'and no temporary file stays' [ "$(find "$room" -name 'kept.*' | wc -l)" = 0 ]
else
    skip 'a full file system' 'tmpfs can only be mounted by root'
fi
create limited
limited() { (ulimit -f 600 && kb table load rows.csv --table local:limited); }
expect 1 'limited' limited
whole limited
check 'some is in a file of limited size' [ "$(items limited)" -gt 0 ]
chmod 444 limited
if [ "$(id -u)" != 0 ]; then
    expect 1 'limited' kb table load some.csv --table local:limited
    expect 0 '' kb table scan --table local:limited
fi
finish
