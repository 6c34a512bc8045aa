#!/usr/bin/env bash
# Builds deploy/Dockerfile where neither Docker nor a registry is, and runs the image. Needs root on Debian, and
# `apt-get install buildah podman mmdebstrap`.
#
#     bash tests/deploy/image.sh target/release/fenliu
#
# Debian's packages make the base of both stages. In the place of a compiler the build stage has a `cargo` that copies the binary,
# which must have been built on the same release of Debian; everything else in the Dockerfile is done as it is written there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

binary=$(realpath "${1:?usage: image.sh BINARY}")
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
base=localhost/fenliu-test-base rust=localhost/fenliu-test-rust image=localhost/fenliu-test
# Containers share the network of the machine, and its certificates, so that a proxy's are known.
build=(buildah bud --isolation chroot --network host --volume /etc/ssl/certs:/etc/ssl/certs:ro)

step() {
    echo "== $*"
}

step "base: $release"
sources=/etc/apt/sources.list
[ -s "$sources" ] || sources=$(ls /etc/apt/sources.list.d/debian.sources)
mmdebstrap --quiet --variant=minbase --include=ca-certificates "$release" "$work/root.tar" "$sources"
podman import --quiet "$work/root.tar" "$base" >/dev/null

step "stand-in for the compiler"
mkdir "$work/rust"
cp "$binary" "$work/rust/fenliu"
cat >"$work/rust/cargo" <<'CARGO'
#!/bin/sh
echo "stand-in: cargo $*"
mkdir -p target/release && cp /opt/stand-in/fenliu target/release/fenliu
CARGO
chmod +x "$work/rust/cargo"
printf 'FROM %s\nCOPY fenliu /opt/stand-in/\nCOPY cargo /usr/local/bin/\n' "$base" >"$work/rust/Dockerfile"
"${build[@]}" --quiet --tag "$rust" "$work/rust" >/dev/null

step "deploy/Dockerfile"
"${build[@]}" --file deploy/Dockerfile --ignorefile deploy/Dockerfile.dockerignore \
    --build-arg RUST_IMAGE="$rust" --build-arg RUNTIME_IMAGE="$base" --tag "$image" . >"$work/log" 2>&1 ||
    { tail -40 "$work/log"; exit 1; }
podman image inspect --format '{{.Size}} bytes, user {{.Config.User}}, entrypoint {{.Config.Entrypoint}}' "$image"

# With the rights that the chart gives: user 1000, a read-only root, no capabilities. It is no container, because there may be
# no cgroups for one; podman mounts the image read-only, and the environment is that of the image.
root=$(podman image mount "$image")
environment=$(podman image inspect --format '{{range .Config.Env}}{{.}} {{end}}' "$image")
inside() {
    unshare --mount sh -euc '
        root=$1 sets=$2 environment=$3
        shift 3
        mount -t proc proc "$root/proc"
        mount --bind /dev "$root/dev"
        mount -t tmpfs tmpfs "$root/tmp"
        mount -t tmpfs -o mode=1777 tmpfs "$root/data"
        mkdir "$root/data/sets"
        mount --bind -o ro "$sets" "$root/data/sets"
        exec chroot "$root" setpriv --reuid 1000 --regid 1000 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
            env -i $environment HOME=/home/fenliu sh -c "cd /data && exec \"\$@\"" - "$@"
    ' - "$root" "$PWD/deploy/data" "$environment" "$@"
}

step "fenliu --version"
inside fenliu --version
step "fenliu doctor"
inside fenliu doctor
step "a read-only root"
inside sh -c '! touch /home/fenliu/file 2>/dev/null && ! touch /opt/file 2>/dev/null && touch /tmp/file && id && grep CapEff /proc/self/status'
step "fenliu demo"
inside fenliu demo --data sets/sib200-zh-en
podman image unmount "$image" >/dev/null
