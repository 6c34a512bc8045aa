#!/bin/sh
# Installs fenliu with its completions and manual pages, or removes them.
#
#     install.sh BINARY PREFIX
#     install.sh --remove PREFIX
#
# The binary itself writes the completions and the pages. A PREFIX below the home directory needs no root.
set -eu

[ $# = 2 ] || {
    echo "usage: $0 BINARY PREFIX | --remove PREFIX" >&2
    exit 2
}
binary=$1
prefix=$2
bash=$prefix/share/bash-completion/completions/fenliu
zsh=$prefix/share/zsh/site-functions/_fenliu
fish=$prefix/share/fish/vendor_completions.d/fenliu.fish
pages=$prefix/share/man/man1

if [ "$binary" = --remove ]; then
    rm -f "$prefix/bin/fenliu" "$bash" "$zsh" "$fish" "$pages"/fenliu.1 "$pages"/fenliu-*.1
    exit 0
fi

mkdir -p "$prefix/bin" "$(dirname "$bash")" "$(dirname "$zsh")" "$(dirname "$fish")" "$pages"
# Renamed into place, so that a running fenliu keeps its file.
cp "$binary" "$prefix/bin/.fenliu"
chmod 755 "$prefix/bin/.fenliu"
mv -f "$prefix/bin/.fenliu" "$prefix/bin/fenliu"
"$prefix/bin/fenliu" completions bash > "$bash"
"$prefix/bin/fenliu" completions zsh > "$zsh"
"$prefix/bin/fenliu" completions fish > "$fish"
"$prefix/bin/fenliu" man --out "$pages"

echo "installed $prefix/bin/fenliu, its completions and manual pages"
case :$PATH: in
    *:"$prefix/bin":*) ;;
    *) echo "add it to the PATH: export PATH=\"$prefix/bin:\$PATH\"" ;;
esac
