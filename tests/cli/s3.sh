#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge s3: SSE-C and the server's own encryption, at Ceph's gateway.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/s3-lib.sh"
new_home
cd "$work" || exit
b=s3://$bucket
openssl rand 100000 >page
: >empty
expect 0 '' s3 mb "$b"
expect 0 "$bucket" s3 ls

# --- before there is a vault -----------------------------------------------------------------

expect 3 '' s3 get "$b/nothing" back
expect 0 '' s3 put --encryption none page "$b/clear"
check 'objects in the clear need no vault' [ ! -e "$KEYBRIDGE_HOME/vault.db" ]
expect 0 '' s3 get "$b/clear" back
check 'and come back' cmp -s page back
expect 0 'nobody: it lies there in the clear' s3 head "$b/clear"

# --- one object -------------------------------------------------------------------------------

expect 0 'sse-c, key' s3 put page "$b/page"
check 'the vault is made' [ -e "$KEYBRIDGE_HOME/vault.db" ]
rm -f back
expect 0 '' s3 get "$b/page" back
check 'it comes back' cmp -s page back
check 'a plaintext is private' [ "$(stat -c %a back)" = 600 ]
expect 2 'there already' s3 get "$b/page" back
expect 2 '--yes replaces it' s3 get "$b/page" back
expect 0 '' s3 get --yes "$b/page" back
expect 0 'refused, as tried' s3 head "$b/page"
expect 0 'in the vault' s3 head "$b/page"
expect 0 'stored and verified by us' s3 head "$b/page"
check 'the inventory has the SHA-256' \
    [ "$(field sha256 "$b/page")" = "$(sha256sum page | cut -d' ' -f1)" ]
check 'the server is not told it' [ "$(s3 head --json "$b/page" | grep -c metadata)" = 0 ]
put page "$b/page2"
one=$(field vault.key "$b/page") two=$(field vault.key "$b/page2")
check 'each object has its own key' [ -n "$one" -a -n "$two" -a "$one" != "$two" ]
expect 0 "\"bytes\":100000" s3 put --json page "$b/page"
expect 0 "\"sha256\":\"$(sha256sum page | cut -d' ' -f1)\"" s3 get --json --yes "$b/page" back
for size in 0 1 5242879 5242880 5242881 11000000; do
    head -c $size /dev/urandom >sized
    expect 0 '' s3 put --part-size 5M sized "$b/sized"
    s3 cat "$b/sized" >back
    check "$size bytes" cmp -s sized back
    put --part-size 5M - "$b/piped" <sized
    s3 cat --part-size 5M "$b/piped" >back
    check "$size bytes of a pipe" cmp -s sized back
    check "$size bytes are told" [ "$(s3 head "$b/sized" | sed -n 's/^size *//p')" = $size ]
done
# Parts of more than 8 MiB are sent from the file, not from memory.
for parts in 9M:2 12M:1; do
    for signed in '' --sign-payload; do
        expect 0 "\"parts\":${parts#*:}" s3 put --json $signed --part-size ${parts%:*} sized "$b/sized"
        s3 cat "$b/sized" >back
        check "a file in parts of ${parts%:*}" cmp -s sized back
        check 'its SHA-256' [ "$(field sha256 "$b/sized")" = "$(sha256sum sized | cut -d' ' -f1)" ]
    done
