#!/bin/sh
# Makes the Python environment of requirements.txt in the user's cache, and prints its interpreter.
# Does nothing when one of the same requirements is already there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
venv=${XDG_CACHE_HOME:-$HOME/.cache}/fenliu/venv
# Copied in last: an environment without it, or with another one, is not finished.
stamp=$venv/requirements.txt

if ! cmp -s "$here/requirements.txt" "$stamp"; then
    echo "readers: installing the second readers and writers" >&2
    python3 -m venv --clear "$venv" >&2 || {
        echo "readers: needs python3 with venv and pip (Debian: apt install python3-venv)" >&2
        exit 1
    }
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: \
        --requirement "$here/requirements.txt" >&2
    cp "$here/requirements.txt" "$stamp"
fi
echo "$venv/bin/python"
