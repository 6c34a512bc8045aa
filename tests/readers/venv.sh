#!/bin/sh
# Makes the Python environment of requirements.txt, here or in the directory $1, in the user's cache, and prints its interpreter.
# Does nothing when it is already there. Other requirements have another one, so that no checkout pulls an
# environment from under the tests of another.
set -eu

here=$(cd "${1:-$(dirname "$0")}" && pwd)
venv=${XDG_CACHE_HOME:-$HOME/.cache}/fenliu/venv-$(cksum <"$here/requirements.txt" | cut -d ' ' -f 1)
# Copied in last: an environment without it is not finished.
stamp=$venv/requirements.txt

if ! cmp -s "$here/requirements.txt" "$stamp"; then
    echo "python: installing what $here/requirements.txt names" >&2
    python3 -m venv --clear "$venv" >&2 || {
        echo "python: needs python3 with venv and pip (Debian: apt install python3-venv)" >&2
        exit 1
    }
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: \
        --requirement "$here/requirements.txt" >&2
    cp "$here/requirements.txt" "$stamp"
fi
echo "$venv/bin/python"
