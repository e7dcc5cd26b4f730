#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge key: create, import, list, show, destroy.
. "$(dirname "$0")/lib.sh"
new_home

# --- create ----------------------------------------------------------------------

expect 0 "key 'kek' (aes-256, wrap) is in token" kb key create kek --use wrap --type aes-256
check 'nothing on standard output' [ ! -s "$work/out" ]
expect 0 '' kb -q key create quiet --use wrap --type aes-128
check '-q says nothing' [ ! -s "$work/err" ]
for bits in 128 192 256; do
    expect 0 '' kb key create "content-$bits" --use content --type "aes-$bits"
    expect 0 '' kb key create "envelope-$bits" --use envelope --type "aes-$bits"
    expect 0 '' kb key create "never-$bits" --use wrap --type "aes-$bits" --release never
done
for bits in 224 256 384 512; do
    expect 0 '' kb key create "sign-$bits" --use sign --type "hmac-sha$bits"
done
expect 2 "'kek'" kb key create kek --use wrap --type aes-256
expect 2 "'kek'" kb key create kek --use sign --type hmac-sha256
expect 2 '--use' kb key create x --type aes-256
expect 2 '--type' kb key create x --use wrap
expect 2 '' kb key create x --use wrap --type hmac-sha256
expect 2 '' kb key create x --use sign --type aes-256
expect 2 '' kb key create x --use content --type hmac-sha256
expect 2 '' kb key create x --use envelope --type hmac-sha256
expect 2 '' kb key create x --use envelope --type rsa-2048
expect 2 'envelope' kb key create x --use envelopes --type aes-256
expect 2 'wrap' kb key create x --use envelope --type aes-256 --release never
expect 2 "'never'" kb key create x --use wrap --type aes-256 --release sometimes
expect 2 'wrap' kb key create x --use sign --type hmac-sha256 --release never
expect 2 'missing' kb key create --use wrap --type aes-256
expect 2 'unexpected' kb key create x y --use wrap --type aes-256
expect 2 'twice' kb key create x --use wrap --use sign --type aes-256
expect 2 'unknown option' kb key create x --use wrap --type aes-256 --extractable
expect 2 '' kb key create '' --use wrap --type aes-256
expect 2 '' kb key create "$(printf '%0300d' 0)" --use wrap --type aes-256
expect 2 '' kb key create "$(printf 'a\nb')" --use wrap --type aes-256
expect 2 '' kb key create "$(printf 'a\377b')" --use wrap --type aes-256
for name in 'a b' a/b 'pkcs11:object=a' 'Schlüssel'; do
    expect 2 'cannot be' kb key create "$name" --use wrap --type aes-256
done
expect 0 '' kb key create --use wrap --type aes-256 -- --json
expect 0 '' kb key show -- --json
expect 0 '' kb key destroy --yes -- --json

# --- import ----------------------------------------------------------------------

hex32=8d1f00aa5c3b7e9921436587a9cbed0ff0e1d2c3b4a5968778695a4b3c2d1e0f
hex16=5f6e7d8c9baab9c8d7e6f5041322314a
secret "$hex32"
secret "$hex16"
(umask 077
    printf '%s\n' "$hex32" >"$work/hex32"
    printf '%s' "$hex32" | tr a-f A-F | sed 's/..../& /g' >"$work/hex32.spaced"
    printf '%s' "$hex16" >"$work/hex16"
    printf '%s0' "$hex32" >"$work/odd"
    printf '%sxy' "$hex16" >"$work/nothex"
    : >"$work/empty"
    printf '0123456789abcdefghijklmnopqrstuv' >"$work/raw32"
    printf '0123456789abcdefghijklmnopqrstu\n' >"$work/raw32.newline"
    head -c 5000 /dev/zero >"$work/big")
