#!/bin/sh
# install.sh DIR: the AWS Encryption SDK for JavaScript in DIR, unless it is
# there already; DIR/node_modules is for esdk_peer.mjs. Exits 77 (the test
# driver's "skipped") when this machine cannot; in CI 1, unless
# tests/expected-skips lists the reason.
set -u

[ $# -eq 1 ] || { echo "usage: install.sh DIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" && dir=$(cd "$1" && pwd) || exit 1

cannot() { # what tests/expected-skips would call it, reason
    echo "install.sh: $1: $2" >&2
    [ "${CI:-}" = true ] && ! grep -q "^$1: " "$here/../../expected-skips" && exit 1
    exit 77
}

cmp -s "$here/package-lock.json" "$dir/installed.json" && exit 0

command -v node >/dev/null && command -v npm >/dev/null ||
    cannot 'JavaScript SDK' 'node and npm are not installed'
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] ||
    cannot 'JavaScript SDK on an old Node' "Node 20 or later is needed, not $(node --version)"
cp "$here/package.json" "$here/package-lock.json" "$dir" || exit 1
(cd "$dir" && npm ci --ignore-scripts --no-audit --no-fund >npm.log 2>&1) ||
    cannot 'JavaScript SDK' "npm could not install it (see $dir/npm.log)"
cp "$here/package-lock.json" "$dir/installed.json"
