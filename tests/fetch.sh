# Fetches with Maven what a test needs, once for each version. To be sourced by a script that defines `fill`.

# fetch NAME PLACE VERSION: prints the directory `PLACE/VERSION` in the user's cache; where it is not there, `fill`
# makes the directory that it is given.
fetch() {
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/fenliu/$2
    goal=$cache/$3
    if [ -d "$goal" ]; then
        echo "$goal"
        exit 0
    fi
    command -v mvn >/dev/null || {
        echo "$1: needs Maven (Debian: apt install maven; Fedora: dnf install maven; macOS: brew install maven)" >&2
        exit 1
    }

    mkdir -p "$cache"
    staging=$(mktemp -d "$cache/staging.XXXXXX")
    trap 'rm -rf "$staging"' EXIT
    trap 'exit 1' HUP INT TERM

    echo "$1: fetching version $3" >&2
    fill "$staging/$3"
    # Only one of several racing runs can create the goal; the others find it complete.
    mv "$staging/$3" "$cache/" 2>/dev/null || [ -d "$goal" ]
    echo "$goal"
}

# copy_jars POM DIRECTORY: the dependencies that a POM names, with theirs.
copy_jars() {
    mvn --quiet --batch-mode --file "$1" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$2" >&2
}

# version_in POM PROPERTY
version_in() {
    sed -n "s|.*<$2>\(.*\)</$2>.*|\1|p" "$1"
}
