#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge init: the embedded token, and the adoption of another.
. "$(dirname "$0")/lib.sh"

# --- a home of its own -----------------------------------------------------------

mode() { stat -c %a "$1"; }
names() { kb key list | awk "{print \$1}" | sort | tr "\n" " "; }

new_home
check 'the home is private' [ "$(mode "$KEYBRIDGE_HOME")" = 700 ]
for file in user.pin so.pin keybridge.json softhsm2.conf; do
    check "$file is private" [ "$(mode "$KEYBRIDGE_HOME/$file")" = 600 ]
done
check 'the PINs differ' [ "$(cat "$KEYBRIDGE_HOME/user.pin")" != "$(cat "$KEYBRIDGE_HOME/so.pin")" ]
check 'nothing in the home is open to others' \
    [ -z "$(find "$KEYBRIDGE_HOME" -perm /077)" ]
check 'the default keys are there' [ "$(names)" = 'default-sign default-wrap ' ]

cp "$KEYBRIDGE_HOME/keybridge.json" "$work/before"
expect 0 'is set up already' kb init --yes
check 'one line the second time' [ "$(cat "$work/out" "$work/err" | wc -l)" = 1 ]
check 'settings were left alone' cmp -s "$work/before" "$KEYBRIDGE_HOME/keybridge.json"
expect 0 '' kb init -q --yes
check '-q says nothing' [ ! -s "$work/err" ]
expect 2 'already' kb init --token 'pkcs11:token=other'
expect 2 'unexpected argument' kb init extra
expect 2 '--create-keys goes with --token' env KEYBRIDGE_HOME="$work/none" "$KEYBRIDGE" init --create-keys
check 'a usage error makes no home' [ ! -e "$work/none" ]

# --- interrupted half-way ----------------------------------------------------------

# Whatever is missing after a break, the next init completes.
for missing in keybridge.json 'keybridge.json so.pin' 'keybridge.json softhsm2.conf'; do
    (cd "$KEYBRIDGE_HOME" && rm -f $missing)
    expect 0 '' kb init --yes
    check "keys work after $missing was missing" [ "$(names)" = 'default-sign default-wrap ' ]
done
rm "$KEYBRIDGE_HOME/keybridge.json"
kb key list >/dev/null 2>&1
expect 6 'init' kb key list
mkdir "$work/half"
mkdir "$work/half/tokens"
: >"$work/half/user.pin"
chmod 600 "$work/half/user.pin"
expect 2 'user.pin' env KEYBRIDGE_HOME="$work/half" "$KEYBRIDGE" init --yes
rm "$work/half/user.pin"
expect 0 '' env KEYBRIDGE_HOME="$work/half" "$KEYBRIDGE" init --yes
# ends PID: waits until a process is gone, or has ended and is not waited for.
ends() {
    for _ in $(seq 600); do
        case $(ps -o stat= -p "$1") in '' | Z*) return ;; esac
        sleep 0.1
    done
    return 1
}
# Killed at random moments, then run to its end.
for pause in 0.00 0.02 0.03 0.04 0.05 0.06 0.08 0.10 0.12 0.15; do
    KEYBRIDGE_HOME=$work/killed$pause
    "$KEYBRIDGE" init --yes >/dev/null 2>&1 &
    sleep "$pause"
    # Its helper ends what it is at, and has no lock on the home: it is waited for.
    kill -STOP $! 2>/dev/null
    helpers=$(ps -o pid= --ppid $!)
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
    for helper in $helpers; do check "the helper of an init that was killed ends" ends "$helper"; done
    expect 0 '' kb init --yes
    check "keys after a kill at $pause s" [ "$(names)" = 'default-sign default-wrap ' ]
done
# Two at once.
KEYBRIDGE_HOME=$work/twice
kb init --yes >"$work/first" 2>&1 &
expect 0 '' kb init --yes
wait $!
check 'the other of two inits is content' [ $? = 0 ]
check 'one of them did the work' [ "$(cat "$work/first" "$work/err" | grep -c 'set up already')" = 1 ]
check 'keys are there once' [ "$(names)" = 'default-sign default-wrap ' ]

# --- adopting a token ----------------------------------------------------------------

