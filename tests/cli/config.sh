#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Settings: options over variables over the user's file over the system's over defaults.
. "$(dirname "$0")/lib.sh"
new_home
cd "$work" || exit
settings=$KEYBRIDGE_HOME/keybridge.json
shows() { grep -q "^$1  *$2  *($3)\$" out; }

# --- origins ---------------------------------------------------------------------------

expect 0 "$KEYBRIDGE_HOME" kb config show
check 'a setting of the file' shows token.uri pkcs11:token=keybridge 'user file'
check 'a path of the file is below its folder' shows token.pin-file "$KEYBRIDGE_HOME/user.pin" 'user file'
check 'a setting nobody made' grep -q '^token.module-parameters *(not set)' out
check 'the worker count in force' grep -q '^workers  *[1-4] ' out
KEYBRIDGE_WORKERS=3 KEYBRIDGE_WRAP_KEY=mine expect 0 '' kb config show
check 'a variable' shows keys.wrap mine variable
check 'a number by variable' shows workers 3 variable
KEYBRIDGE_TOKEN=pkcs11:token=v expect 0 '' kb config show --token pkcs11:token=o
check 'an option is over a variable' shows token.uri pkcs11:token=o option
KEYBRIDGE_WRAP_KEY='' expect 0 '' kb config show
check 'an empty variable is none' shows keys.wrap default-wrap 'user file'
expect 0 '"keys.sign":{"value":"default-sign","origin":"user file"}' kb config show --json
expect 0 '"token.module-parameters":{"value":null,"origin":"not set"}' kb --json config show
KEYBRIDGE_HOME=$work/empty expect 0 'default-wrap' kb config show
check 'a default' shows keys.wrap default-wrap default
check 'showing settings makes no home' [ ! -e empty ]
KEYBRIDGE_HOME='' XDG_DATA_HOME=$work/xdg expect 0 "$work/xdg/keybridge" kb config show
KEYBRIDGE_HOME='' XDG_DATA_HOME=relative expect 0 "$work/.local/share/keybridge" kb config show
KEYBRIDGE_HOME='' expect 0 "$work/.local/share/keybridge" kb config show

# --- a token named above drops what the file says of another -----------------------------

expect 0 '' kb config show --token pkcs11:token=other
for member in token.module token.pin-file token.softhsm2-conf; do
    check "--token drops $member" grep -q "^$member *(not set)" out
done
check 'and leaves the names of keys' shows keys.wrap default-wrap 'user file'
KEYBRIDGE_TOKEN=pkcs11:token=other expect 0 '' kb config show
check 'a variable does as well' grep -q '^token.pin-file *(not set)' out
expect 0 '' kb config show --token pkcs11:token=other --pin-file "$work/pin"
check 'a PIN file beside it stays' shows token.pin-file "$work/pin" option
expect 0 '' kb config show --pin-file "$work/pin" --token pkcs11:token=other
check 'before it too' shows token.pin-file "$work/pin" option
SOFTHSM2_CONF=$KEYBRIDGE_HOME/softhsm2.conf expect 5 'no PIN' setsid "$KEYBRIDGE" key list \
    --token pkcs11:token=keybridge --module "$(sed -n 's/.*"module":[^"]*"\([^"]*\)".*/\1/p' "$settings")"
expect 0 '' kb config show --module /other.so
check '--module alone drops the PIN file too' grep -q '^token.pin-file *(not set)' out

# --- AWS -----------------------------------------------------------------------------------