done
(cat sized; sleep 0.3; cat page) | put --part-size 5M - "$b/slow"
cat sized page >both
check 'a pipe that pauses' sh -c "'$KEYBRIDGE' s3 cat $b/slow | cmp -s - both"
for range in 0-0 5-99 99999- 0-; do
    first=${range%-*} last=${range#*-}
    expect 0 '' s3 cat --range "$range" "$b/page"
    tail -c +$((first + 1)) page | head -c $((${last:-99999} - first + 1)) >part
    check "range $range" cmp -s part out
done
expect 3 'only 100000 bytes' s3 cat --range 100000- "$b/page"
expect 2 'ends before it begins' s3 cat --range 9-3 "$b/page"
put -m colour=blue -m size=7 --tag a=b --tag 'c d=e&f' --content-type text/plain page "$b/dressed"
expect 0 'colour=blue' s3 head "$b/dressed"
expect 0 'text/plain' s3 head "$b/dressed"
expect 0 '' s3 put --if-none-match page "$b/new"
expect 2 '' s3 put --if-none-match page "$b/new"

# --- keys ---------------------------------------------------------------------------------------

kb -q vault create --name shared >/dev/null 2>&1
kb -q vault create --scope "$bucket/below" >/dev/null 2>&1
expect 0 '' s3 put --vault-key shared page "$b/named"
expect 0 'shared' s3 head "$b/named"
expect 0 '' s3 put --key-per prefix page "$b/below/x"
expect 3 '' s3 put --key-per prefix page "$b/elsewhere/x"
expect 3 '' s3 put --vault-key missing page "$b/x"
expect 4 '' s3 get --vault-key shared "$b/page" other
check 'the wrong key publishes nothing' [ ! -e other ]
id=$(field vault_key "$b/page")
expect 0 '' kb vault disable "$id"
expect 5 '' s3 get "$b/page" other
expect 0 'not tried: the key is disabled' s3 head "$b/page"
check 'it is told all the same' grep -q '^key-state *disabled' out
expect 0 '' kb vault enable "$id"
# Of a copy by other means there is no row: its key is found by trying.
(KEYBRIDGE_HOME=$work/elsewhere && new_home "$work/elsewhere") >/dev/null 2>&1
check 'another vault does not open it' [ "$(KEYBRIDGE_HOME=$work/elsewhere s3 cat "$b/page" 2>&1 >other | grep -c 'customer key')" = 1 ]
check 'and nothing comes out' [ ! -s other ]
# Stored by another program under a key of the vault; the gateway tells no fingerprint.
cat >stranger.sh <<'EOF'
sse=x-amz-server-side-encryption-customer
key=$(cat "/dev/fd/$KEYBRIDGE_KEY_FD")
md5=$(printf %s "$key" | base64 -d | openssl md5 -binary | base64)
exec python3 "$1" PUT "$2" $sse-algorithm:AES256 "$sse-key:$key" "$sse-key-md5:$md5" <page
EOF
rm -f other
expect 0 '' s3 with-key --vault-key shared --form base64 "$b/" -- \
    sh stranger.sh "$here/../servers/s3_ask.py" "/$bucket/theirs"
expect 4 '' s3 get "$b/theirs" other
check 'no row, no key' [ ! -e other ]
expect 0 '' s3 get --try-all-keys "$b/theirs" other
check 'all keys are tried' cmp -s page other
expect 0 'shared' s3 head --try-all-keys "$b/theirs"
expect 4 '' env KEYBRIDGE_HOME="$work/elsewhere" "$KEYBRIDGE" s3 cat --try-all-keys "$b/theirs"

# --- what was overwritten, and what came to nothing -----------------------------------------------

# Rows and keys of an object by their states: "stored removed", "active retired" and so on.
row_states() { s3_rows=$(kb vault objects --json "$b/$1" 2>/dev/null | sed -n 's/.*"state":"\([a-z]*\)".*/\1/p' | sort | uniq -c | tr -s ' \n' ' '); echo "$s3_rows"; }
key_states() { kb vault list 2>/dev/null | awk -v scope="$bucket/$1" '$NF == scope {print $2}' | sort | uniq -c | tr -s ' \n' ' '; }
for i in 1 2 3; do put page "$b/again"; done
check 'one of three is stored' [ "$(row_states again)" = ' 2 removed 1 stored ' ]
check 'one key is active' [ "$(key_states again)" = ' 1 active 2 retired ' ]
expect 0 '' s3 get --yes "$b/again" back
expect 0 '' s3 rm "$b/again"
check 'none is stored' [ "$(row_states again)" = ' 3 removed ' ]
check 'nor active' [ "$(key_states again)" = ' 3 retired ' ]
# Options that a verb would not use are not taken.
expect 2 'unknown option' s3 verify --version-id x "$b/"
expect 2 'unknown option' s3 verify --vault-key x "$b/"
# What is wrong with the arguments is said before a key is made.
made=$(kb vault list | wc -l)
expect 2 'name of metadata' s3 put -m 'a b=c' page "$b/odd"
expect 2 'x-amz-meta-a cannot be sent' s3 put -m 'a=ü' page "$b/odd"
expect 2 'x-amz-meta-A is there twice' s3 put -m a=1 -m A=2 page "$b/odd"
expect 2 'storage-class cannot be sent' s3 put --storage-class ' x' page "$b/odd"
expect 3 'no-such-file: it cannot be opened' s3 put no-such-file "$b/odd"
expect 2 'it is a folder' s3 put . "$b/odd"
check 'no key is made' [ "$(kb vault list | wc -l)" = "$made" ]
check 'nor a vault' sh -c "mkdir fresh && cp -rp '$KEYBRIDGE_HOME'/* fresh && rm -f fresh/vault.db* &&
    KEYBRIDGE_HOME=\$PWD/fresh '$KEYBRIDGE' s3 put -m a=ü page $b/odd 2>/dev/null
    [ \$? = 2 ] && [ ! -e fresh/vault.db ]"
expect 3 '' s3 put page s3://no-such-bucket-here/odd
check 'no key without an object is active' \
    [ "$(kb vault list | grep -c ' active .*/odd$')" = 0 ]
expect 3 '' s3 with-key --new "$b/handed" -- true
check 'nor one that was handed out for nothing' [ "$(key_states handed)" = ' 1 retired ' ]
expect 7 '' s3 with-key --new "$b/handed" -- sh -c 'echo keybridge: no >&2; exit 7'
check 'nor to a program that failed' [ "$(key_states handed)" = ' 2 retired ' ]

# --- the server's own -----------------------------------------------------------------------------

expect 0 '' s3 put --encryption sse-kms --kms-key testkey-1 page "$b/kms"
expect 0 'testkey-1' s3 head "$b/kms"
expect 0 '' s3 get --yes "$b/kms" back
check 'SSE-KMS comes back' cmp -s page back
# This gateway takes the header of SSE-S3 and does nothing.
expect 7 'did not encrypt' s3 put --encryption sse-s3 page "$b/s3"
expect 7 'was removed' s3 put --encryption sse-s3 page "$b/s3"
check 'nothing was there before' sh -c '! grep -q before err'
expect 3 '' s3 head "$b/s3"
put --encryption none page "$b/over"
expect 7 'what was there before was overwritten' s3 put --encryption sse-s3 page "$b/over"
check 'the inventory knows' [ "$(row_states over)" = ' 1 removed ' ]
expect 0 'nothing is there' s3 verify "$b/over"
expect 3 '' s3 put page s3://no-such-bucket-here/x
expect 5 '' env AWS_SECRET_ACCESS_KEY=wrong "$KEYBRIDGE" s3 put page "$b/x"

# --- the setting ------------------------------------------------------------------------------

settings=$KEYBRIDGE_HOME/keybridge.json
cp "$settings" settings.json
sed 's/^{/{"s3":{"encryption":"none"},/' settings.json >"$settings"
expect 0 '' s3 put page "$b/as-set"
expect 0 'nobody: it lies there in the clear' s3 head "$b/as-set"
expect 0 'sse-c, key' s3 put --encryption sse-c page "$b/as-set"
expect 2 'for --encryption sse-c' s3 put --vault-key shared page "$b/as-set"
expect 0 'sse-c, key' env KEYBRIDGE_S3_ENCRYPTION=sse-c "$KEYBRIDGE" s3 put page "$b/as-set"
expect 2 "not 'rot13'" env KEYBRIDGE_S3_ENCRYPTION=rot13 "$KEYBRIDGE" s3 put page "$b/x"
sed 's/^{/{"s3":{"encryption":"rot13"},/' settings.json >"$settings"
expect 2 'rot13' s3 put page "$b/x"
mv settings.json "$settings"
expect 0 'sse-c, key' s3 put page "$b/as-set"

# --- options that contradict each other -------------------------------------------------------------

expect 2 'over http' s3 put --endpoint-url http://127.0.0.1:1 page "$b/x"
expect 7 'for another host name' s3 ls --endpoint-url "https://a.b.localhost:${KB_RGW_URL##*:}"
expect 2 '' s3 put --encryption rot13 page "$b/x"
expect 2 'needs --key' s3 put --encryption client page "$b/x"
expect 2 '' s3 put --key k page "$b/x"
expect 2 '' s3 put --encryption none --vault-key shared page "$b/x"
expect 2 '' s3 put --vault-key a --key-per object page "$b/x"
expect 2 '' s3 put --key-per bucket page "$b/x"
expect 2 '' s3 put --encryption sse-s3 --kms-key k page "$b/x"
expect 2 '' s3 put --encryption none --sse-c page "$b/x"
expect 2 '' s3 put --instruction-file page "$b/x"
expect 2 '5M to 5G' s3 put --part-size 4M page "$b/x"
expect 2 '5M to 5G' s3 put --part-size 6G page "$b/x"
expect 2 '' s3 put --part-size 99999999999999999999G page "$b/x"
expect 2 '' s3 put --style round page "$b/x"
expect 2 '' s3 put page "$b"x/../y/z page
expect 2 '' s3 put - "$b/"
expect 2 '' s3 put page - "$b/x/"
expect 2 'slash' s3 put page empty "$b/x"
expect 2 '' s3 put "$work" "$b/x"
expect 3 '' s3 put missing "$b/x"
expect 2 '' s3 get "$b"
expect 2 '' s3 get -r "$b/x"
expect 2 '' s3 cat --json "$b/page"
expect 2 '' s3 mb "$b/x"
expect 2 '' s3 put page nonsense

# --- many -----------------------------------------------------------------------------------------------

mkdir -p tree/a/b
for i in 1 2 3 4 5 6 7 8 9; do head -c 3000 /dev/urandom >tree/a/f$i; done
odd="sp ace+%&'\"ü"
echo odd >"tree/a/b/$odd"
: >tree/a/b/empty
ln -s /etc/passwd tree/link
expect 0 '11 objects stored' s3 put -r tree "$b/t"
expect 0 'no file: passed over' s3 put -r tree "$b/t"
expect 0 '11 objects read' s3 get -r "$b/t/" got
rm tree/link
check 'a tree comes back' diff -r tree got
expect 2 'no object came through' s3 get -r "$b/t" got
rm got/a/f1
expect 8 'there already' s3 get -r "$b/t" got
expect 0 '' s3 get -r --yes "$b/t" got
check 'again' diff -r tree got
expect 0 '2 objects stored' s3 put page empty "$b/two/"
expect 0 'two/page' s3 ls -r "$b/two/"
expect 0 '"key":"two/empty"' s3 ls --json "$b/two/"
expect 0 '' s3 put page "$b/two/"
expect 8 'missing: ' s3 put page missing "$b/two/"
# One of two would be lost, and which one is up to the server.
mkdir -p twins/a twins/b
echo a >twins/a/x
echo b >twins/b/x
expect 2 "twins/a/x and twins/b/x would both become $b/twins/x" \
    s3 put -r twins/a twins/b "$b/twins/"
expect 2 "twins/a/x and twins/b/x would both become $b/twins/x" \
    s3 put page twins/a/x twins/b/x "$b/twins/"
check 'and nothing was sent' [ -z "$(s3 ls -r "$b/twins/")" ]
expect 0 '3 objects stored' s3 put -r twins page "$b/twins/"
head -c 10 "tree/a/b/$odd" >/dev/null
touch "$(printf 'tree/a/not\377utf8')"
expect 8 'UTF-8' s3 put -r tree "$b/t"
rm "$(printf 'tree/a/not\377utf8')"
# Names that are no paths.
for key in ../up a/../../up /absolute x//y z/. "$(printf 'con\033trol')"; do
    put page "$b/evil/$key"
done
put page "$b/evil/good"
put empty "$b/evil/folder/"
expect 8 'leads elsewhere' s3 get -r "$b/evil" evil
check 'the good one is there' cmp -s page evil/good
check 'and nothing else, anywhere' [ "$(find . -name up -o -name absolute -o -name y | wc -l)" = 0 ]
mkdir trap
ln -s /tmp evil2
put page "$b/links/sub/file"
mkdir links
ln -s "$work/trap" links/sub
expect 5 'is no folder' s3 get -r --yes "$b/links" links
check 'a link does not lead out' [ -z "$(ls trap)" ]
# A file where another has a folder.
put page "$b/clash/a"
put page "$b/clash/a/b"
expect 8 '' s3 get -r "$b/clash" clash

# --- removal ----------------------------------------------------------------------------------------------

expect 2 'would be deleted' s3 rm -r "$b/t" </dev/null
expect 0 '11 deleted' s3 rm -ry "$b/t"
expect 0 'nothing is there' s3 rm -r --yes "$b/t"
expect 0 '' s3 rm "$b/page"
expect 3 '' s3 head "$b/page"
expect 0 '' s3 rm "$b/page2" "$b/new"
expect 0 '' s3 mb --versioning "$b-versions"
put page "$b-versions/v"
put empty "$b-versions/v"
expect 0 latest s3 ls --versions "$b-versions"
old=$(s3 ls --json --versions "$b-versions" | sed -n 's/.*"size":100000.*"version":"\([^"]*\)".*/\1/p')
expect 0 '' s3 get --yes --version-id "$old" "$b-versions/v" back
check 'an old version under its own key' cmp -s page back
expect 0 '' s3 rm "$b-versions/v"
expect 3 '' s3 cat "$b-versions/v"
expect 0 '' s3 get --yes --version-id "$old" "$b-versions/v" back
expect 0 '3 deleted' s3 rm --versions --yes "$b-versions/v"

# --- somebody else wrote it ---------------------------------------------------------------------------------

put --vault-key shared page "$b/ours"
KEYBRIDGE_HOME=$work/nowhere put --encryption none empty "$b/ours"
rm -f other
expect 4 'not what was stored' s3 get "$b/ours" other
check 'it is not published' [ ! -e other ]
expect 4 'not what was stored' s3 get --vault-key shared "$b/ours" other
check 'nor for who names a key that it is not under' [ ! -e other ]

# --- cut, and gone on with ------------------------------------------------------------------------------------

head -c 60000000 /dev/urandom >large
begin() { # seconds, more options
    wait=$1
    shift
    "$KEYBRIDGE" -q s3 put --resume --part-size 5M --connections 2 "$@" large "$b/large" &
    pid=$!
    sleep "$wait"
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
}
for seconds in 0.1 0.2 0.3 0.4 0.5; do begin $seconds; done 2>/dev/null
expect 0 '' s3 put --resume --part-size 5M large "$b/large"
check 'an upload that was cut' sh -c "'$KEYBRIDGE' s3 cat $b/large | cmp -s - large"
remembered() { python3 -c "import sqlite3
print(sqlite3.connect('$KEYBRIDGE_HOME/vault.db').execute('SELECT COUNT(*) FROM uploads').fetchone()[0])"; }
# signal_begun SIGNAL PID: as soon as an upload is remembered, if the run lasts so long.
signal_begun() {
    python3 - "$KEYBRIDGE_HOME/vault.db" "$@" <<'END'
import os, signal, sqlite3, sys, time
path, name, pid = sys.argv[1:]
uploads = sqlite3.connect(path, timeout=60).execute
try:
    while not uploads("SELECT COUNT(*) FROM uploads").fetchone()[0] and ") Z" not in open(f"/proc/{pid}/stat").read():
        time.sleep(0.01)
    os.kill(int(pid), signal.Signals["SIG" + name])
except OSError:
    pass  # it has ended
END
}
head -c 60000000 /dev/urandom >large
for _ in 1 2 3 4 5; do
    [ "$(remembered)" = 0 ] || break
    "$KEYBRIDGE" -q s3 put --resume --part-size 5M --connections 2 large "$b/large" &
    pid=$!
    signal_begun KILL $pid
    wait $pid
done 2>/dev/null
check 'one that was cut is remembered' [ "$(remembered)" = 1 ]
echo more >>large
expect 0 '' s3 put --resume --part-size 5M large "$b/large"
check 'a file that changed is another' sh -c "'$KEYBRIDGE' s3 cat $b/large | cmp -s - large"
check 'the upload of what it was is removed' [ "$(remembered)" = 0 ]
expect 2 'only the upload of a file' s3 put --resume - "$b/large" </dev/null
expect 0 '' s3 put --sign-payload --part-size 5M large "$b/large"
check 'parts that are signed' sh -c "'$KEYBRIDGE' s3 cat $b/large | cmp -s - large"

# Killed at any moment: every object that is there can be read.
n=0
for delay in 0.05 0.1 0.15 0.2 0.25 0.3 0.4 0.5 0.7 1 1.5 2.5 4 8; do
    # The longer ones are for slow machines.
    case $delay in
    0.*) ;;
    *) [ "$(uploads "$bucket")" = 0 ] || [ -z "$(s3 ls -r --json "$b/killed")" ] || break ;;
    esac
    n=$((n + 1))
    "$KEYBRIDGE" -q s3 put -r tree "$b/killed$n" 2>/dev/null &
    pid=$!
    "$KEYBRIDGE" -q s3 put --part-size 5M large "$b/killed$n/large" 2>/dev/null &
    pid2=$!
    sleep $delay
    kill -KILL $pid $pid2
    wait $pid $pid2
