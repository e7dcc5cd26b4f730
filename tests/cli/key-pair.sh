#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge key with RSA and EC keys: create, import, export-public, show, destroy.
. "$(dirname "$0")/lib.sh"
new_home

# --- create -----------------------------------------------------------------------

for type in rsa-2048 rsa-3072 ec-p256 ec-p384; do
    expect 0 "key 'sign-$type' ($type, sign) is in token" kb key create "sign-$type" --use sign --type $type
done
expect 0 "(rsa-4096, wrap)" kb key create wrap-rsa --use wrap --type rsa-4096
expect 0 '' kb key create never --use wrap --type rsa-2048 --release never
expect 2 "'wrap-rsa'" kb key create wrap-rsa --use wrap --type aes-256
expect 2 'cannot be of type' kb key create x --use wrap --type ec-p256
expect 2 'cannot be of type' kb key create x --use content --type rsa-2048
expect 2 'size' kb key create x --use sign --type rsa
expect 2 'size' kb key create x --use sign --type ec
expect 2 'only imported' kb key create x --use sign --type ec-public
expect 2 '--type is unknown' kb key create x --use sign --type rsa-1024
expect 2 '--type is unknown' kb key create x --use sign --type -public
expect 2 '--type is unknown' kb key create x --use wrap --type aes-256-public
expect 2 'wrap' kb key create x --use sign --type rsa-2048 --release never

# --- list and show ------------------------------------------------------------------

expect 0 'sign-ec-p256             sign     ec-p256      generated' kb key list
check 'a pair is one line' [ "$(grep -c '^sign-rsa-2048 ' "$work/out")" = 1 ]
expect 0 'rsa-2048, 2048 bits' kb key show sign-rsa-2048
expect 0 'never (unwrap template)' kb key show never
check 'nothing decrypts under it' grep -q '^may decrypt  *no' "$work/out"
check 'and raw RSA is not allowed' [ "$(grep -c X_509 "$work/out")" = 0 ]
expect 0 'CKM_RSA_X_509' kb key show wrap-rsa
expect 0 '"public_only":false' kb key show sign-ec-p384 --json
for name in sign-rsa-2048 sign-ec-p256 wrap-rsa never; do
    expect 0 'ok' kb key show "$name" --try-extract
    check "every way out of $name is refused" [ "$(grep -c '^ok ' "$work/out")" = "$(lines "$work/out")" ]
done

# --- export -------------------------------------------------------------------------

expect 0 'BEGIN PUBLIC KEY' kb key export-public sign-ec-p256
cp "$work/out" "$work/p256.pem"
expect 0 '' kb key export-public sign-ec-p256 --format der -o "$work/p256.der"
check 'success is silent' [ ! -s "$work/out" ]
expect 3 "'nothere'" kb key export-public nothere
expect 2 '--format' kb key export-public sign-ec-p256 --format raw
expect 0 '' kb key create mac --use sign --type hmac-sha256
expect 2 'no public half' kb key export-public mac -o "$work/none"
check 'a failure makes no file' [ ! -e "$work/none" ]

# --- import -------------------------------------------------------------------------

expect 0 "is imported into token" kb key import ec-back --use sign --type ec-public --in "$work/p256.pem" --format pem
check 'of a public key nothing is said of a file' [ "$(grep -c 'still holds' "$work/err")" = 0 ]
expect 0 'public only' kb key show ec-back
expect 0 ', public only' kb key list
expect 0 '"public_only":true' kb key show ec-back --json
expect 2 'public key' kb key show ec-back --try-extract
expect 2 'der or pem' kb key import x --use sign --type ec-public --in "$work/p256.pem" --format raw
expect 2 'raw or hex' kb key import x --use wrap --type aes-256 --in "$work/p256.pem" --format pem
expect 4 'is not der' kb key import x --use sign --type ec-public --in "$work/p256.pem" --format der
expect 4 'is not pem' kb key import x --use sign --type ec-public --in "$work/p256.der" --format pem
expect 2 'not rsa' kb key import x --use wrap --type rsa-public --in "$work/p256.pem" --format pem
expect 5 'chmod 600' kb key import x --use sign --type ec --in "$work/p256.pem" --format pem
chmod 600 "$work/p256.pem" "$work/p256.der"
expect 4 'a public key' kb key import x --use sign --type ec --in "$work/p256.pem" --format pem
expect 4 'but a public key' kb key import x --use sign --type ec --in "$work/p256.der" --format der

