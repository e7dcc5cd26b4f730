#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The command against servers: DynamoDB's protocol at $KB_DYNALITE_URL, and
# DynamoDB's and KMS's at $KB_MOTO_URL.
. "$(dirname "$0")/lib.sh"
if [ -z "${KB_DYNALITE_URL:-}${KB_MOTO_URL:-}" ]; then
    echo 'neither KB_DYNALITE_URL nor KB_MOTO_URL is set'
    exit 77
fi
new_home
cd "$work" || exit
AWS_ACCESS_KEY_ID=AKIDEXAMPLE AWS_SECRET_ACCESS_KEY=secretexample AWS_REGION=us-east-1
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION
secret secretexample
vegetables=$(awk -F, '$3 == "Vegetables" && $12 < 500000' "$data" | wc -l)

# tables URL: what every server of DynamoDB's protocol must do.
tables() {
    AWS_ENDPOINT_URL=$1
    export AWS_ENDPOINT_URL
    name=T$$
    t=dynamodb:$name
    on() {
        verb=$1
        shift
        kb table "$verb" --table $t "$@"
    }
    expect 3 '' on describe
    expect 0 'is created' on create --partition-key 'Order ID' --sort-key 'Ship Date' \
        --index 'by-region=Region,Country'
    expect 2 'exists already' on create --partition-key id
    expect 0 "\"signed_name\":\"$name\"" on describe --json
    check 'its index is told' grep -q '"name":"by-region"' out
    expect 0 '(S)' on describe
    # What is readable is for us to say, not for the service.
    expect 2 "'Region' is a key of index 'by-region'" on load "$data"
    check 'what to do is told' grep -q -e "--index-key 'Region'" err
    expect 2 "'Country'" on load "$data" --index-key Region --dry-run
    echo '{"attributes":{"Region":"SIGN_ONLY"}}' >actions
    expect 2 "'Country'" on put -i /dev/null --actions actions
    echo '{"attributes":{"Region":"SIGN_ONLY","Country":"DO_NOTHING"}}' >actions
    expect 0 '' on put -i /dev/null --actions actions
    expect 0 '' on scan
    check 'nothing was put' [ ! -s out ]
    expect 4 "has partition key 'Order ID', not 'Region'" on scan --partition-key Region
    expect 4 "has sort key 'Ship Date', not none" on load "$data" --sort-key '' --plaintext
    expect 0 '' on scan --partition-key 'Order ID' --sort-key 'Ship Date'
    clear='--index-key Region --index-key Country'
    # shellcheck disable=SC2086
    expect 0 "$vegetables rows would be loaded" on load "$data" $clear --dry-run \
        --where 'Item Type=Vegetables' --where 'Total Revenue<500000'
    expect 0 '' on scan
    check 'a dry run sends nothing' [ ! -s out ]
    # shellcheck disable=SC2086
    expect 0 "$vegetables rows loaded" on load "$data" $clear -v \
        --where 'Item Type=Vegetables' --where 'Total Revenue<500000'
    expect 0 '' on scan --plain-json
    check 'a scan shows all' [ "$(lines out)" = "$vegetables" ]
    region=$(sed -n '1s/.*"Region":"\([^"]*\)".*/\1/p' out)
    expect 0 '"Country"' on query --index by-region --partition "$region"
    expect 0 '' on scan --raw
    check 'nothing but keys is in the clear' [ "$(grep -c Vegetables out)" = 0 ]
    check 'the keys of an index are' [ "$(grep -cE '"Region": ?[{]"S"' out)" = "$vegetables" ]
    expect 4 'altered' on scan --signed-name Other
    expect 0 '116769468' on query --partition 116769468 --plain-json
    key='{"Order ID":{"S":"116769468"},"Ship Date":{"S":"12/21/2022"}}'
    expect 0 'Vegetables' on get --key "$key"
    expect 0 '' on delete --key "$key"
    expect 3 '' on get --key "$key"
    printf '{"Order ID":{"S":"1"}}\n{"Order ID":{"S":"1"},"Ship Date":{"S":"x"},"n":{"N":"1.50"}}\n' >put
    # shellcheck disable=SC2086
    expect 8 'line 1' on put -i put $clear
    expect 0 '"n":{"N":"1.5"}' on query --partition 1
    awk 'BEGIN { print "Order ID,Ship Date,n"; for (i = 1; i <= 30; i++) print "7,a," i }' >same.csv
    # shellcheck disable=SC2086
    expect 0 '29 rows had the key' on load same.csv $clear
    expect 0 '"n":{"S":"30"}' on query --partition 7
    { printf 'Order ID,Ship Date,n\n8,a,'; head -c 410000 /dev/zero | tr '\0' x; printf '\n9,a,1\n'; } >large.csv
    # shellcheck disable=SC2086
    expect 8 'too large' on load large.csv $clear
    # Table1: in the clear.
    kb table create --table ${t}clear --partition-key 'Order ID' -q
    expect 0 'in the clear' kb table load same.csv --table ${t}clear --plaintext
    expect 0 '"30"}' kb table scan --table ${t}clear --raw
}