done 2>/dev/null
there=0 lost=0
for key in $(s3 ls -r --json "$b/killed" | sed -n 's/.*"key":"\([^" ]*\)",.*/\1/p'); do
    there=$((there + 1))
    s3 cat "$b/$key" >/dev/null 2>&1 || lost=$((lost + 1))
done
check "some of $n runs stored something" [ $there -gt 0 ]
check 'no object without its key' [ $lost = 0 ]
check 'killed runs leave uploads behind' [ "$(uploads "$bucket")" -gt 0 ]
# A signal leaves no upload behind.
"$KEYBRIDGE" -q s3 put --resume --part-size 5M large "$b/stopped" 2>stopped &
pid=$!
signal_begun TERM $pid
wait $pid 2>/dev/null || check 'who stopped it is told how it goes on' grep -q 'the same command goes on' stopped
expect 0 '' s3 put page "$b/after"
expect 0 '' s3 mb "$b-stopped"
for signal in INT TERM HUP; do
    mkfifo pipe
    # Background jobs of a shell ignore SIGINT, those of nohup SIGHUP; env takes that back.
    env --default-signal=INT,HUP "$KEYBRIDGE" -q s3 put --part-size 5M - "$b-stopped/object" <pipe 2>err &
    pid=$!
    exec 9>pipe
    head -c 12000000 large >&9
    tries=0
    while [ "$(uploads "$bucket-stopped")" = 0 ] && [ $tries -lt 600 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    check "SIG$signal: an upload is under way" [ "$(uploads "$bucket-stopped")" = 1 ]
    kill -"$signal" $pid
    exec 9>&-
    wait $pid 2>/dev/null
    check "SIG$signal ends it" [ $? != 0 ]
    rm pipe
    check "SIG$signal leaves no upload behind" [ "$(uploads "$bucket-stopped")" = 0 ]
    expect 3 '' s3 head "$b-stopped/object"
done

# --- signals while nobody reads the output --------------------------------------------------

mkfifo unread
exec 9<>unread
pipe_is_full() { python3 -c 'import fcntl, sys, termios
size = int.from_bytes(fcntl.ioctl(9, termios.FIONREAD, bytes(4)), sys.byteorder)
sys.exit(size < fcntl.fcntl(9, 1032) * 3 // 4)'; } # F_GETPIPE_SZ; lines leave their pages half full
ended() { case $(ps -o stat= -p "$1") in '' | Z*) return 0 ;; esac; return 1; }
await() { # up to a minute
    for _ in $(seq 600); do
        "$@" && return
        sleep 0.1
    done
    return 1
}
interrupted() { # signal, command…
    signal=$1
    shift
    env --default-signal=INT,HUP "$KEYBRIDGE" "$@" >&9 2>err &
    pid=$!
    check "$*: the pipe is full" await pipe_is_full
    kill -"$signal" $pid 2>/dev/null
    check "$*: SIG$signal ends it" await ended $pid
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    dd if=unread of=/dev/null bs=1M iflag=nonblock status=none 2>/dev/null
}
for signal in INT TERM HUP; do
    interrupted $signal s3 cat "$b/large"
done
interrupted TERM s3 get --yes "$b/large" unread
kb -q key create env --use envelope --type aes-256
expect 0 '' kb envelope encrypt --key env -i large -o "$b/message"
interrupted TERM envelope decrypt --key env -i "$b/message"
exec 9>&-
finish
