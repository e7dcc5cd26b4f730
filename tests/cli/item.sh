#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge item: round trips, options, order, outputs. Bad items are in item-bad.sh.
. "$(dirname "$0")/lib.sh"
new_home
cd "$work" || exit
for key in 'never wrap aes-256 --release never' 'short wrap aes-128' 'mid wrap aes-192' 'content content aes-256' \
    'mac224 sign hmac-sha224' 'mac384 sign hmac-sha384' 'mac512 sign hmac-sha512'; do
    # shellcheck disable=SC2086  # words of an option list
    set -- $key
    name=$1 use=$2 type=$3
    shift 3
    kb -q key create "$name" --use "$use" --type "$type" "$@" || exit
done
# shellcheck disable=SC2120
encrypt() { kb item encrypt --format ddbec --table T --partition-key id "$@"; }
decrypt() { kb item decrypt --format ddbec --table T --partition-key id "$@"; }

# Every type, in the form that comes back.
cat >items <<'END'
{"id":{"S":"1"},"b":{"B":"AP8="},"bool":{"BOOL":true},"bs":{"BS":["AA==","AQ=="]},"e":{"S":""},"l":{"L":[{"L":[]},{"M":{}},{"NULL":true}]},"m":{"M":{"":{"N":"0"},"a":{"L":[{"N":"1.5"}]}}},"n":{"N":"-12345678901234567890123456789012345678"},"no":{"BOOL":false},"ns":{"NS":["-1","0","1"]},"nul":{"NULL":true},"s":{"S":"ü😀\u0000\n\"\\"},"ss":{"SS":["a","b"]},"z":{"B":""}}
{"id":{"S":"2"},"sort":{"N":"7"},"index":{"S":"i"}}
{"id":{"S":"\u0000"},"a":{"N":"1E-130"}}
END
python3=$(python json)
same() {
    [ -n "$python3" ] || { cmp -s "$1" "$2"; return; }
    "$python3" -c 'import json, sys
a, b = ([json.loads(l) for l in open(f, encoding="utf-8")] for f in sys.argv[1:])
def n(v):
    if isinstance(v, dict):
        return {k: str(__import__("decimal").Decimal(w).normalize()) if k == "N" else n(w) for k, w in v.items()}
    return [n(w) for w in v] if isinstance(v, list) else v
sys.exit(n(a) != n(b))' "$1" "$2"
}
round_trip() {
    rm -f sealed back
    expect 0 '' encrypt -i items -o sealed "$@"
    expect 0 '' decrypt -i sealed -o back "$@"
    check "round trip with $*" same items back
}
echo '{"default":"SIGN_ONLY"}' >sign-only
echo '{"default":"SIGN_ONLY","attributes":{"s":"ENCRYPT_AND_SIGN","n":"DO_NOTHING"}}' >mixed
echo '{"default":"DO_NOTHING"}' >nothing
round_trip
check 'what was written is private to nobody' [ "$(stat -c %a sealed)" = 644 ]
check 'what was decrypted is private' [ "$(stat -c %a back)" = 600 ]
check 'attributes are encrypted' [ "$(grep -c 'index' sealed)" = 1 ]
check 'no plaintext' [ "$(grep -c '12345678901234567890' sealed)" = 0 ]
round_trip --provider wrapped --wrap-key short --sign-key default-sign
round_trip --wrap-key mid --workers 3
round_trip --wrap-key never
round_trip --content-key-bits 128
round_trip --wrap-key never --content-key-bits 192
round_trip --provider static --content-key content
round_trip --content-key content
round_trip --provider static --actions sign-only
round_trip --actions sign-only
round_trip --actions mixed
check 'DO_NOTHING is in the clear' grep -q '"n":{"N":"-1234' sealed
check 'SIGN_ONLY is in the clear' grep -q '"nul":{"NULL":true}' sealed
check 'ENCRYPT_AND_SIGN is not' [ "$(grep -c '"s":{"S"' sealed)" = 0 ]
round_trip --actions nothing
round_trip --sign-key mac224 --sign-alg HmacSHA224
round_trip --sign-key mac384
round_trip --sign-key mac512 --description owner=me --description 'where=here=there' --description empty=
expect 0 'here=there' kb item inspect -i sealed
round_trip --description-attribute d --signature-attribute '*'
check 'added attributes are renamed' grep -q '"d":{"B":.*"\*":{"B"' sealed
expect 4 '' decrypt -i sealed -o back
expect 0 '32 bytes' kb item inspect -i sealed --description-attribute d --signature-attribute '*'
round_trip --index-key index
check 'an index key is not encrypted' grep -q '"index":{"S":"i"}' sealed
head -n 2 items | tail -n 1 >one
expect 0 '"sort":{"N":"7"}' encrypt --sort-key sort -i one
expect 8 "'sort'" encrypt --sort-key sort -i items
expect 0 '"signature_bytes":32' kb item inspect --json -i sealed