secret 0123456789abcdefghijklmnopqrstu
import() {
    name=$1 use=$2 type=$3 file=$4 format=$5
    shift 5
    kb key import "$name" --use "$use" --type "$type" --in "$work/$file" --format "$format" "$@"
}
expect 0 'still holds it' import i-hex wrap aes-256 hex32 hex
expect 0 '' import i-spaced wrap aes-256 hex32.spaced hex
expect 0 '' import i-raw wrap aes-256 raw32 raw
expect 0 '' import i-newline wrap aes-256 raw32.newline raw
expect 0 '' import i-128 content aes-128 hex16 hex
expect 0 '' import i-envelope envelope aes-256 hex32 hex
expect 2 'bytes' import x envelope aes-128 hex32 hex
for bits in 128 256; do
    expect 0 '' import "i-legacy-$bits" legacy "aes-$bits" "hex$((bits / 8))" hex
done
expect 2 'bytes' import x legacy aes-128 hex32 hex
expect 2 '' import x legacy hmac-sha256 hex32 hex
expect 2 'wrap' import x legacy aes-256 hex32 hex --release never
expect 2 'only imported' kb key create x --use legacy --type aes-256
expect 0 '' import i-never wrap aes-256 hex32 hex --release never
expect 0 '' import i-sign sign hmac-sha256 hex32 hex
expect 2 "'i-hex'" import i-hex wrap aes-256 hex32 hex
expect 4 'hexadecimal' import x wrap aes-256 nothex hex
expect 4 'hexadecimal' import x wrap aes-256 odd hex
expect 4 'hexadecimal' import x wrap aes-256 raw32 hex
expect 2 'bytes' import x wrap aes-256 hex16 hex
expect 2 'bytes' import x wrap aes-128 hex32 hex
expect 2 'bytes' import x sign hmac-sha512 big raw
expect 2 'bytes' import x wrap aes-256 empty raw
expect 3 'nothere' import x wrap aes-256 nothere raw
expect 2 '--format' import x wrap aes-256 raw32 pem
expect 2 '--in' kb key import x --use wrap --type aes-256 --format raw
chmod 644 "$work/raw32"
expect 5 'chmod 600' import x wrap aes-256 raw32 raw
chmod 600 "$work/raw32"
# An HMAC key shorter than its hash.
expect 2 '--allow-weak' import weak sign hmac-sha256 hex16 hex
expect 0 '' import weak sign hmac-sha256 hex16 hex --allow-weak
expect 2 'bytes' import x wrap aes-256 hex16 hex --allow-weak
expect 3 "'x'" kb key show x

# What is imported is the key that was given: two imports of one key agree.
printf '{"id":{"S":"1"},"a":{"S":"text"}}\n' >"$work/item"
item() { kb item "$1" --table T --partition-key id --wrap-key "$2" --sign-key "$3" -i "$work/$4" -o "$work/$5"; }
expect 0 '' item encrypt i-hex i-sign item sealed
expect 0 '' item decrypt i-spaced i-sign sealed back
check 'a key imported twice reads its items' cmp -s "$work/item" "$work/back"
expect 4 '' item decrypt i-newline i-sign sealed back
expect 0 '' item encrypt i-raw weak item sealed
expect 0 '' item decrypt i-raw weak sealed back

# --- list and show -------------------------------------------------------------------

