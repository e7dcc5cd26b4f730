#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge item: malformed and altered items, wrong keys, wrong options.
. "$(dirname "$0")/lib.sh"
new_home
cd "$work" || exit
kb -q key create content --use content --type aes-256
kb -q key create wrap2 --use wrap --type aes-256
kb -q key create sign2 --use sign --type hmac-sha256
encrypt() { kb item encrypt --table T --partition-key id "$@"; }
decrypt() { kb item decrypt --table T --partition-key id "$@"; }

# --- malformed ----------------------------------------------------------------------

# bad 'part of the sentence' ITEM
bad() {
    rm -f sealed
    given "$2
" 4 "line 1: $1" encrypt -o sealed
    check "nothing is published for ${2%"${2#????????????????????????????????}"}" [ ! -e sealed ]
}
value() { printf '{"id":{"S":"1"},"a":%s}' "$1"; }
nest() { awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) a = a "{\"L\":["; for (i = 0; i < n; i++) b = b "]}"; print a b }'; }
string() { awk -v n="$1" 'BEGIN { printf "{\"id\":{\"S\":\"1\"},\"a\":{\"S\":\""; for (i = 0; i < n; i += 100) printf "%0100d", 0; print "\"}}" }'; }

bad '' 'nonsense'
bad '' '[1]'
bad '' '{"id":{"S":"1"}'
bad '' '{"id":{"S":"1"}} {"id":{"S":"2"}}'
bad '' "{'id':{'S':'1'}}"
bad '' '{"id":{"S":"1"},}'
bad "there is more than one member 'id'" '{"id":{"S":"1"},"id":{"S":"2"}}'
bad "attribute 'a'" "$(value '{"M":{"x":{"S":"1"},"x":{"S":"1"}}}')"
bad "attribute 'a': not one of the types" "$(value '{"X":"1"}')"
bad "attribute 'a'" "$(value '{}')"
bad "attribute 'a'" "$(value '"x"')"
bad "attribute 'a'" "$(value 'null')"
bad "attribute 'a'" "$(value '{"S":"x","N":"1"}')"
bad "attribute 'a'" "$(value '{"S":1}')"
bad "attribute 'a'" "$(value '{"N":1}')"
bad "attribute 'a'" "$(value '{"BOOL":"true"}')"
bad "attribute 'a'" "$(value '{"NULL":false}')"
bad "attribute 'a'" "$(value '{"SS":["a",1]}')"
bad "attribute 'a'" "$(value '{"SS":"a"}')"
for number in abc 1e126 -1e126 1e-131 1e400 1e99999999999 '' ' 1' 0x10 NaN Infinity .5.5 1.2.3 -- \
    123456789012345678901234567890123456789; do
    bad "attribute 'a'" "$(value "{\"N\":\"$number\"}")"
    bad "attribute 'a'" "$(value "{\"NS\":[\"1\",\"$number\"]}")"
done
for base64 in '!!' A AA= AAA 'AA==AA==' 'AA ==' _-8= AB==; do
    bad "attribute 'a'" "$(value "{\"B\":\"$base64\"}")"
done
bad 'not UTF-8' "$(printf '{"id":{"S":"\377"}}')"
bad 'not UTF-8' "$(printf '{"id":{"S":"1"},"a":{"S":"\300\200"}}')"
bad 'not UTF-8' "$(printf '{"id":{"S":"1"},"a":{"S":"\355\240\200"}}')"
bad "attribute 'a': half of a surrogate pair" "$(value '{"S":"\ud800"}')"
bad "attribute 'a'" "$(value "$(printf '{"S":"a\tb"}')")"
bad "attribute 'a': lists and maps more than 32 deep" "$(value "$(nest 33)")"
given "$(value "$(nest 32)")" 0 '' encrypt
bad "the item has no key attribute 'id'" '{"a":{"S":"x"}}'
bad "the item has no key attribute 'id'" '{}'
bad "key attribute 'id' is " '{"id":{"L":[]}}'
bad "attribute name '*amzn-ddb-map-sig*' is reserved" '{"id":{"S":"1"},"*amzn-ddb-map-sig*":{"B":"AA=="}}'
bad "attribute name '*amzn-ddb-map-desc*' is reserved" '{"id":{"S":"1"},"*amzn-ddb-map-desc*":{"B":"AA=="}}'
for size in 409700 4300000 5000000; do
    (string "$size"; value '{"S":"x"}'; echo) >large
    expect 8 'line 1' encrypt -i large -o sealed
    check "the line behind one of $size bytes is read" [ "$(lines sealed)" = 1 ]
done
string 409500 >large
expect 4 '409600' encrypt -i large

# --- altered, or under other keys ----------------------------------------------------------

