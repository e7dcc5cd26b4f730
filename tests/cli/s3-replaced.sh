#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Objects of ours that somebody else writes over, at Ceph's gateway.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/s3-lib.sh"
new_home
cd "$work" || exit
b=s3://$bucket
echo 'what we stored' >ours
echo 'what they stored' >theirs
expect 0 '' s3 mb --versioning "$b"
expect 0 '' s3 mb "$b-plain"
# Somebody who may write, and has nothing of ours.
mkdir other
they() { KEYBRIDGE_HOME=$work/other kb -q s3 "$@"; }

put ours "$b/o"
put ours "$b-plain/o"
version=$(field version "$b/o")
check 'they can write' they put --encryption none theirs "$b/o"
check 'they can write here' they put --encryption none theirs "$b-plain/o"
expect 4 'other versions only' s3 get "$b/o" got
expect 4 'other versions only' s3 cat "$b/o"
expect 4 'other versions only' s3 cat --try-all-keys "$b/o"
expect 4 'another ETag' s3 get "$b-plain/o" got
check 'nothing was published' [ ! -e got ]
expect 0 '' s3 cat --version-id "$version" "$b/o"
check 'ours is still there' cmp -s ours out
other=$(kb s3 ls --versions --json "$b/o" | sed -n 's/.*"version":"\([^"]*\)".*/\1/p' |
    grep -vxF -e "$version")
expect 0 '' s3 cat --version-id "$other" "$b/o"
check 'theirs by its name' cmp -s theirs out
kb s3 verify "$b/" >found
check 'verify tells it' [ "$(grep -c '^replaced' found)" = 1 ]
kb s3 verify --versions "$b/" >found
check 'among all versions' [ "$(grep -c '^replaced' found)" = 1 ]
kb s3 verify "$b-plain/" >found
check 'without versions' [ "$(grep -c '^changed' found)" = 1 ]
kb s3 audit "$b/" >found
check 'and audit' [ "$(grep -c '^replaced' found)" = 1 ]
# Put again, it is ours again.
put ours "$b/o"
expect 0 '' s3 cat "$b/o"
check 'ours again' cmp -s ours out
finish
