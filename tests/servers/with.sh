#!/bin/sh
# with.sh [--build DIR] SERVER,… -- COMMAND…
#
# Starts servers on free loopback ports, runs the command, stops them; the exit
# status is the command's. Servers: dynalite, moto (DynamoDB and KMS), front
# (front.py before the first of them; moto is its KMS), dynamodb-local (only with
# KEYBRIDGE_DYNAMODB_LOCAL=<folder with DynamoDBLocal.jar>: whoever sets it accepts
# Amazon's licence; all runs in a network namespace then, since it listens
# everywhere). The command gets KB_DYNALITE_URL, KB_MOTO_URL, KB_FRONT_URL,
# KB_DYNAMODB_LOCAL_URL, test credentials, and no AWS configuration of the user's.
# For S3, over TLS: rgw (Ceph's gateway, rgw.py; KB_RGW_MEMORY says how many GiB it
# holds), ministack, moto-s3; KB_RGW_URL, KB_RGW_CA (the authority to trust) and so on;
# s3-front (s3_front.py before each of them; KB_RGW_FRONT_URL, KB_RGW_FRONT_CA).
#
# They are installed in DIR (default: the current folder). What cannot be
# installed or started is skipped loudly: exit 77, or 1 in CI unless
# tests/expected-skips lists it. A server with a question mark behind it
# (dynalite?) is left out instead, as loudly, and the rest go on.
set -u

usage() { sed -n '2,18s/^# \{0,1\}//p' "$0" >&2; exit 2; }

here=$(cd "$(dirname "$0")" && pwd)
build=$PWD
[ "${1:-}" = --build ] && { build=${2:?}; shift 2; }
[ $# -ge 3 ] && [ "$2" = -- ] || usage
wanted=$(printf '%s' "$1" | tr ',' ' ')
shift 2

mkdir -p "$build" && build=$(cd "$build" && pwd) || exit 1

# expected WHAT: in CI only what is listed may be missing.
expected() {
    [ "${CI:-}" != true ] || grep -q "^$1: " "$here/../expected-skips"
}

cannot() { # what tests/expected-skips would call it, reason
    printf 'SKIP %s: %s\n' "$1" "$2" >&2
    if ! expected "$1"; then
        printf 'FAIL skipped in CI: %s\n' "$1" >&2
        exit 1
    fi
    missing=yes
}

dynalite() {
    command -v node >/dev/null && command -v npm >/dev/null ||
        { cannot dynalite 'node and npm are not installed'; return; }
    [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] ||
        { cannot 'dynalite on an old Node' "Node 20 or later is needed, not $(node --version)"; return; }
    dir=$build/dynalite
    cmp -s "$here/dynalite/package-lock.json" "$dir/installed.json" && return
    mkdir -p "$dir" && cp "$here/dynalite/package.json" "$here/dynalite/package-lock.json" "$dir"
    # Its scripts only build the store for tables on disk, which is not used.
    (cd "$dir" && npm ci --ignore-scripts --no-audit --no-fund >npm.log 2>&1) ||
        { cannot dynalite "npm could not install it (see $dir/npm.log)"; return; }
    cp "$here/dynalite/package-lock.json" "$dir/installed.json"
}

dynamodb_local() {
    [ -n "${KEYBRIDGE_DYNAMODB_LOCAL:-}" ] ||
        { cannot dynamodb-local 'KEYBRIDGE_DYNAMODB_LOCAL is not set'; return; }
    [ -f "$KEYBRIDGE_DYNAMODB_LOCAL/DynamoDBLocal.jar" ] ||
        { cannot dynamodb-local "no DynamoDBLocal.jar in $KEYBRIDGE_DYNAMODB_LOCAL"; return; }
    command -v java >/dev/null || { cannot dynamodb-local 'java is not installed'; return; }
    unshare -r -n true 2>/dev/null ||
        { cannot dynamodb-local 'it cannot be confined to loopback (unshare -r -n)'; return; }
    confine='unshare -r -n'
}

rgw() {
    said=$(python3 "$here/rgw.py" --check 2>&1) || cannot rgw "$said"
}

# What pip installs, in a virtual environment of its own.
python_peers() {
    case $1 in
    venv) sh "$here/../interop/venv.sh" "$build/venv" "$here/../interop/requirements.txt" \
        dynamodb_encryption_sdk moto ;;
    venv-s3) sh "$here/../interop/venv.sh" "$build/venv-s3" "$here/../interop/s3-requirements.txt" \
        awscli boto3 ministack ;;
    esac || exit
}

start=
confine=
for name in $wanted; do
    missing=
    case ${name%\?} in
    dynalite) dynalite ;;
    moto | moto-s3 | front) python_peers venv ;;
    ministack | s3-front) python_peers venv-s3 ;;
    rgw) rgw ;;
    dynamodb-local) dynamodb_local ;;
    *) usage ;;
    esac
    if [ -z "$missing" ]; then
        start="$start ${name%\?}"
    elif [ "$name" = "${name%\?}" ]; then
        exit 77
    fi
done

# shellcheck disable=SC2086  # lists of words
exec $confine python3 "$here/run.py" "$build" $start -- "$@"
