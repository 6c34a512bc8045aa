#!/bin/sh
# Copies Apache Kafka's jars to the user's cache with Maven, and prints their directory.
# The version is the one in pom.xml. Does nothing when the jars are already there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../fetch.sh"

fill() {
    copy_jars "$here/pom.xml" "$1"
}
fetch kafka kafka "$(version_in "$here/pom.xml" kafka.version)"