expect 0 'default-wrap' kb key list
check 'the list is sorted' sort -c "$work/out" 2>/dev/null
check 'the list tells what is imported' grep -q '^i-hex *wrap *aes-256 *imported' "$work/out"
check 'the list tells --release never' grep -q '^never-192 .*release never' "$work/out"
expect 0 '' kb key list --json
json=$(python json)
holds() { "$json" -c "import json, sys; j = json.load(open(sys.argv[1])); sys.exit(not ($1))" "$work/out"; }
if [ -n "$json" ]; then
    check 'JSON list: all keys' holds 'len(j) == 28 and len({k["name"] for k in j}) == 28'
    check 'JSON list: members' holds 'all({"name","version","id","use","type","origin","bits"} <= set(k) for k in j)'
    expect 0 '' kb --json key show kek
    check 'JSON: a key' holds 'j["name"] == "kek" and j["use"] == "wrap" and j["type"] == "aes-256" and j["bits"] == 256'
    check 'JSON: what protects it' holds \
        'j["sensitive"] and j["always_sensitive"] and j["never_extractable"] and j["is_private"] and not j["extractable"]'
    check 'JSON: what it may' holds \
        'j["may_wrap"] and j["may_unwrap"] and not any(j["may_" + m] for m in ("sign", "verify", "encrypt", "decrypt"))'
    check 'JSON: a key that is not counted' holds 'j["encryptions"] is None'
    expect 0 '' kb key show envelope-192 --json
    check 'JSON: an envelope key' holds 'j["use"] == "envelope" and j["type"] == "aes-192" and j["bits"] == 192'
    check 'JSON: what an envelope key may' holds \
        'j["may_encrypt"] and j["may_decrypt"] and not any(j["may_" + m] for m in ("sign", "verify", "wrap", "unwrap"))'
    check 'JSON: by AES-GCM alone' holds 'j["mechanisms_enforced"] and j["mechanisms"] == "CKM_AES_GCM"'
    check 'JSON: how often it has encrypted' holds 'j["encryptions"] == 0'
    echo damage >"$KEYBRIDGE_HOME/counts.db"
    expect 0 '' kb key show envelope-192 --json
    check 'JSON: counts that cannot be read' holds 'j["encryptions"] is None'
    rm "$KEYBRIDGE_HOME/counts.db"
    expect 0 '' kb key show never-256 --json
    check 'JSON: --release never is enforced' holds 'j["release_never"] and j["release_never_enforced"]'
    expect 0 '' kb key show i-sign --json
    check 'JSON: an imported key' holds 'j["origin"] == "imported" and not j["local"] and not j["extractable"]'
else
    skip 'JSON of keys' 'no python3'
fi
expect 0 'never extractable               yes' kb key show kek
expect 0 'encryptions counted             0 of 4294967296' kb key show envelope-256
echo damage >"$KEYBRIDGE_HOME/counts.db"
expect 0 'encryptions counted             not known' kb key show envelope-256
expect 0 '' kb key list
check 'the list has keys whose counts cannot be read' grep -q '^envelope-256 *envelope *aes-256 *generated' "$work/out"
rm "$KEYBRIDGE_HOME/counts.db"
expect 0 'allowed mechanisms              CKM_AES_GCM' kb key show i-envelope
expect 0 'allowed mechanisms              CKM_AES_' kb key show i-legacy-256
check 'a legacy key unwraps' grep -q 'CKM_AES_ECB' "$work/out"
check 'looking at keys makes no file of counts' [ ! -e "$KEYBRIDGE_HOME/counts.db" ]
expect 3 "'nothere'" kb key show nothere
expect 2 'missing' kb key show
for name in kek never-256 i-hex sign-512 content-128 envelope-128 i-envelope i-legacy-256; do
    expect 0 'ok' kb key show "$name" --try-extract
    check "every way out of $name is refused" [ "$(grep -c '^ok ' "$work/out")" = "$(lines "$work/out")" ]
    check "several ways out of $name were tried" [ "$(lines "$work/out")" -ge 2 ]
done

# --- wrong use -----------------------------------------------------------------------

expect 5 "'kek'" item encrypt kek kek item out2
expect 5 "'sign-256'" item encrypt sign-256 sign-256 item out2
expect 5 "'content-256'" item encrypt content-256 sign-256 item out2
expect 5 "'envelope-256'" item encrypt envelope-256 sign-256 item out2
expect 3 "'nothere'" item encrypt nothere sign-256 item out2
expect 3 "'nothere'" item encrypt kek nothere item out2
expect 5 "'kek'" kb item encrypt --table T --partition-key id --provider static --content-key kek \
    --sign-key sign-256 -i "$work/item"
check 'no failure made an output' [ ! -e "$work/out2" ]

# --- destroy --------------------------------------------------------------------------

expect 2 '--yes' kb key destroy kek </dev/null
expect 0 '' kb key show kek
expect 0 'is destroyed' kb key destroy kek --yes
expect 3 "'kek'" kb key show kek
expect 3 "'kek'" kb key destroy kek --yes
expect 2 'missing' kb key destroy --yes
expect 0 '' kb key create kek --use wrap --type aes-256
expect 4 '' item decrypt kek i-sign sealed back
finish
