#!/bin/sh
# install.sh DIR [PROJECT]: build a Java peer in DIR, unless it is there already:
# that of items, or of the folder PROJECT beside this one (java-s3).
# Its class path is then DIR/peer.jar:DIR/lib/*. Exits 77 (the test driver's
# "skipped") when this machine cannot, or 1 in CI.
set -u

[ $# -ge 1 ] || { echo "usage: install.sh DIR [PROJECT]" >&2; exit 2; }
here=$(cd "$(dirname "$0")/../${2:-java}" && pwd) || exit 1
mkdir -p "$1" && dir=$(cd "$1" && pwd) || exit 1

cannot() {
    echo "install.sh: $1" >&2
    [ "${CI:-}" = true ] && exit 1
    exit 77
}

cat "$here/pom.xml" "$here"/src/main/java/*.java >"$dir/sources.new" || exit 1
cmp -s "$dir/sources.new" "$dir/sources" && exit 0

command -v mvn >/dev/null || cannot 'mvn was not found (on Debian: install maven)'
command -v javac >/dev/null || cannot 'javac was not found (on Debian: install default-jdk-headless)'
cp -R "$here/pom.xml" "$here/src" "$dir" || exit 1
(cd "$dir" && mvn -q -B -Dstyle.color=never package dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory=lib >mvn.log 2>&1) || cannot "Maven could not build the Java peer (see $dir/mvn.log)"
cp "$dir"/target/*-peer-1.jar "$dir/peer.jar" && mv "$dir/sources.new" "$dir/sources"
