#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge s3: objects that are encrypted before they are sent, at Ceph's
# gateway.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/s3-lib.sh"
new_home
cd "$work" || exit
b=s3://$bucket
kb -q key create env --use envelope --type aes-256
kb -q key create env2 --use envelope --type aes-256
kb -q key create rsa --use wrap --type rsa-2048
openssl rand 100000 >page
head -c 12000000 /dev/urandom >long
: >empty
expect 0 '' s3 mb "$b"

# --- there and back -------------------------------------------------------------------------------

round() { # key, reading options, writing options…
    key=$1 reading=$2
    shift 2
    for file in $sizes; do
        rm -f back
        # Nothing is put over an object with an instruction file.
        s3 rm "$b/o" >/dev/null
        expect 0 '' s3 put "$@" --key "$key" --part-size 5M $file "$b/o"
        # shellcheck disable=SC2086  # words
        expect 0 '' s3 get --key "$key" $reading "$b/o" back
        check "$file: $*" cmp -s $file back
        # shellcheck disable=SC2086
        s3 cat --key "$key" $reading "$b/o" >back
        check "$file to a stream: $*" cmp -s $file back
        expect 0 '' s3 cat --raw "$b/o"
        [ $file = empty ] || check "$file is not plain: $*" [ "$(cmp -s $file out && echo same)" = '' ]
    done
    # A key of another kind is another matter.
    # shellcheck disable=SC2086
    [ $key = rsa ] || expect 4 '' s3 get --key env2 $reading --yes "$b/o" back
    expect 2 '--key' s3 cat "$b/o"
}
for key in env rsa; do
    [ $key = env ] && sizes='empty page long' || sizes=page
    round $key '' --encryption client
    round $key '--policy forbid-allow' --encryption client --client-format v2
    round $key '' --encryption client --instruction-file
    expect 0 'o.instruction' s3 ls "$b"
    # Without versions the object could not be read between the two writes.
    expect 2 'instruction file already' s3 put --encryption client --instruction-file --key $key page "$b/o"
    s3 cat --key $key "$b/o" >back
    check 'what was there is there still' cmp -s $file back
    expect 0 '' s3 rm "$b/o"
    round $key '--policy forbid-allow' --encryption client --client-format v2 --instruction-file --sse-c
    expect 0 '' s3 rm "$b/o"
    check 'its instruction file goes with it' [ -z "$(s3 ls "$b/o")" ]
    round $key '' --encryption client-envelope
    round $key '' --encryption client-envelope --sse-c
    expect 0 'SSE-C beneath' s3 head "$b/o"
done
expect 0 '' s3 put --encryption client --key env --description kind=test page "$b/o"
expect 0 'beside the object, wrapped by a key of a token' s3 head "$b/o"
expect 0 'version 3' s3 head "$b/o"
expect 0 'kind' s3 head "$b/o"
expect 2 'belongs to' s3 put --encryption client --key env -m x-amz-3=x page "$b/o"
# The policy refuses version 2 unless it is asked for.
expect 0 '' s3 put --encryption client --client-format v2 --key env page "$b/v2"
expect 5 '' s3 cat --key env "$b/v2"
expect 0 'version 2' s3 head "$b/v2"

# A file that would take the place of another one's keys.
mkdir -p pairs
cp page pairs/x
cp page pairs/x.instruction
expect 2 "would both become $b/pairs/x.instruction" \
    s3 put -r --encryption client --key env --instruction-file pairs "$b/pairs/"
check 'and nothing was sent' [ -z "$(s3 ls -r "$b/pairs/")" ]
expect 0 '2 objects stored' s3 put -r --encryption client --key env pairs "$b/pairs/"

# An instruction file is under the key of its object, and is none of a stranger.
expect 0 '' s3 put --encryption client --key env --sse-c --instruction-file page "$b/ci/o"
expect 0 '0 to note, 2 good' s3 verify "$b/ci/"
check 'no alarm' sh -c "'$KEYBRIDGE' s3 audit --json $b/ci/ 2>/dev/null | { ! grep not-ours; }"
expect 0 'x-amz' s3 cat --raw "$b/ci/o.instruction"
expect 0 'in the vault' s3 head "$b/ci/o.instruction"
expect 0 'passed over' s3 rotate "$b/ci/o.instruction"
expect 8 'get it and put it again' s3 rotate -r --key env "$b/ci"
check 'only the object' [ "$(grep -c 'get it and put' err)" = 1 ]
expect 0 '' s3 cp -r --key env "$b/ci" "$b/ci2"
s3 cat --key env "$b/ci2/o" >back
check 'copied with its file' cmp -s page back
expect 0 '0 to note, 2 good' s3 verify "$b/ci2/"

# --- ranges ------------------------------------------------------------------------------------------

