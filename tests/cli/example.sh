#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The example of libkeybridge(3): what it encrypts, the command reads.
. "$(dirname "$0")/lib.sh"
new_home
cd "$work" || exit
example=$(dirname "$KEYBRIDGE")/encrypt-item

check 'the example runs' sh -c "'$example' >sealed"
expect 0 '"name":{"S":"Ann"}' kb item decrypt --table People --partition-key id -i sealed
check 'the example takes an item' sh -c "'$example' '{\"id\":{\"S\":\"b\"},\"x\":{\"N\":\"1.50\"}}' >sealed"
expect 0 '"x":{"N":"1.5"}' kb item decrypt --table People --partition-key id -i sealed
check 'the example refuses nonsense' sh -c "! '$example' nonsense >sealed 2>err"
check 'the manual shows this program' sh -c "sed -n '/^#include <keybridge/,\$p' '$here/../../examples/encrypt-item.c' |
    while IFS= read -r line; do case \$line in '' | *\\\\*) ;; *) grep -qF -- \"\$line\" '$here/../../man/libkeybridge.3' || exit 1 ;; esac; done"
finish
