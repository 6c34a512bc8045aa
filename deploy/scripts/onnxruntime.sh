#!/bin/sh
# Puts the ONNX Runtime shared library where fenliu looks for it, and prints its path.
#
# With --gpu, the one for NVIDIA GPUs (Linux x86-64, CUDA 13, cuDNN 9), into a directory of its own: set ORT_DYLIB_PATH to what
# is printed.
#
# The library comes out of the official PyPI wheel, fetched by the user's own pip and checked
# against the hashes below. Any Python 3 will do: the wheel is unpacked, not installed.
# Does nothing when the library is already there.
set -eu

version=1.31.1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/fenliu/onnxruntime/$version${1:+-gpu}
package=onnxruntime

fail() {
    echo "onnxruntime: $*" >&2
    exit 1
}

case ${1:-} in
    '' | --gpu) ;;
    *) fail "unknown argument $1" ;;
esac
case $(uname -s)-$(uname -m)$* in
    Linux-x86_64--gpu)
        package=onnxruntime-gpu
        platform=manylinux_2_28_x86_64
        sha256=05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7
        library=libonnxruntime.so.$version ;;
    Linux-x86_64)
        platform=manylinux_2_28_x86_64
        sha256=1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536
        library=libonnxruntime.so.$version ;;
    Linux-aarch64)
        platform=manylinux_2_28_aarch64
        sha256=0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc
        library=libonnxruntime.so.$version ;;
    Darwin-arm64)
        platform=macosx_14_0_arm64
        sha256=96dd2564b10ea7153ad9c207e7cd8e5917cb3ba521e0e0a62ac03486fdc8d56c
        library=libonnxruntime.$version.dylib ;;
    *)
        fail "no wheel of ONNX Runtime $version for $(uname -s) $(uname -m)${1:+ with CUDA}; build the library" \
            "yourself and set ORT_DYLIB_PATH to it" ;;
esac

if [ -f "$cache/$library" ]; then
    echo "$cache/$library"
    exit 0
fi
python3 -m pip --version >/dev/null 2>&1 ||
    fail "needs python3 with pip (Debian: apt install python3-pip; Fedora: dnf install python3-pip;" \
        "macOS: brew install python)"

mkdir -p "$cache"
# Beside the goal, so that the closing rename stays on one file system and is atomic.
staging=$(mktemp -d "$cache/staging.XXXXXX")
trap 'rm -rf "$staging"' EXIT
trap 'exit 1' HUP INT TERM

echo "onnxruntime: fetching ONNX Runtime $version for $platform" >&2
echo "$package==$version --hash=sha256:$sha256" > "$staging/requirements.txt"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
    --only-binary=:all: --platform "$platform" --implementation cp --python-version 312 --abi cp312 \
    --dest "$staging" --requirement "$staging/requirements.txt" >&2 ||
    fail "pip could not fetch $package==$version for $platform (see above)"
python3 -m zipfile -e "$staging"/onnxruntime*.whl "$staging/wheel" ||
    fail "the wheel of $package==$version does not unpack"
# It loads these from its own directory.
if [ "$package" = onnxruntime-gpu ]; then
    mv -f "$staging"/wheel/onnxruntime/capi/libonnxruntime_providers_cuda.so \
        "$staging"/wheel/onnxruntime/capi/libonnxruntime_providers_shared.so "$cache"
fi
mv -f "$staging/wheel/onnxruntime/capi/$library" "$cache/$library"
echo "$cache/$library"
