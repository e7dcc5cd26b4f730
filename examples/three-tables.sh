#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Three tables out of one CSV file, each protected in another way:
#   Table1  nothing encrypted before it is sent: Europe, Office Supplies
#   Table2  a data key from KMS for each item: North America, under 1,000 units
#   Table3  a data key for each item, wrapped in the token on your premises:
#           Vegetables, Total Revenue under 500,000
#
#   three-tables.sh [sales-records.csv]
#
# Where DynamoDB and KMS are, and who you are, comes from AWS's own variables and
# files. A server for trying out:
#   AWS_ENDPOINT_URL=http://127.0.0.1:5000 AWS_REGION=us-east-1 \
#       AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test three-tables.sh
# A token must be set up (keybridge init). KMS_KEY names a KMS key; without it
# one is made. SUFFIX is put behind the names of the tables.
set -eu
keybridge=${KEYBRIDGE:-keybridge}
csv=${1:-$(dirname "$0")/../share/sales-records.csv}
table1=dynamodb:Table1${SUFFIX:-} table2=dynamodb:Table2${SUFFIX:-} table3=dynamodb:Table3${SUFFIX:-}

title() { printf '\n== %s\n' "$*"; }
# Prints a command as one would type it, and runs it.
run() {
    printf '$ keybridge'
    for word; do
        case $word in
        *[!A-Za-z0-9_./:=+,-]*) printf " '%s'" "$word" ;;
        *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
    "$keybridge" "$@" 2>&1
}

title 'What this needs to be allowed, for your administrator'
run aws-policy --for "table create --table $table1 --partition-key x" --for "table load --table $table1 --plaintext"

title 'Table1: in the clear'
run table create --table "$table1" --partition-key 'Order ID:S' --sort-key 'Ship Date:S'
run table load "$csv" --table "$table1" --plaintext \
    --where 'Region=Europe' --where 'Item Type=Office Supplies'
run table scan --table "$table1" --raw --limit 1

title 'Table2: a data key from KMS for each item'
if [ -z "${KMS_KEY:-}" ]; then
    KMS_KEY=$("$keybridge" kms create-key --description 'keybridge, Table2' | sed -n 's/^arn  *//p')
    printf '(made KMS key %s)\n' "$KMS_KEY"
fi
run table create --table "$table2" --partition-key 'Order ID:S' --sort-key 'Ship Date:S'
run table load "$csv" --table "$table2" --provider kms --kms-key "$KMS_KEY" \
    --where 'Region=North America' --where 'Units Sold<1000'
run table scan --table "$table2" --raw --limit 1
run table scan --table "$table2" --provider kms --kms-key "$KMS_KEY" --plain-json --limit 1

title 'Table3: data keys wrapped in the token, items signed in the token'
run key list
run table create --table "$table3" --partition-key 'Order ID:S' --sort-key 'Ship Date:S'
run table load "$csv" --table "$table3" --where 'Item Type=Vegetables' --where 'Total Revenue<500000'
run table scan --table "$table3" --raw --limit 1
run table scan --table "$table3" --plain-json --limit 1
run table query --table "$table3" --partition 116769468 --plain-json

title 'The tables as DynamoDB describes them'
for table in "$table1" "$table2" "$table3"; do
    run table describe --table "$table"
done
