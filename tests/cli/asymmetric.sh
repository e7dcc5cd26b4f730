#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Items under RSA and EC keys: every way to wrap and to sign, who can do what with
# a public key alone, and what does not fit.
. "$(dirname "$0")/lib.sh"
new_home
cd "$work" || exit
echo '{"id":{"N":"5"},"name":{"S":"a secret name"}}' >one
item() { kb item "$@" --table T --partition-key id; }
# The algorithm of an item's description.
described() { kb item inspect -i "$1" --json >"$work/inspected" && grep -qF "$2" "$work/inspected"; }

expect 0 '' kb key create rsa-w --use wrap --type rsa-2048
expect 0 '' kb key create rsa-s --use sign --type rsa-2048
expect 0 '' kb key create ec-1 --use sign --type ec-p256
expect 0 '' kb key create ec-2 --use sign --type ec-p384

# --- every algorithm there and back ------------------------------------------------------------

for hash in 1 256 384 512; do
    name=RSA/ECB/OAEPWithSHA-${hash}AndMGF1Padding
    expect 0 '' item encrypt --wrap-key rsa-w --wrap-alg "$name" -i one -o sealed
    check "$name is written" described sealed "$name"
    check "the name is hidden under $name" sh -c '! grep -q "a secret name" sealed'
    expect 0 'a secret name' item decrypt --wrap-key rsa-w -i sealed
done
expect 0 '' item encrypt --wrap-key rsa-w -i one -o sealed
check 'RSA keys wrap with OAEP and SHA-256 unless told otherwise' \
    described sealed 'RSA/ECB/OAEPWithSHA-256AndMGF1Padding'
expect 0 '' item encrypt --wrap-key rsa-w --wrap-alg RSA/ECB/PKCS1Padding -i one -o old
expect 0 'a secret name' item decrypt --wrap-key rsa-w -i old
expect 4 'was altered' item decrypt --wrap-key rsa-w --wrap-alg RSA/ECB/OAEPWithSHA-256AndMGF1Padding -i old

for pair in rsa-s:SHA224withRSA rsa-s:SHA256withRSA rsa-s:SHA384withRSA rsa-s:SHA512withRSA \
    ec-1:SHA256withECDSA ec-1:SHA384withECDSA ec-1:SHA512withECDSA ec-2:SHA256withECDSA \
    ec-2:SHA384withECDSA ec-2:SHA512withECDSA; do
    expect 0 '' item encrypt --sign-key "${pair%:*}" --sign-alg "${pair#*:}" -i one -o signed
    check "${pair#*:} is written" described signed "${pair#*:}"
    expect 0 'a secret name' item decrypt --sign-key "${pair%:*}" --sign-alg "${pair#*:}" -i signed
    sed 's/"N":"5"/"N":"6"/' signed >forged
    expect 4 'was altered' item decrypt --sign-key "${pair%:*}" --sign-alg "${pair#*:}" -i forged
done
expect 0 '' item encrypt --sign-key ec-2 -i one -o signed
check 'P-384 keys sign with SHA-384 unless told otherwise' described signed SHA384withECDSA
# What the item says of its signature is not believed over what is configured.
expect 4 'was altered' item decrypt --sign-key ec-2 --sign-alg SHA512withECDSA -i signed
expect 4 'was altered' item decrypt --sign-key ec-1 -i signed

# --- public keys alone ---------------------------------------------------------------------------

expect 0 '' kb key export-public rsa-w -o wrap.pem
expect 0 '' kb key export-public ec-1 --format der -o sign.der
check 'a PEM public key' grep -q 'BEGIN PUBLIC KEY' wrap.pem
new_home "$work/writer"
expect 0 '' kb key import office --use wrap --type rsa-public --in wrap.pem --format pem
expect 0 'public' kb key show office
expect 0 '' item encrypt --wrap-key office -i one -o sealed
expect 5 'public key' item decrypt --wrap-key office -i sealed
expect 0 '' kb key import checker --use sign --type ec-public --in sign.der --format der
expect 5 'public key' item encrypt --sign-key checker -i one
KEYBRIDGE_HOME=$work/home
expect 0 '' item encrypt --sign-key ec-1 -i one -o signed
# The writer of the other home signs with its own key; here only the wrapping is ours.
expect 4 'was altered' item decrypt --wrap-key rsa-w -i sealed

# --- a key that never releases ---------------------------------------------------------------------

expect 0 '' kb key create never --use wrap --type rsa-2048 --release never
expect 0 '' item encrypt --wrap-key never --wrap-alg RSA/ECB/OAEPWithSHA-1AndMGF1Padding -i one -o kept
expect 0 'a secret name' item decrypt --wrap-key never -i kept
expect 6 'RSA/ECB/OAEPWithSHA-1AndMGF1Padding' item encrypt --wrap-key never -i one

# --- what does not fit ---------------------------------------------------------------------------------

expect 2 'unknown wrapping algorithm' item encrypt --wrap-key rsa-w --wrap-alg ROT13 -i one
expect 2 'aes-256' item encrypt --wrap-alg RSA/ECB/PKCS1Padding -i one
expect 2 'rsa-2048' item encrypt --wrap-key rsa-w --wrap-alg AESWrap -i one
expect 2 'unknown signing algorithm' item encrypt --sign-alg MD5withRSA -i one
expect 2 'rsa-2048' item encrypt --sign-key rsa-s --sign-alg SHA256withECDSA -i one
expect 2 'ec-p256' item encrypt --sign-key ec-1 --sign-alg HmacSHA256 -i one
expect 5 'wrap key' item encrypt --sign-key rsa-w -i one
expect 4 'was altered' item decrypt -i old
expect 0 '' item encrypt -i one -o aes
expect 4 'was altered' item decrypt --wrap-key rsa-w -i aes

finish
