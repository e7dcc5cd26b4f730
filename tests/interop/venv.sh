#!/bin/sh
# venv.sh DIR LIST MODULE…: make a virtual environment in DIR of what LIST pins,
# unless it is there already; the modules must import.
# Exits 77 (the test driver's "skipped") when this machine cannot, or 1 in CI.
set -u

[ $# -ge 3 ] || { echo "usage: venv.sh DIR LIST MODULE..." >&2; exit 2; }
dir=$1
list=$2
shift 2
modules=$(printf '%s, ' "$@")
modules=${modules%, }
stamp=$dir/installed.txt

cannot() {
    echo "venv.sh: $1" >&2
    [ "${CI:-}" = true ] && exit 1
    exit 77
}

cmp -s "$list" "$stamp" && "$dir/bin/python" -c "import $modules" 2>/dev/null && exit 0

python=$(command -v python3.11 || command -v python3) || cannot "python3 was not found"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || cannot "Python 3.10 or later is needed"
"$python" -m venv --clear "$dir" >/dev/null 2>&1 || cannot "python3 -m venv failed (on Debian: install python3-venv)"
"$dir/bin/python" -m pip install -q --disable-pip-version-check -r "$list" >"$dir/pip.log" 2>&1 ||
    cannot "pip could not install the Python peer (see $dir/pip.log)"
"$dir/bin/python" -c "import $modules" 2>>"$dir/pip.log" ||
    cannot "the Python peer does not import (see $dir/pip.log)"
cp "$list" "$stamp"
