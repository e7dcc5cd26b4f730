#!/bin/sh
# Prepares a token of its own in a folder, for trying things out and for tests.
#
#   init-token.sh softhsm DIR            writes DIR/softhsm2.conf and DIR/tokens; the token in it
#                                        is made with SoftHSM's own tool
#   init-token.sh nss     DIR PIN-FILE   makes an NSS database whose password is in PIN-FILE
#
# No PIN is ever an argument: others could read it in the list of processes.
set -eu
umask 077

usage() {
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

[ $# -ge 2 ] || usage
kind=$1
dir=$2
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

case $kind in
softhsm)
    mkdir -p "$dir/tokens"
    # The folder's name may have any character in it, so no sed for it.
    while IFS= read -r line; do
        case $line in
        *@TOKENDIR@*) printf '%s%s%s\n' "${line%%@TOKENDIR@*}" "$dir/tokens" "${line#*@TOKENDIR@}" ;;
        *) printf '%s\n' "$line" ;;
        esac
    done <"$(dirname "$0")/softhsm2.conf.in" >"$dir/softhsm2.conf"
    ;;
nss)
    [ $# -eq 3 ] || usage
    certutil -N -d "sql:$dir" -f "$3"
    ;;
*)
    usage
    ;;
esac
