#!/bin/sh
# Unpacks Apicurio Registry, a schema registry with Confluent's interface, in the user's cache with Maven,
# and prints its directory. Does nothing when it is already there. The version is the last for Java 17.
set -eu

. "$(cd "$(dirname "$0")" && pwd)/../fetch.sh"
version=3.0.9

fill() {
    # Version 2.8 of the plugin does not insist on the descriptors of the artifact's parents, and copies it.
    mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:2.8:get -Dtransitive=false \
        -Dartifact="io.apicurio:apicurio-registry-app:$version:tar.gz:all" -Ddest="$1.tar.gz" >&2
    mkdir "$1"
    tar -xzf "$1.tar.gz" -C "$1"
}
fetch 'schema registry' apicurio "$version"