for url in "${KB_DYNALITE_URL:-}" "${KB_MOTO_URL:-}"; do
    [ -z "$url" ] || tables "$url"
done
if [ -z "${KB_MOTO_URL:-}" ]; then
    skip 'kms' 'KB_MOTO_URL is not set'
    finish
fi

# --- kms --------------------------------------------------------------------------------

AWS_ENDPOINT_URL=$KB_MOTO_URL
expect 0 'Enabled' kb kms create-key --description 'of a test'
key=$(sed -n 's/^arn  *//p' out)
check 'a new key has an ARN' [ -n "$key" ]
expect 0 '"state":"Enabled"' kb kms describe-key "$key" --json
printf 'plain \000 bytes' >plain
expect 0 '' kb kms encrypt --kms-key "$key" -c a=b -c c=d -i plain -o blob
expect 0 '' kb kms decrypt -c c=d -c a=b -i blob -o back
check 'what was encrypted comes back' cmp -s plain back
check 'into a private file' [ "$(stat -c %a back)" = 600 ]
kb kms encrypt --kms-key "$key" --base64 <plain | kb kms decrypt --kms-key "$key" --base64 >back
check 'in base64 as well' cmp -s plain back
expect 0 '"ciphertext":' kb kms encrypt --kms-key "$key" --json -i plain
expect 4 '' kb kms decrypt -c a=x -i blob -o wrong
expect 4 '' kb kms decrypt -i plain -o wrong
check 'and nothing is written' [ ! -e wrong ]
expect 0 '' kb kms generate-data-key --kms-key "$key" -c a=b -o data.key --ciphertext-out data.enc
check 'a data key has 32 bytes' [ "$(wc -c <data.key)" = 32 ]
check 'in a private file' [ "$(stat -c %a data.key)" = 600 ]
kb kms decrypt -c a=b -i data.enc >back
check 'its ciphertext is its' cmp -s data.key back
expect 0 '' kb kms generate-data-key --kms-key "$key" --bytes 16 --base64 -o data.key
check 'or 16' [ "$(wc -c <data.key)" = 16 ]
expect 3 '' kb kms describe-key 00000000-0000-0000-0000-000000000000

# --- the walk-through ----------------------------------------------------------------------

KMS_KEY=$key SUFFIX=$$ expect 0 '60 rows loaded,' sh "$here/../../examples/three-tables.sh" "$data"
check 'Table1' grep -q '^keybridge: 31 rows loaded in the clear' out
check 'Table2' grep -q "^keybridge: $(awk -F, '$1 == "North America" && $9 < 1000' "$data" | wc -l) rows loaded," out
check 'Table3 is read' grep -q '"Item Type":"Vegetables"' out

# --- items under KMS: no token ---------------------------------------------------------------

KEYBRIDGE_HOME=$work/empty
kb table create --table dynamodb:Direct$$ --partition-key 'Order ID' --sort-key 'Ship Date' -q
direct() {
    verb=$1
    shift
    kb table "$verb" --table dynamodb:Direct$$ --provider kms --kms-key "$key" "$@"
}
expect 0 '20 rows loaded' direct load "$data" --limit 20
expect 0 '' direct scan --plain-json
check 'all come back' [ "$(lines out)" = 20 ]
printf '{"id":{"S":"a"},"x":{"S":"b"}}\n' >item
expect 0 '' kb item encrypt --table T --partition-key id --kms-key "$key" -i item -o sealed
expect 0 '"x":{"S":"b"}' kb item decrypt --table T --partition-key id --kms-key "$key" -i sealed
expect 4 '' kb item decrypt --table U --partition-key id --kms-key "$key" -i sealed
kb kms create-key --json >other
# KMS says IncorrectKeyException (exit 4); moto says AccessDeniedException.
expect 5 '' kb item decrypt --table T --partition-key id -i sealed \
    --kms-key "$(sed 's/.*"arn":"\([^"]*\)".*/\1/' other)"
finish
