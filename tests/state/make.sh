#!/bin/sh
# Makes the fixture of a release: make.sh BINARY COMMIT writes what BINARY leaves to COMMIT/ beside this script, with the
# READMEs' examples as they were at COMMIT. Needs what the integration tests need, a JVM and Maven included.
set -eu

[ $# = 2 ] || {
    echo "usage: $0 BINARY COMMIT" >&2
    exit 2
}
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")/../.."
FENLIU_BINARY=$binary FENLIU_STATE=$2 ${CARGO:-cargo} test --locked -p fenliu-tests --test integration -- \
    --ignored --exact state::make::make --nocapture
