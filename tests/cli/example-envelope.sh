#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The example of a stream: what it encrypts comes back, whole or not at all.
. "$(dirname "$0")/lib.sh"
new_home
cd "$work" || exit
example=$(dirname "$KEYBRIDGE")/envelope
expect 0 '' kb key create backup --use envelope --type aes-256
expect 0 '' kb key create other --use envelope --type aes-256

cat "$data" "$data" "$data" >plain
exits() { # EXIT COMMAND…
    want=$1
    shift
    "$@" 2>err
    [ $? -eq "$want" ]
}
check 'a stream is encrypted' sh -c "'$example' encrypt backup <plain >sealed"
check 'and decrypted' sh -c "'$example' decrypt backup <sealed >opened"
check 'to what it was' cmp plain opened
check 'files are encrypted' "$example" encrypt backup plain sealed
check 'and decrypted' "$example" decrypt backup sealed opened
check 'to what they were' cmp plain opened
check 'nothing is a message too' sh -c "'$example' encrypt backup </dev/null >empty && '$example' decrypt backup <empty >opened"
check 'of no bytes' test ! -s opened

head -c 100000 sealed >cut.sealed
echo before >opened
check 'a message that is cut short' exits 4 "$example" decrypt backup cut.sealed opened
check 'leaves the file' grep -q before opened
check 'also where another key is asked for' exits 4 "$example" decrypt other sealed opened
check 'or none that is there' exits 3 "$example" decrypt nobody sealed opened
check 'or no message is given' exits 4 "$example" decrypt backup plain opened
check 'the file is still there' grep -q before opened
check 'the usage is said' exits 2 "$example" decrypt
finish
