#!/bin/sh
# Looks for what building fenliu needs, and says how to install all that is missing at once.
set -eu

missing=0

# need WHAT DEBIAN FEDORA MACOS: reports a missing prerequisite.
need() {
    missing=1
    echo "missing: $1" >&2
    echo "    Debian: $2" >&2
    echo "    Fedora: $3" >&2
    echo "    macOS:  $4" >&2
}

command -v "${CARGO:-cargo}" >/dev/null ||
    need 'Rust (cargo)' 'https://rustup.rs' 'https://rustup.rs' 'https://rustup.rs'
command -v cc >/dev/null && command -v c++ >/dev/null ||
    need 'a C and C++ compiler' 'apt install build-essential' 'dnf install gcc gcc-c++' \
        'xcode-select --install'
python3 -m pip --version >/dev/null 2>&1 && python3 -m venv -h >/dev/null 2>&1 ||
    need 'python3 with pip and venv' 'apt install python3-pip python3-venv' \
        'dnf install python3-pip' 'brew install python'

[ "$missing" = 0 ] || exit 1

if ! pkg-config --exists openssl 2>/dev/null; then
    cat >&2 <<'END'
**********************************************************************
 TLS IS OFF: pkg-config finds no OpenSSL headers, so fenliu is built
 without TLS and SASL/SCRAM for Kafka. To have them, install
    Debian: apt install pkg-config libssl-dev
    Fedora: dnf install pkgconf-pkg-config openssl-devel
    macOS:  brew install pkgconf openssl@3
**********************************************************************
END
fi
