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

# --- two of ours at once ----------------------------------------------------------------------

# The slow one is begun first, and ends last: it is what the server has.
echo 'what is slow' >slow
echo 'what is fast' >fast
states() { kb vault objects "$b-plain/raced" | sed 's/ .*//' | tr '\n' ' '; }
put ours "$b-plain/raced"
mkfifo pipe
"$KEYBRIDGE" -q s3 put - "$b-plain/raced" <pipe &
pid=$!
exec 9>pipe
tries=0
while [ "$(states)" != 'pending stored ' ] && [ $tries -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
check 'the slow one is begun' [ "$(states)" = 'pending stored ' ]
put fast "$b-plain/raced"
check 'the fast one took the place of the first' [ "$(states)" = 'stored pending removed ' ]
expect 0 '' s3 cat "$b-plain/raced"
check 'and is there' cmp -s fast out
cat slow >&9
exec 9>&-
wait $pid
check 'the slow one is stored' [ $? = 0 ]
check 'and either may be there' [ "$(states)" = 'stored stored removed ' ]
expect 0 '' s3 cat "$b-plain/raced"
check 'the slow one is' cmp -s slow out
kb s3 verify "$b-plain/raced" >found
check 'verify finds nothing' [ "$(grep -c '^changed' found)" = 0 ]
expect 0 '' s3 rotate "$b-plain/raced"
expect 0 '' s3 cat "$b-plain/raced"
check 'rotated it is the slow one' cmp -s slow out
check 'the next one takes the place of both' [ "$(states)" = 'stored removed removed removed ' ]
finish
