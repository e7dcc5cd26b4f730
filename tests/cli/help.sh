#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Help, versions, and words the command does not know.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit

verbs='token list|token show|token probe|key create|key import|key list|key show|key destroy|item encrypt
item decrypt|item inspect|envelope encrypt|envelope decrypt|envelope rewrap|envelope inspect
table create|table describe|table set-sse|table load|table put|table get
table query|table scan|table delete|kms encrypt|kms decrypt|kms generate-data-key|kms create-key
kms describe-key|config show|s3 put|s3 get|s3 cat|s3 head|s3 ls|s3 rm|s3 mb|s3 cp|s3 rotate|s3 verify
s3 audit|s3 with-key|s3 bucket|vault list|vault show|vault create|vault import-key|vault enable
vault disable|vault objects|vault events|vault check|vault export|vault import|vault repair'
expect 0 'Usage: keybridge NOUN VERB' kb --help
cp out global
check 'the nouns that work, and no others' [ "$(sed -n '/^Usage/,/^Global/s/^  \([a-z0-9][a-z0-9-]*\) .*/\1/p' out | tr '\n' ' ')" = \
    'init token key item table envelope s3 kms vault aws-policy config ' ]
check 'no line is wider than a terminal' [ "$(awk 'length > 100' out | wc -l)" = 0 ]
check 'exit codes are told' grep -q '8 some items failed' out
expect 0 '' kb -h
check '-h is --help' cmp -s out global
expect 0 'keybridge init' kb init --help
expect 0 'keybridge aws-policy' kb aws-policy --help
for noun in token key item table envelope kms config s3 vault; do
    expect 0 "keybridge $noun" kb "$noun" --help
    expect 0 "keybridge $noun" kb "$noun" -h
    expect 2 'verb is missing' kb "$noun"
    check "what $noun has is hinted at" grep -q hint err
    expect 2 "'fly'" kb "$noun" fly
    expect 2 "'fly'" kb "$noun" fly --help
done
# A long list goes on in the next line.
sed -e ':a' -e 'N;$!ba' -e 's/,\n  */, /g' global >joined
echo "$verbs" | tr '|' '\n' >verbs
while read -r noun verb; do
    expect 0 "keybridge $noun $verb" kb "$noun" "$verb" --help
    check "$noun $verb --help says what it does" [ "$(lines out)" -gt 2 ]
    check "$noun $verb is in the noun's help" [ -n "$(kb "$noun" --help | grep "^keybridge $noun $verb")" ]
    check "$noun $verb is in the list" grep -q "^  $noun .*$verb" joined
    expect 2 '--colour' kb "$noun" "$verb" --colour
    check "hint for $noun $verb" grep -q -e '--help' err
    expect 2 '-Z' kb "$noun" "$verb" -Z
    check "every option in the help of $noun $verb is taken" [ -z "$(
        kb "$noun" "$verb" --help | sed '/^Global/,$d' | grep -o -e '--[a-z-]*' | sort -u |
            while read -r option; do
                kb "$noun" "$verb" "$option" x --colour 2>&1 </dev/null | grep "unknown option $option\$"
            done)" ]
done <verbs
check 'all verbs were tried' [ "$(lines verbs)" = 55 ]
expect 0 'keybridge ' kb --version
check 'the version is one line' [ "$(lines out)" = 1 ]
check 'with a number' grep -qE '^keybridge [0-9]+[.][0-9]' out
kb >out 2>err
check 'a command without a noun is wrong' [ $? = 2 ]
check 'and told how it goes' [ -n "$(cat out err | grep 'NOUN VERB')" ]
expect 2 "'fly'" kb fly
expect 2 "'fly'" kb fly --help
expect 2 '--colour' kb --colour
expect 2 '' kb -Z key list
kb --json >out 2>err
check 'options alone are wrong' [ $? = 2 ]
expect 2 'needs a value' kb key list --token
expect 2 '' kb key list --token= --module=
expect 2 'twice' kb key list --pin-file a --pin-file b
expect 2 '' kb key list --json=yes
expect 2 '' kb '' list
expect 6 'init' kb key list
expect 6 'init' kb item encrypt --table T --partition-key id
check 'nothing was made by any of these' [ ! -e "$KEYBRIDGE_HOME" ]
finish