if command -v openssl >/dev/null; then
    (umask 077
        openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$work/rsa.pem" 2>/dev/null
        openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out "$work/weak.pem" 2>/dev/null
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out "$work/ec.pem"
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out "$work/k1.pem"
        openssl genpkey -algorithm ED25519 -out "$work/ed.pem"
        openssl pkcs8 -topk8 -nocrypt -in "$work/rsa.pem" -outform DER -out "$work/rsa.der"
        openssl pkey -in "$work/rsa.pem" -traditional -out "$work/pkcs1.pem"
        openssl ec -in "$work/ec.pem" -out "$work/sec1.pem" 2>/dev/null
        openssl pkcs8 -topk8 -in "$work/rsa.pem" -passout pass:x -out "$work/locked.pem"
        openssl req -x509 -new -key "$work/rsa.pem" -subj /CN=x -out "$work/cert.pem" 2>/dev/null
        cat "$work/rsa.pem" "$work/ec.pem" >"$work/two.pem")
    in_pem() { kb key import "$1" --use "$2" --type "$3" --in "$work/$4.pem" --format pem; }
    expect 0 'still holds it' in_pem i-rsa wrap rsa rsa
    expect 0 'rsa-2048' kb key show i-rsa
    expect 0 '' kb key import i-der --use sign --type rsa-2048 --in "$work/rsa.der" --format der
    expect 0 '' in_pem i-ec sign ec ec
    expect 2 'rsa-2048, not rsa-3072' in_pem x wrap rsa-3072 rsa
    expect 2 'ec-p384, not ec-p256' in_pem x sign ec-p256 ec
    expect 2 'not ec' in_pem x sign ec rsa
    expect 4 'curve' in_pem x sign ec k1
    expect 4 'neither' in_pem x sign ec ed
    expect 4 'PKCS#1' in_pem x sign rsa pkcs1
    expect 4 'SEC 1' in_pem x sign ec sec1
    expect 4 'encrypted' in_pem x sign rsa locked
    expect 4 'certificate' in_pem x sign rsa cert
    expect 4 'nothing behind it' in_pem x sign rsa two
    expect 2 '--allow-weak' in_pem weak wrap rsa weak
    expect 0 '' kb key import weak --use wrap --type rsa --in "$work/weak.pem" --format pem --allow-weak
    expect 0 '1024 bits' kb key show weak
    expect 0 '' kb key export-public i-rsa -o "$work/back.pem"
    openssl pkey -in "$work/rsa.pem" -pubout -out "$work/want.pem"
    check 'OpenSSL writes the same PEM' cmp -s "$work/back.pem" "$work/want.pem"
    openssl pkey -pubin -in "$work/p256.pem" -outform DER -out "$work/want.der"
    check 'and the same DER' cmp -s "$work/p256.der" "$work/want.der"
else
    skip 'keys of OpenSSL' 'no openssl'
fi

# --- destroy ------------------------------------------------------------------------

expect 0 'is destroyed' kb key destroy sign-rsa-2048 --yes
expect 3 "'sign-rsa-2048'" kb key show sign-rsa-2048
expect 3 "'sign-rsa-2048'" kb key export-public sign-rsa-2048
expect 0 '' kb key create sign-rsa-2048 --use sign --type hmac-sha256
expect 0 'is destroyed' kb key destroy ec-back --yes
expect 3 "'ec-back'" kb key show ec-back
finish