# --- order, with any number of workers -------------------------------------------------

awk 'BEGIN { for (i = 1; i <= 5000; i++) printf "{\"id\":{\"S\":\"%d\"},\"a\":{\"S\":\"text %d\"}}\n", i, i }' >many
for workers in 1 2 8; do
    expect 0 '' encrypt --workers "$workers" -i many -o sealed
    expect 0 '' decrypt --workers "$workers" -i sealed -o back
    check "order with $workers workers" cmp -s many back
done
sed '7s/^/x/; 2500s/}$//; 5000s/id/di/' many >some
expect 8 '3 of 5000 items failed' encrypt --workers 8 -i some -o sealed
check 'failed lines are named in their order' \
    [ "$(sed -n 's/^keybridge: line \([0-9]*\): .*/\1/p' err | tr '\n' ' ')" = '7 2500 5000 ' ]
expect 0 '' decrypt -i sealed -o back
sed '7d; 2500d; 5000d' many >rest
check 'all others come through' cmp -s rest back

# --- outputs -----------------------------------------------------------------------------

echo precious >kept
given 'x
' 4 'line 1' encrypt -o kept
check 'an output survives a failed run' grep -qx precious kept
expect 3 'default-nothing' encrypt -i items -o kept --wrap-key default-nothing
check 'and a run that never began' grep -qx precious kept
expect 0 '' encrypt -o kept -i one
check 'and is replaced by a good one' [ "$(lines kept)" = 1 ]
cp one both
expect 0 '' encrypt -i both -o both
expect 0 '' decrypt -i both -o both
check '-o may be -i' same one both
ln -s target link
cp one target
expect 0 '' encrypt -i one -o link
check 'a link stays one' [ -L link ]
check 'no temporary file is left' [ "$(find . -maxdepth 1 -name '*.??????' | wc -l)" = 0 ]
expect 3 'none/out' encrypt -i one -o none/out
expect 1 'cannot be written' encrypt -i one -o .
expect 3 'nothere' encrypt -i nothere
expect 1 '' encrypt -i .
given '' 0 '' encrypt -o none.out
check 'no items make an empty file' [ -e none.out -a ! -s none.out ]
expect 0 '' encrypt -i one -o /dev/null

# --- lines ---------------------------------------------------------------------------------

plain='{"id":{"S":"1"},"a":{"S":"x"}}'
given "$plain" 0 '"id"' encrypt
given "

$plain
 	
$plain" 0 '"id"' encrypt
check 'blank lines count as none' [ "$(lines out)" = 2 ]
given "
x
$plain" 8 'line 2' encrypt
given "$(printf '%s\r\n%s\r\n' "$plain" "$plain")" 0 '"id"' encrypt
check 'CR LF is a line end' [ "$(lines out)" = 2 ]
printf '\357\273\277%s\n' "$plain" >bom
expect 4 'line 1' encrypt -i bom

# An answer comes before the next line is written.
mkfifo pipe
encrypt <pipe >answers 2>err &
exec 9>pipe
for i in 1 2 3; do
    echo "$plain" >&9
    for _ in $(seq 600); do
        [ "$(lines answers)" = "$i" ] && break
        sleep 0.1
    done
    check "answer $i while the input waits" [ "$(lines answers)" = "$i" ]
done
exec 9>&-
wait $!
check 'the end of a pipe is the end' [ $? = 0 ]
finish
