#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge table: create, describe, load, put, get, query, scan, delete.
. "$(dirname "$0")/lib.sh"
new_home
cd "$work" || exit
table=local:$work/sales.table
key() { printf '{"Order ID":{"S":"%s"},"Ship Date":{"S":"%s"}}' "$1" "$2"; }
# Verbs on the table.
on() {
    verb=$1
    shift
    kb table "$verb" --table "$table" "$@"
}
# shellcheck disable=SC2120
items() { kb table describe --table "${1:-$table}" --json | sed 's/.*"items":\([0-9]*\).*/\1/'; }

# --- create, describe ----------------------------------------------------------------

expect 0 'is created' on create --name Table3 --partition-key 'Order ID:S' --sort-key 'Ship Date:S'
expect 2 'there already' on create --partition-key id
expect 0 'Table3' on describe
expect 0 '"partition_key":{"name":"Order ID","type":"S"}' on describe --json
for bad in a:X :S ''; do
    expect 2 "'$bad'" kb table create --table local:x.table --partition-key "$bad"
done
expect 2 'both' kb table create --table local:x.table --partition-key a --sort-key a:N
expect 2 '--partition-key' kb table create --table local:x.table
expect 2 '--table' kb table create --partition-key a
expect 2 '255' kb table create --table local:x.table --partition-key a --name "$(printf '%0256d' 0)"
check 'none of these made a file' [ ! -e x.table ]
for bad in "$work/sales.table" local: LOCAL:x dynamodb: ''; do
    expect 2 'local:FILE' kb table describe --table "$bad"
done
expect 3 'none' kb table describe --table local:none
expect 3 'none' kb table create --table local:none/x.table --partition-key a
: >empty
printf 'SQLite format 3' >short
head -c 5000 "$work/sales.table" >cut.table
for file in empty short "$data" .; do
    expect 4 'not a keybridge table' kb table describe --table "local:$file"
    expect 4 'not a keybridge table' kb table scan --table "local:$file"
    expect 2 'there already' kb table create --table "local:$file" --partition-key a
done
check 'an empty file stays empty' [ ! -s empty ]
expect 4 'damaged' kb table scan --table local:cut.table
# Without --name, the file's name is signed; a colon may be in an attribute's.
expect 0 '' kb table create --table local:plain.name.table --partition-key 'a:b:N'
expect 0 'plain.name' kb table describe --table local:plain.name.table
expect 0 'a:b (N)' kb table describe --table local:plain.name.table

# --- load ----------------------------------------------------------------------------

vegetables=$(awk -F, '$3 == "Vegetables" && $12 < 500000' "$data" | wc -l)
load() { on load "$data" "$@"; }
expect 0 "$vegetables rows loaded" load --where 'Item Type=Vegetables' --where 'Total Revenue<500000'
check 'so many items are there' [ "$(items)" = "$vegetables" ]
expect 0 '' load --where 'Item Type = Vegetables' --where 'Total Revenue < 500000' -q
check 'loaded again, they are replaced' [ "$(items)" = "$vegetables" ]
expect 0 '' on scan --plain-json
check 'a scan shows all' [ "$(lines out)" = "$vegetables" ]
check 'of what was asked for' [ "$(grep -c '"Item Type":"Vegetables"' out)" = "$vegetables" ]
expect 0 '' on scan --raw
check 'nothing is in the clear' [ "$(grep -c Vegetables out sales.table)" = "$(printf 'out:0\nsales.table:0')" ]
expect 0 '0 rows loaded' load --where 'Region=Atlantis'
expected=$(awk -F, 'NR > 1 && $9 >= 9000 && $9 <= 9500 && $1 != "Asia"' "$data" | wc -l)
expect 0 "$expected rows loaded" load --where 'Units Sold>=9000' --where 'Units Sold<=9500' --where 'Region!=Asia'
expect 2 'number' load --where 'Country>M'
expect 2 "'Colour'" load --where Colour=red
expect 2 'operator' load --where Region
expect 2 'number' load --where 'Total Revenue<cheap'
expect 2 "'Nope'" load --numeric Nope
expect 2 'empty name' load --numeric 'Units Sold,'
expect 2 "'nil'" load --empty nil
expect 3 'none.csv' on load none.csv
expect 3 'none' kb table load "$data" --table local:none
expect 3 "'nokey'" load --wrap-key nokey
expect 2 'missing' on load

cat >rows.csv <<'END'
id,when,n,note
1,a,5,plain
2,b,,"quoted, ""so"" it is"
3,b,1.50,"two
lines"
4,c,x,no number
5,c
6,c,1,one,too many
7,"c,2,never closed
END
printf '8,c,1,\377\n9,,1,no sort key\n' >>rows.csv
sed -n '1,5p' rows.csv >good.csv
expect 0 '' kb table create --table local:rows.table --partition-key id --sort-key when
rows() { kb table load "$@" --table local:rows.table; }
expect 0 '3 rows loaded' rows good.csv --numeric n --empty null
expect 0 '"n":{"N":"1.5"}' kb table get --table local:rows.table --key '{"id":{"S":"3"},"when":{"S":"b"}}'
expect 0 '"note":{"S":"two\nlines"}' kb table scan --table local:rows.table
expect 0 '"n":{"NULL":true}' kb table query --table local:rows.table --partition 2
expect 0 '3 rows loaded' rows good.csv --numeric n --empty omit
expect 0 '{"id":"2","when":"b","note":"quoted, \"so\" it is"}' \
    kb table query --table local:rows.table --partition 2 --plain-json
