#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge vault: keys, the inventory, copies of the file, moving.
. "$(dirname "$0")/lib.sh"
new_home
vault=$KEYBRIDGE_HOME/vault.db

# --- none yet ---------------------------------------------------------------------

expect 3 'there is no vault' kb vault list
expect 3 'vault create' kb vault check
expect 2 '--name NAME or --scope' kb vault create
check 'nothing was made' [ ! -e "$vault" ]

# --- keys --------------------------------------------------------------------------

expect 0 '' kb vault create --name backup
backup=$(cat "$work/out")
check 'its id is printed' [ ${#backup} = 32 ]
check 'the file is private' [ "$(stat -c %a "$vault")" = 600 ]
expect 2 "named 'backup'" kb vault create --name backup
expect 2 'BUCKET/PREFIX' kb vault create --scope bucket
expect 0 '' kb vault create --scope s3://bucket/logs/
expect 2 'cannot be' kb vault create --name 'a b'
expect 0 '' kb vault list
check 'both are listed' [ "$(wc -l <"$work/out")" = 2 ]
check 'with the scope' grep -q 'active *prefix *0  bucket/logs/' "$work/out"
expect 0 '' kb vault show backup --json
check 'shown as JSON' grep -q '"name":"backup"' "$work/out"
print=$(sed 's/.*"fingerprint":"\([^"]*\)".*/\1/' "$work/out")
expect 0 '' kb vault show "$print"
check 'found by its fingerprint' grep -q "$backup" "$work/out"
expect 3 "no key 'nobody'" kb vault show nobody
expect 0 'is disabled' kb vault disable backup
expect 0 '' kb vault show backup
check 'it is disabled' grep -q '^state *disabled' "$work/out"
expect 0 'is active' kb vault enable "$backup"
expect 0 '"state":"disabled","name":"backup"' kb vault disable --json backup
expect 0 '"state":"active","name":"backup"' kb vault enable --json backup
expect 0 "{\"good\":\"$vault\"}" kb vault check --json

printf '0123456789abcdef0123456789abcdef' >"$work/key"
secret 0123456789abcdef0123456789abcdef
expect 5 '' kb vault import-key "$work/key"
chmod 600 "$work/key"
expect 0 '' kb vault import-key "$work/key" --name given
check 'its fingerprint is the MD5' sh -c '"$1" vault show given | grep -qF "$(openssl md5 -binary "$2" | openssl base64)"' \
    sh "$KEYBRIDGE" "$work/key"
expect 2 'already' kb vault import-key "$work/key"
cp -p "$work/key" "$work/key32"
printf 'short' >"$work/key"
expect 2 '32 bytes' kb vault import-key "$work/key"

expect 0 '' kb vault objects
expect 0 '' kb vault objects s3://bucket/
check 'nothing is stored' [ ! -s "$work/out" ]
expect 2 '' kb vault objects bucket
expect 0 '' kb vault events
expect 0 'as it was left' kb vault check

# --- two processes at once ----------------------------------------------------------

for i in 1 2 3 4; do
    "$KEYBRIDGE" vault create --name "a$i" >/dev/null 2>"$work/first" &
    first=$!
    "$KEYBRIDGE" vault create --name "b$i" >/dev/null 2>"$work/second"
    second=$?
    wait "$first"
    first=$?
    check "both made a key: $(cat "$work/first" "$work/second")" [ "$first$second" = 00 ]
done
expect 0 'as it was left' kb vault check
expect 0 '' kb vault list
check 'all are there' [ "$(wc -l <"$work/out")" = 11 ]

# What is wrong is a JSON object a line.
if command -v python3 >/dev/null; then
    cp "$vault" "$work/good"
    python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
table = [n for (n,) in db.execute("select name from sqlite_master where type = \"table\"") if "key" in n][0]
db.execute(f"update {table} set name = name || \"x\" where name <> \"\"")
db.commit()' "$vault"
    "$KEYBRIDGE" vault check --json >"$work/out" 2>"$work/err"
    check 'the vault was altered' [ $? = 4 ]
    check 'each finding is a line' grep -q '^{"finding":"' "$work/out"
    cp "$work/good" "$vault"
    rm -f "$vault-wal" "$vault-shm"
fi

# --- moving --------------------------------------------------------------------------

expect 0 '' kb key create mover --use wrap --type aes-256
expect 2 'wrap-key' kb vault export "$work/moved"
expect 2 'no stream' kb vault export --wrap-key mover -
expect 2 'no stream' kb vault import --unwrap-key mover -
expect 2 'no stream' kb vault import-key - <"$work/key"
check 'no file is called so' [ ! -e - ]
expect 3 '' kb vault export --wrap-key nobody "$work/moved"
check 'nothing was left' [ ! -e "$work/moved" ]
expect 0 "wrapped by 'mover'" kb vault export --wrap-key mover "$work/moved"
check 'it is private' [ "$(stat -c %a "$work/moved")" = 600 ]
expect 2 '' kb vault export --wrap-key mover "$work/moved"
expect 0 "{\"exported\":\"$work/moved2\"}" kb vault export --json --wrap-key mover "$work/moved2"
expect 0 '0 keys came in' kb vault import --unwrap-key mover "$work/moved"
cp "$vault" "$work/old"
mv "$vault" "$work/aside"
expect 0 '11 keys came in' kb vault import --unwrap-key mover "$work/moved"
expect 0 '' kb vault show backup
check 'the same key' grep -q "$backup" "$work/out"
sed 's/"logs/"logz/; s/bucket.logs/bucket\/logz/' "$work/moved" >"$work/altered"
expect 4 'altered' kb vault import --unwrap-key mover "$work/altered"

# --- a lost one ------------------------------------------------------------------------

mv "$vault" "$work/lost"
rm -f "$vault-wal" "$vault-shm"
expect 3 'may be lost' kb vault create --name other
expect 3 'vault import' kb vault create --name other
expect 3 'may be lost' kb vault import-key "$work/key32"
check 'none was made' [ ! -e "$vault" ]
expect 0 '' kb vault create --name other --yes
expect 0 '' kb vault show other
rm -f "$vault" "$vault-wal" "$vault-shm"
mv "$work/lost" "$vault"
expect 0 '' kb vault show backup
expect 0 'counter' kb key list
check 'as such' grep -q '^keybridge-vault-[0-9a-f]* counter' "$work/out"
counter=$(sed -n 's/^\(keybridge-vault-[0-9a-f]*\) .*/\1/p' "$work/out" | head -n 1)
expect 2 "a vault's counter" kb key destroy "$counter" </dev/null
expect 2 "the vault's keys are under it" kb key destroy vault-wrap </dev/null
expect 2 'signed by it' kb key destroy vault-sign </dev/null

# --- an old copy -----------------------------------------------------------------------

cp "$vault" "$work/old"
expect 0 '' kb vault create --name newer
cp "$work/old" "$vault"
rm -f "$vault-wal" "$vault-shm"
expect 4 'is an old copy' kb vault list
expect 4 'vault repair' kb vault create --name other
expect 2 '--yes' kb vault repair
expect 0 'in use as it is' kb vault repair --yes
expect 0 "{\"repaired\":\"$vault\"}" kb vault repair --yes --json
expect 0 'as it was left' kb vault check
expect 3 '' kb vault show newer

# --- not a vault -------------------------------------------------------------------------

echo 'not a vault' >"$vault"
expect 4 'is not a keybridge vault' kb vault list
expect 4 'is not a keybridge vault' kb vault create --name other

# --- a signal between the first vault's counter and its file --------------------------------------

# A helper that sends one behind the first request that names the counter.
cat >"$work/helper" <<'EOF'
import os, signal, socket, subprocess, sys
def relay(source, sink):
    head = source.recv(4, socket.MSG_WAITALL)
    body = source.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL) if head else b""
    if head:
        sink.sendall(head + body)
    return body
ours, theirs = socket.socketpair()
client = socket.socket(fileno=0)
helper = subprocess.Popen([os.environ["REAL_HELPER"]], stdin=theirs, stdout=theirs)
theirs.close()
while (asked := relay(client, ours)):
    answer = ours.recv(4, socket.MSG_WAITALL)
    answer += ours.recv(int.from_bytes(answer, "big"), socket.MSG_WAITALL)
    if b"keybridge-vault-" in asked and not os.path.exists(os.environ["SENT"]):
        open(os.environ["SENT"], "w").close()
        os.kill(os.getppid(), signal.SIGINT)
    client.sendall(answer)
ours.shutdown(socket.SHUT_WR)
sys.exit(helper.wait())
EOF
interpreter=$(python socket)
interrupted() { # command…
    new_home "$work/interrupted-$1-$2"
    rm -f "$work/sent"
    env --default-signal=INT REAL_HELPER="$KEYBRIDGE_TOKEN_HELPER" SENT="$work/sent" \
        KEYBRIDGE_TOKEN_HELPER="$work/helper" "$KEYBRIDGE" "$@" >"$work/out" 2>"$work/err"
    check "$1 $2: SIGINT ends it" [ $? = 130 ]
    check 'sent behind the counter' [ -e "$work/sent" ]
    expect 0 '' kb vault create --name next
}
if [ -n "$interpreter" ]; then
    sed -i "1i#!$interpreter" "$work/helper"
    chmod +x "$work/helper"
    head -c 32 /dev/urandom >"$work/key32"
    interrupted vault create --name first
    interrupted vault import-key "$work/key32"
    # Nobody listens there: the vault comes first.
    AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=not-one AWS_REGION=r
    export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION
    interrupted s3 put --endpoint-url https://127.0.0.1:1 "$work/key32" s3://bucket/key
else
    skip 'python for a helper that sends a signal' 'no python3'
fi
finish