forged='the item was altered, or is not under these keys'
value '{"S":"text"}' >item
expect 0 '' encrypt -i item -o sealed --description by=me
# refused 'why' sed-script…
refused() {
    what=$1
    shift
    sed "$@" sealed >altered
    check "$what alters it" [ "$(cmp -s sealed altered; echo $?)" = 1 ]
    expect 4 "line 1: $forged" decrypt -i altered
    check "$what shows nothing" [ ! -s out ]
}
refused 'another key value' 's/"S":"1"/"S":"2"/'
refused 'another key type' 's/"S":"1"/"N":"1"/'
refused 'no description' 's/"\*amzn-ddb-map-desc\*":{[^}]*},//'
refused 'no signature' 's/,"\*amzn-ddb-map-sig\*":{[^}]*}//'
refused 'an empty signature' 's/"\*amzn-ddb-map-sig\*":{[^}]*}/"*amzn-ddb-map-sig*":{"B":""}/'
refused 'a signature of text' 's/"\*amzn-ddb-map-sig\*":{[^}]*}/"*amzn-ddb-map-sig*":{"S":"x"}/'
refused 'a removed attribute' 's/,"a":{[^}]*}//'
refused 'an added attribute' 's/}}$/},"z":{"S":"x"}}/'
refused 'a renamed attribute' 's/"a":{/"b":{/'
refused 'a plaintext attribute' 's/"a":{[^}]*}/"a":{"S":"text"}/'
refused 'a shorter attribute' 's/"a":{"B":"[^"]*"/"a":{"B":"AAAA"/'
expect 4 "line 1: $forged" decrypt -i item
expect 4 "$forged" decrypt --wrap-key wrap2 -i sealed
expect 4 "$forged" decrypt --sign-key sign2 -i sealed
expect 4 "$forged" kb item decrypt --table T2 --partition-key id -i sealed
expect 4 "$forged" decrypt --content-key content -i sealed
# Every digit of the ciphertext and of the signature; the format leaves the
# description between them unsigned.
awk '{ print; s = $0; from = index(s, "\"a\":{\"B\":\"") + 10; to = index(s, "\",") - 1
    if (length(substr(s, from, to - from)) < 20) to = from + index(substr(s, from), "\"") - 2
    flip(from, to); from = index(s, "-sig*\":{\"B\":\"") + 13; flip(from, length(s) - 3) }
    function flip(i, to, c) { for (; i <= to; i++) { c = substr(s, i, 1)
        if (c != "=") print substr(s, 1, i - 1) (c == "A" ? "B" : "A") substr(s, i + 1) } }' sealed >flipped
check 'there is much to flip' [ "$(lines flipped)" -gt 80 ]
expect 8 "$(($(lines flipped) - 1)) of $(lines flipped) items failed" decrypt -i flipped
check 'only the first is whole' [ "$(lines out)" = 1 ]
sealed_size=$(wc -c <sealed)
i=5
while [ "$i" -lt "$((sealed_size - 1))" ]; do
    head -c "$i" sealed
    echo
    i=$((i + 1))
done >shorter
expect 4 "$((sealed_size - 6)) failed" decrypt -i shorter
expect 0 '' kb item inspect -i sealed
expect 0 'no signature' kb item inspect -i item
expect 4 'line 1' kb item inspect -i shorter

# --- options ------------------------------------------------------------------------------------

expect 2 '--partition-key' kb item encrypt --table T -i item
expect 2 '--table' kb item encrypt --partition-key id -i item
expect 2 'name' kb item encrypt --table '' --partition-key id -i item
expect 2 'name' kb item encrypt --table T --partition-key '' -i item
expect 2 "'id'" encrypt --sort-key id -i item
expect 2 "'dbesdk'" encrypt --format dbesdk -i item
expect 2 "'none'" encrypt --provider none -i item
expect 2 'content key' encrypt --provider static -i item
expect 2 '' encrypt --provider static --wrap-key wrap2 -i item
expect 2 '' encrypt --provider wrapped --content-key content -i item
expect 2 "'512'" encrypt --content-key-bits 512 -i item
expect 2 "'MD5'" encrypt --sign-alg MD5 -i item
expect 2 'HmacSHA512' encrypt --sign-alg HmacSHA512 -i item
expect 2 'own' encrypt --description-attribute s --signature-attribute s -i item
expect 2 "'id'" encrypt --description-attribute id -i item
expect 2 'reserved' encrypt --description keybridge-wrap-key=x -i item
expect 2 'reserved' encrypt --description amzn-ddb-env-alg=x -i item
expect 2 'twice' encrypt --description a=1 --description a=2 -i item
expect 2 'name=value' encrypt --description a -i item
for workers in 0 65 -1 two ''; do
    expect 2 'workers' encrypt "--workers=$workers" -i item
done
expect 2 'unexpected' encrypt item
expect 2 'needs a value' encrypt -i
for actions in '{' '[]' '{"default":"X"}' '{"default":1}' '{"defaults":"SIGN_ONLY"}' '{"attributes":[]}' \
    '{"attributes":{"a":"encrypt_and_sign"}}' '{"attributes":{"a":"SIGN_ONLY","a":"SIGN_ONLY"}}' \
    '{"default":"SIGN_ONLY","default":"SIGN_ONLY"}' '{"attributes":{"id":"ENCRYPT_AND_SIGN"}}' \
    '{"attributes":{"*amzn-ddb-map-sig*":"SIGN_ONLY"}}' '{} x'; do
    printf '%s' "$actions" >actions
    expect 2 '' encrypt --actions actions -i item
done
expect 3 'nothere' encrypt --actions nothere -i item
finish