module=$(sed -n 's/.*"module":[^"]*"\([^"]*\)".*/\1/p' "$work/before")
mkdir "$work/other"
printf 'directories.tokendir = %s\nobjectstore.backend = file\n' "$work/other" >"$work/other.conf"
SOFTHSM2_CONF=$work/other.conf
export SOFTHSM2_CONF
KEYBRIDGE_HOME=$work/adopted
if command -v softhsm2-util >/dev/null; then
    softhsm2-util --init-token --free --label other --so-pin 87654321 --pin 4711081547 >/dev/null
    (umask 077 && echo 4711081547 >"$work/pin" && echo 0000081547 >"$work/wrong")
    secret 4711081547
    secret 0000081547
    cp "$work/pin" "$work/loose"
    chmod 644 "$work/loose"
    adopt() { kb init --token "$1" --module "$module" "$2" "$3"; }

    expect 5 'PIN' adopt pkcs11:token=other --pin-file "$work/wrong"
    check 'a wrong PIN is said once' [ "$(lines "$work/err")" -le 2 ]
    check 'a wrong PIN adopts nothing' [ ! -e "$KEYBRIDGE_HOME/keybridge.json" ]
    expect 5 'others may read' adopt pkcs11:token=other --pin-file "$work/loose"
    expect 3 'nothere' adopt pkcs11:token=other --pin-file "$work/nothere"
    expect 2 'colour' adopt 'pkcs11:token=other;colour=red' --pin-file "$work/pin"
    expect 2 'pin-value' adopt 'pkcs11:token=other?pin-value=4711081547' --pin-file "$work/pin"
    expect 2 'twice' adopt 'pkcs11:token=other;token=main' --pin-file "$work/pin"
    expect 2 'blank' adopt 'pkcs11:token=the other' --pin-file "$work/pin"
    expect 2 'URI' adopt 'other' --pin-file "$work/pin"
    expect 2 'command' adopt 'pkcs11:token=other?pin-source=%7Ccat%20pin' --json -q
    expect 6 'nobody' adopt pkcs11:token=nobody --pin-file "$work/pin"
    expect 6 '/none.so' kb init --token pkcs11:token=other --module /none.so --pin-file "$work/pin"
    expect 6 'could not be loaded' kb init --token pkcs11:token=other --module "$data" --pin-file "$work/pin"
    check 'no failure left settings' [ ! -e "$KEYBRIDGE_HOME/keybridge.json" ]

    expect 0 "is adopted" adopt pkcs11:token=other --pin-file "$work/pin"
    check 'missing keys are told' grep -q "no key 'default-wrap'" "$work/err"
    expect 3 'default-wrap' kb key show default-wrap
    rm "$KEYBRIDGE_HOME/keybridge.json"
    cd "$work" || exit
    expect 0 'is adopted' kb init --token pkcs11:token=other --module "$module" --pin-file pin --create-keys
    cd / || exit
    check 'a relative PIN file works from elsewhere' [ "$(names)" = 'default-sign default-wrap ' ]
    rm "$KEYBRIDGE_HOME/keybridge.json"
    expect 0 'is adopted' kb init --token "pkcs11:token=other?pin-source=file:$work/pin" --module "$module"
    check 'pin-source works' [ "$(names)" = 'default-sign default-wrap ' ]
    check 'no PIN in the home' [ -z "$(grep -rl 4711081547 "$KEYBRIDGE_HOME")" ]

    # SoftHSM marks its token after a wrong PIN; one try is not the last one.
    expect 5 'PIN' kb key list --pin-file "$work/wrong"
    expect 5 'PIN' kb item encrypt --table T --partition-key id --workers 8 --pin-file "$work/wrong"
    expect 0 '' kb key list
else
    skip 'adopting a token' 'softhsm2-util is not installed'
fi

# --- homes that cannot be ---------------------------------------------------------------

: >"$work/file"
expect 1 'file' env KEYBRIDGE_HOME="$work/file/home" "$KEYBRIDGE" init --yes
expect 1 'file' env KEYBRIDGE_HOME="$work/file" "$KEYBRIDGE" init --yes
expect 1 '/proc/keybridge' env KEYBRIDGE_HOME=/proc/keybridge "$KEYBRIDGE" init --yes
expect 0 '' env KEYBRIDGE_HOME="$work/a b/ü/'\"" "$KEYBRIDGE" init --yes
expect 0 'default-wrap' env KEYBRIDGE_HOME="$work/a b/ü/'\"" "$KEYBRIDGE" key list
cd "$work" || exit
expect 0 '' env KEYBRIDGE_HOME=relative "$KEYBRIDGE" init --yes
expect 0 'default-wrap' env KEYBRIDGE_HOME="$work/relative" "$KEYBRIDGE" key list
finish