expect 0 '' s3 put --encryption client-envelope --key env long "$b/e"
expect 0 '' s3 put --encryption client --key env long "$b/c"
for range in 0-0 4095-4096 5-99999 11999999- 11999990-20000000; do
    first=${range%-*} last=${range#*-}
    tail -c +$((first + 1)) long | head -c $((${last:-20000000} - first + 1)) >part
    expect 0 '' s3 cat --key env --range $range "$b/e"
    check "range $range of an envelope" cmp -s part out
    expect 0 '' s3 cat --key env --legacy-unauthenticated --range $range "$b/c"
    check "range $range of a client's" cmp -s part out
done
expect 3 '' s3 cat --key env --range 12000000- "$b/e"
expect 3 '' s3 cat --key env --legacy-unauthenticated --range 12000000- "$b/c"
expect 5 'legacy-unauthenticated' s3 cat --key env --range 0-9 "$b/c"

# --- altered ------------------------------------------------------------------------------------------

# What a server may do with a body and its metadata.
alter() { # at, from, to, metadata of the copy
    s3 cat --raw "$2" >body
    change_byte body "$1"
    s3 head --json "$2" | tr '{,}' '\n\n\n' | sed -n 's/^"\(x-amz-[^"]*\|keybridge-[^"]*\)":"\([^"]*\)".*/\1=\2/p' >meta
    set -- "$3"
    while IFS= read -r line; do set -- "$@" -m "$line"; done <meta
    to=$1
    shift
    put --encryption none "$@" body "$to"
}
expect 0 '' s3 put --encryption client --key env page "$b/c"
expect 0 '' s3 put --encryption client-envelope --key env page "$b/e"
for at in 0 50000 99999 100010; do
    alter $at "$b/c" "$b/c-bad"
    expect 4 '' s3 cat --key env "$b/c-bad"
    check "nothing of a body altered at $at comes out" [ ! -s out ]
    expect 4 '' s3 get --key env "$b/c-bad" bad
    check 'and no file' [ ! -e bad ]
done
alter 60000 "$b/e" "$b/e-bad"
expect 4 '' s3 cat --key env "$b/e-bad"
expect 4 '' s3 get --key env "$b/e-bad" bad
check 'no file of an altered message' [ ! -e bad ]
expect 0 '' s3 cat --key env --range 0-4000 "$b/e-bad"
expect 4 '' s3 cat --key env --range 59000-61000 "$b/e-bad"
# Of two versions at once.
s3 cat --raw "$b/c" >body
put --encryption none -m x-amz-key-v2=AAAA -m x-amz-3=AAAA -m x-amz-iv=AAAA body "$b/spoof"
expect 4 '' s3 cat --key env "$b/spoof"
# In place of ours, by somebody else: the inventory knows.
KEYBRIDGE_HOME=$work/elsewhere put --encryption none page "$b/e"
expect 4 'not what was stored' s3 cat --key env "$b/e"

# --- envelopes by their own command --------------------------------------------------------------------

expect 0 '' kb envelope encrypt --key env -c purpose=test -i page -o "$b/msg"
expect 0 'client-envelope' s3 head "$b/msg"
rm -f back
expect 0 '' kb envelope decrypt --key env -i "$b/msg" -o back
check 'an envelope in S3' cmp -s page back
expect 0 '' kb envelope decrypt --key env -i "$b/msg"
check 'to a stream' cmp -s page out
kb envelope encrypt --key env --suite 0478 --encryption sse-c -o "$b/msg" <long
expect 0 'SSE-C beneath' s3 head "$b/msg"
expect 0 '' kb envelope decrypt --key env --range 5000000-5000099 -i "$b/msg"
tail -c +5000001 long | head -c 100 >part
check 'a range of it' cmp -s part out
put --encryption none sealed "$b/none" 2>/dev/null
kb envelope encrypt --key env -i page -o sealed
put --encryption none sealed "$b/foreign"
expect 0 '' kb envelope decrypt --key env -i "$b/foreign" -o back
check 'a message that another program stored' cmp -s page back
expect 2 '' kb envelope encrypt --key env --encryption sse-c -i page -o sealed
expect 2 '' kb envelope encrypt --key env --encryption none -i page -o "$b/x"
expect 2 '' kb envelope decrypt --key env -i page -o "$b/x"
expect 2 '' kb envelope encrypt --key env -i page -o "$b"

# --- cut, and gone on with --------------------------------------------------------------------------------

head -c 40000000 /dev/urandom >large
begin() {
    "$KEYBRIDGE" -q s3 put --resume --encryption client --key env --part-size 5M --connections 2 large "$b/large" &
    pid=$!
    sleep "$1"
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
}
for seconds in 0.2 0.3 0.4; do begin $seconds; done 2>/dev/null
expect 0 '' s3 put --resume --encryption client --key env --part-size 5M large "$b/large"
check 'an upload that was cut' sh -c "'$KEYBRIDGE' s3 cat --key env $b/large | cmp -s - large"
expect 2 'kept nowhere' s3 put --resume --encryption client-envelope --key env large "$b/large"
expect 0 '11 objects stored' sh -c "mkdir t && for i in 1 2 3 4 5 6 7 8 9 10 11; do echo \$i >t/f\$i; done && '$KEYBRIDGE' s3 put -r --encryption client --key env t $b/t"
expect 0 '11 objects read' s3 get -r --key env "$b/t" t2
check 'a tree' diff -r t t2
finish