expect 0 '' rows good.csv --empty string
expect 0 '"n":{"S":""}' kb table query --table local:rows.table --partition 2
expect 8 'rejects.csv' rows rows.csv --numeric n --rejects rejects.csv
check 'bad rows are named by their line' \
    [ "$(sed -n 's/^keybridge: line \([0-9]*\): .*/\1/p' err | tr '\n' ' ')" = '6 7 8 9 ' ]
check 'a line number is said once a message' [ "$(grep -c 'line [0-9]*:.*line [0-9]*:' err)" = 0 ]
check 'the reject file has the header' [ "$(head -n 1 rejects.csv)" = id,when,n,note ]
check 'and the bad rows as they were' grep -qx '6,c,1,one,too many' rejects.csv
check 'and no good ones' [ "$(grep -c plain rejects.csv)" = 0 ]
check 'the reject file is private' [ "$(stat -c %a rejects.csv)" = 600 ]
printf '\357\273\277id,when\r\n1,"x\r\ny"\r\n' >bom.csv
expect 0 '1 rows loaded' rows bom.csv
expect 0 '"when":{"S":"x\r\ny"}' kb table query --table local:rows.table --partition 1 --sort-begins x
for header in 'id,id' 'id,' 'id,"x' ; do
    printf '%s\n1,2\n' "$header" >header.csv
    expect 4 'header.csv' rows header.csv
done
: >header.csv
expect 4 'header' rows header.csv
printf 'id,when\n' | expect 0 '0 rows loaded' rows -
expect 0 '' kb table create --table local:clear.table --partition-key id --sort-key when
expect 0 'in the clear' kb table load good.csv --table local:clear.table --plaintext
expect 0 '"note":{"S":"plain"}' kb table scan --table local:clear.table --raw
expect 4 'altered' kb table scan --table local:clear.table

# --- put, get, query, delete -------------------------------------------------------------

expect 0 '' kb table create --table local:t.table --partition-key p:S --sort-key s:N
t() {
    verb=$1
    shift
    kb table "$verb" --table local:t.table "$@"
}
for s in 10 9 -1 0.5 1e3 20; do
    printf '{"p":{"S":"x"},"s":{"N":"%s"},"v":{"S":"v%s"}}\n' "$s" "$s"
done >put
expect 0 '' t put -i put
printf '{"p":{"S":"y"},"s":{"N":"1"}}\n{"p":{"S":"y"}}\nbad\n{"p":{"S":"y"},"s":{"S":"1"}}\n' >put
expect 8 'line 2' t put -i put
check 'each bad line is named' [ "$(grep -c '^keybridge: line [234]: ' err)" = 3 ]
given '' 0 '' t put
sorted() { sed 's/.*"v":"\([^"]*\)".*/\1/' out | tr '\n' ' '; }
query() { t query --partition x --plain-json "$@"; }
# queried 'what comes' OPTIONS…
queried() {
    comes=$1
    shift
    expect 0 '' query "$@"
    check "query $*" [ "$(sorted)" = "$comes" ]
}
queried 'v-1 v0.5 v9 v10 v20 v1e3 '
queried 'v1e3 v20 ' --descending --limit 2
queried 'v0.5 v9 v10 ' --sort-between 0.5 10
queried 'v9 ' --sort-equals 9.0
queried 'v-1 v0.5 ' --sort-less 9
queried 'v-1 v0.5 v9 ' --sort-at-most 9
queried 'v20 v1e3 ' --sort-greater 10
queried 'v10 v20 v1e3 ' --sort-at-least 10
expect 0 '' t query --partition nobody
check 'no item, no line' [ ! -s out ]
expect 2 '' query --sort-begins 1
expect 2 'two values' query --sort-between 1
expect 2 'before' query --sort-between 2 1
expect 2 'one condition' query --sort-less 1 --sort-equals 1
expect 2 '' query --sort-less abc
expect 2 '--partition' t query
expect 2 'limit' query --limit 0
expect 2 'limit' query --limit x
x9='{"p":{"S":"x"},"s":{"N":"9"}}'
expect 0 '"v9"' t get --key "$x9"
expect 0 '"*amzn-ddb-map-sig*"' t get --key "$x9" --raw
expect 0 '"v":"v9"' t get --key '{"p":{"S":"x"},"s":{"N":"9.00"}}' --plain-json
expect 3 'key' t get --key '{"p":{"S":"x"},"s":{"N":"8"}}'
expect 2 "'s'" t get --key '{"p":{"S":"x"}}'
expect 2 'the key' t get --key '{'
expect 2 '--key' t get
expect 4 'altered' t get --key "$x9" --sign-key default-sign --description-attribute d
expect 5 "'default-sign'" t scan --wrap-key default-sign
expect 0 '' t delete --key "$x9"
expect 3 'key' t get --key "$x9"
expect 3 'key' t delete --key "$x9"
finish
