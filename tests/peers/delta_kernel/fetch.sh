#!/bin/sh
# Copies the jars of Delta Kernel for Java to the user's cache with Maven, and prints their directory.
# The version is the one in pom.xml. Does nothing when the jars are already there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n 's|.*<delta.version>\(.*\)</delta.version>.*|\1|p' "$here/pom.xml")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/fenliu/delta-kernel
goal=$cache/$version

if [ -d "$goal" ]; then
    echo "$goal"
    exit 0
fi
command -v mvn >/dev/null || {
    echo "delta kernel: needs Maven (Debian: apt install maven; Fedora: dnf install maven; macOS: brew install maven)" >&2
    exit 1
}

mkdir -p "$cache"
staging=$(mktemp -d "$cache/staging.XXXXXX")
trap 'rm -rf "$staging"' EXIT
trap 'exit 1' HUP INT TERM

echo "delta kernel: fetching Delta Kernel $version" >&2
mvn --quiet --batch-mode --file "$here/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$staging/$version" >&2
# Only one of several racing runs can create the goal; the others find it complete.
mv "$staging/$version" "$cache/" 2>/dev/null || [ -d "$goal" ]
echo "$goal"
