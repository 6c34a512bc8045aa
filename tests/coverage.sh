#!/bin/sh
# Tells which share of the lines of pipeline/engine the simulation reaches, and which together with the tests of single
# cases. Its arguments select what cargo builds, as in the Makefile. `FENLIU_SCHEDULES=n` runs other than 2,000 schedules.
#
# Cargo calls this script, too, in place of the compiler for the crates of the workspace, which are instrumented; the
# dependencies are those of every other build.
set -eu
case ${1:-} in
*rustc)
    exec "$@" -C instrument-coverage
    ;;
esac

cd "$(dirname "$0")/.."
tools=$(rustc --print target-libdir)/../bin
[ -x "$tools/llvm-cov" ] || rustup component add llvm-tools

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export RUSTC_WORKSPACE_WRAPPER="$PWD/tests/coverage.sh"
export LLVM_PROFILE_FILE="$out/build-%p.profraw"

# The test binary that cargo names in its last line of the kind `Executable tests/x/main.rs (PATH)`.
binary() {
    cargo test "$@" --no-run 2>&1 | tee "$out/cargo" | sed -n 's/.*Executable .*(\(.*\))$/\1/p'
}

report() {
    name=$1
    shift
    "$tools/llvm-profdata" merge -sparse "$out"/*.profraw -o "$out/data"
    "$tools/llvm-cov" report --instr-profile "$out/data" "$@" --sources pipeline/engine/src --show-region-summary=false \
        --show-branch-summary=false >"$out/report"
    echo "== lines of pipeline/engine reached by $name"
    cat "$out/report"
}

simulation=$(binary "$@" --test simulation)
machines=$(binary "$@" --test machines)
[ -n "$simulation" ] && [ -n "$machines" ] || { cat "$out/cargo" >&2; exit 1; }
rm -f "$out"/build-*
LLVM_PROFILE_FILE="$out/simulation-%p.profraw" "$simulation" --quiet nothing_is_lost >/dev/null
report "the simulation" "$simulation"
LLVM_PROFILE_FILE="$out/machines-%p.profraw" "$machines" --quiet >/dev/null
report "the simulation and the tests of single cases" "$simulation" --object "$machines"
