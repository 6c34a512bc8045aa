#!/bin/sh
# Copies the jars of Delta Kernel for Java to the user's cache with Maven, and prints their directory.
# The version is the one in pom.xml. Does nothing when the jars are already there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../fetch.sh"

fill() {
    copy_jars "$here/pom.xml" "$1"
}
fetch 'delta kernel' delta-kernel "$(version_in "$here/pom.xml" delta.version)"
