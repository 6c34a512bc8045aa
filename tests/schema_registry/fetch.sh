#!/bin/sh
# Unpacks Apicurio Registry, a schema registry with Confluent's interface, in the user's cache with Maven,
# and prints its directory. Does nothing when it is already there. The version is the last for Java 17.
set -eu

version=3.0.9
cache=${XDG_CACHE_HOME:-$HOME/.cache}/fenliu/apicurio
goal=$cache/$version

if [ -d "$goal" ]; then
    echo "$goal"
    exit 0
fi
command -v mvn >/dev/null || {
    echo "schema registry: needs Maven (Debian: apt install maven; Fedora: dnf install maven; macOS: brew install maven)" >&2
    exit 1
}

mkdir -p "$cache"
staging=$(mktemp -d "$cache/staging.XXXXXX")
trap 'rm -rf "$staging"' EXIT
trap 'exit 1' HUP INT TERM

echo "schema registry: fetching Apicurio Registry $version" >&2
# Version 2.8 of the plugin does not insist on the descriptors of the artifact's parents, and copies it.
mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:2.8:get -Dtransitive=false \
    -Dartifact="io.apicurio:apicurio-registry-app:$version:tar.gz:all" -Ddest="$staging/app.tar.gz" >&2
mkdir "$staging/$version"
tar -xzf "$staging/app.tar.gz" -C "$staging/$version"
# Only one of several racing runs can create the goal; the others find it complete.
mv "$staging/$version" "$cache/" 2>/dev/null || [ -d "$goal" ]
echo "$goal"
