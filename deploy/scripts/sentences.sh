#!/bin/sh
# Puts the sentences of the demo, deploy/data/sib200-zh-en, into the user's cache, and prints their directory.
#
# The directory then holds train.jsonl and test.jsonl, as those of reuters.sh do, and README.md with the licence.
set -eu

cache=${XDG_CACHE_HOME:-$HOME/.cache}/fenliu/data/sib200-zh-en
here=$(dirname "$0")

mkdir -p "$cache"
for file in README.md train.jsonl test.jsonl; do
    cp "$here/../data/sib200-zh-en/$file" "$cache/.$file"
    mv -f "$cache/.$file" "$cache/$file"
done
echo "$cache"