echo '{"aws":{"region":"eu-west-1","profile":"p","endpoint-url":"http://127.0.0.1:1","ca-file":"ca.pem"}}' >aws.json
expect 0 '' kb --config aws.json config show
check 'a region of the file' shows aws.region eu-west-1 'user file'
check 'a profile of the file' shows aws.profile p 'user file'
check 'an endpoint of the file' shows aws.endpoint-url http://127.0.0.1:1 'user file'
mkdir aws.d
cp aws.json aws.d
expect 0 "$work/aws.d/ca.pem" kb --config "$work/aws.d/aws.json" config show
KEYBRIDGE_AWS_REGION=eu-north-1 KEYBRIDGE_AWS_CA_FILE=v.pem expect 0 '' kb --config aws.json config show
check 'a variable is over the file' shows aws.region eu-north-1 variable
check 'and leaves the others' shows aws.profile p 'user file'
check 'a path in a variable is as it is' shows aws.ca-file v.pem variable
AWS_REGION=us-east-1 expect 0 '' kb config show
check 'what AWS itself reads is not shown as ours' grep -q '^aws.region *(not set)' out

# --- S3 ------------------------------------------------------------------------------------

expect 0 '' kb config show
check 'new objects are under customer keys' shows s3.encryption sse-c default
echo '{"s3":{"encryption":"client","style":"path"}}' >s3.json
KEYBRIDGE_S3_STYLE=virtual expect 0 '' kb --config s3.json config show
check 'an encryption of the file' shows s3.encryption client 'user file'
check 'a style of a variable' shows s3.style virtual variable

# --- files -------------------------------------------------------------------------------

mkdir elsewhere
cp "$settings" elsewhere/mine.json
cp "$KEYBRIDGE_HOME/user.pin" "$KEYBRIDGE_HOME/softhsm2.conf" elsewhere
expect 0 'default-wrap' env KEYBRIDGE_HOME="$work/empty" "$KEYBRIDGE" --config elsewhere/mine.json key list
(cd elsewhere && KEYBRIDGE_HOME=$work/empty expect 0 'default-wrap' kb --config=mine.json key list)
check 'a settings file in the working folder' [ $? = 0 ]
expect 0 'default-wrap' kb key list --config elsewhere/mine.json
expect 3 'none.json' kb --config none.json key list
expect 2 'needs a value' kb config show --config
expect 2 '' kb config show --config elsewhere/mine.json --config elsewhere/mine.json
# wrong 'part of the sentence' TEXT
wrong() {
    printf '%s' "$2" >wrong.json
    expect 2 "$1" kb --config wrong.json config show
    check "the file is named for $2" grep -q 'wrong.json' err
}
wrong 'not one JSON object' ''
wrong 'not one JSON object' '{'
wrong 'not one JSON object' '[]'
wrong 'not one JSON object' '{} {}'
wrong 'not one JSON object' "$(printf '{"keys":{"wrap":"\377"}}')"
wrong '"colour"' '{"colour":"red"}'
wrong '"token.colour"' '{"token":{"colour":"red"}}'
wrong '"aws.colour"' '{"aws":{"colour":"red"}}'
wrong '"aws"' '{"aws":"eu-west-1"}'
wrong 'twice' '{"aws":{},"aws":{}}'
wrong '"aws.region" is not a text' '{"aws":{"region":1}}'
wrong '"token"' '{"token":"pkcs11:token=x"}'
wrong '"token.pin"' '{"token":{"pin":"1234"}}'
wrong 'twice' '{"keys":{"wrap":"a","wrap":"b"}}'
wrong 'twice' '{"keys":{"wrap":"a"},"keys":{"wrap":"b"}}'
wrong '"keys.wrap" is not a text' '{"keys":{"wrap":1}}'
wrong '"keys.wrap" is not a text' '{"keys":{"wrap":""}}'
wrong '"keys.wrap" is not a text' '{"keys":{"wrap":{"name":"x"}}}'
for workers in 0 65 1.5 '"2"' -1 null; do
    wrong '"workers" is not a number from 1 to 64' "{\"workers\":$workers}"
done
head -c 70000 /dev/zero | tr '\0' ' ' >large.json
expect 2 'large.json' kb --config large.json config show
expect 1 'elsewhere' kb --config elsewhere config show
echo '{"workers":7}' >seven.json
expect 0 '' kb --config seven.json config show
check 'a number of the file' shows workers 7 'user file'
expect 2 "'x'" env KEYBRIDGE_WORKERS=x "$KEYBRIDGE" item encrypt --table T --partition-key id
finish
