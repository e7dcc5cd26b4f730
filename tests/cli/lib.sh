# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2120
#
# Sourced by the scripts of this folder, which try the command as its users do.
#   expect EXIT 'part of what it says' COMMAND…   runs it; checks both, and the manners of its messages
#   check 'what should be' COMMAND…               passes when the command succeeds
#   skip 'what' 'why'                             counted and said
#   finish                                        the last line of a script
# Standard output and error of the last expect are in $work/out and $work/err.
set -u
LC_ALL=C
export LC_ALL
umask 022

if [ -z "${KEYBRIDGE:-}" ]; then
    KEYBRIDGE=$PWD/keybridge
    KEYBRIDGE_TOKEN_HELPER=$PWD/keybridge-token
    export KEYBRIDGE KEYBRIDGE_TOKEN_HELPER
fi
[ -x "$KEYBRIDGE" ] || { echo "run this in the build folder, or set KEYBRIDGE" >&2; exit 99; }
here=$(cd "$(dirname "$0")" && pwd)
data=$(cd "$here/../.." && pwd)/share/sales-records.csv

unset KEYBRIDGE_TOKEN KEYBRIDGE_MODULE KEYBRIDGE_MODULE_PARAMETERS KEYBRIDGE_SOFTHSM2_CONF \
    KEYBRIDGE_PIN_FILE KEYBRIDGE_WRAP_KEY KEYBRIDGE_SIGN_KEY KEYBRIDGE_WORKERS XDG_DATA_HOME \
    SOFTHSM2_CONF KEYBRIDGE_AWS_REGION KEYBRIDGE_AWS_PROFILE KEYBRIDGE_AWS_ENDPOINT_URL \
    KEYBRIDGE_AWS_CA_FILE KEYBRIDGE_S3_ENCRYPTION KEYBRIDGE_S3_STYLE
# What the machine has of AWS is not the tests'.
for name in $(env | sed -n 's/^\(AWS_[A-Z0-9_]*\)=.*/\1/p'); do
    unset "$name"
done
work=$(mktemp -d "${TMPDIR:-/tmp}/keybridge-cli.XXXXXX") || exit 99
HOME=$work
KEYBRIDGE_HOME=$work/home
export HOME KEYBRIDGE_HOME
cleanups=
at_end() { cleanups="$1; $cleanups"; }
trap 'eval "$cleanups"; chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM
: >"$work/secrets"

passed=0 failed=0 skipped=0
pass() { passed=$((passed + 1)); }
fail() {
    failed=$((failed + 1))
    printf 'FAIL %s\n' "$*"
}
skip() {
    skipped=$((skipped + 1))
    printf 'SKIP %s: %s\n' "$1" "$2"
    # In CI a skip is a failure unless tests/expected-skips lists it, with the reason.
    if [ "${CI:-}" = true ] && ! grep -q "^$1: " "$here/../expected-skips"; then
        fail "skipped in CI: $1"
    fi
}

check() {
    what=$1
    shift
    if "$@"; then pass; else fail "$what"; fi
}

# A text that must not be in anything the command prints.
secret() { printf '%s\n' "$1" >>"$work/secrets"; }

# What is true of every message: it names the program, is said once, is plain
# words, and holds no secret.
manners() {
    ! grep -qv '^keybridge: .' "$work/err" || { complaint='a line without keybridge:'; return 1; }
    [ -z "$(sort "$work/err" | uniq -d)" ] || { complaint='a line said twice'; return 1; }
    # Algorithm suites are known by their numbers; random names may have 0x in their midst.
    ! sed 's/0x0[0-5][1-7][468]//g' "$work/err" |
        grep -qE 'KB_ERR|errno|(^|[^A-Za-z0-9._-])0x[0-9a-f]|[(]null[)]|Sanitizer|lt-keybridge|SQLITE_' ||
        { complaint='jargon'; return 1; }
    ! grep -qiF -f "$work/secrets" "$work/out" "$work/err" || { complaint='a secret is shown'; return 1; }
    complaint=
}

expect() {
    want=$1 part=$2
    shift 2
    "$@" >"$work/out" 2>"$work/err"
    got=$?
    manners
    if [ "$got" != "$want" ]; then
        complaint="exit $got, expected $want"
    elif [ "$want" != 0 ] && ! [ -s "$work/err" ]; then
        complaint="exit $got and no word"
    elif [ -n "$part" ] && ! grep -qF -e "$part" "$work/out" "$work/err"; then
        complaint="no '$part'"
    fi
    if [ -z "$complaint" ]; then
        pass
        return
    fi
    fail "$complaint: $(printf '%s ' "$@" | sed "s|$work|WORK|g; s|$KEYBRIDGE|keybridge|" | cut -c 1-300)"
    head -n 3 "$work/err" | cut -c 1-300 | sed 's/^/     | /'
    return 1
}

# The same, with a text on standard input.
given() {
    text=$1
    shift
    printf '%s' "$text" >"$work/in"
    expect "$@" <"$work/in"
}

kb() { "$KEYBRIDGE" "$@"; }
lines() { wc -l <"$1" | tr -d ' '; }

# A home with the embedded token; its PINs are secrets.
new_home() {
    KEYBRIDGE_HOME=${1:-$work/home}
    expect 0 '' kb init --yes
    for pin in "$KEYBRIDGE_HOME/user.pin" "$KEYBRIDGE_HOME/so.pin"; do
        secret "$(cat "$pin")"
    done
}

# The byte at an offset of a file becomes another one.
change_byte() {
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    # shellcheck disable=SC2059  # an octal escape
    printf "\\$(printf %03o $(((byte + 1) % 256)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# Python with the modules given, or nothing.
python() {
    for candidate in python3 python; do
        "$candidate" -c "import $1" 2>/dev/null && { command -v "$candidate"; return; }
    done
}

finish() {
    [ "$skipped" = 0 ] || printf '%s skipped\n' "$skipped"
    printf '%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" = 0 ] && [ "$passed" != 0 ]
    exit
}
