#!/usr/bin/env bash
# Checks what is in deploy/: dashboard, alerts, chart, Dockerfiles.
#
#     bash tests/deploy/check.sh [--metrics FILE]
#
# FILE is the text of /metrics of a run that has seen everything; every metric that dashboard and alerts name must be in it.
# Tools are put into the user's cache by apt, go and pip, which takes ten minutes once and needs Go 1.26. A check whose tool cannot
# be had prints SKIPPED; with FENLIU_REQUIRE=deploy (or a list with it) it fails.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

metrics=
while [ $# -gt 0 ]; do
    case $1 in
        --metrics) metrics=${2:?--metrics needs a file}; shift 2 ;;
        *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done

tools=${XDG_CACHE_HOME:-$HOME/.cache}/fenliu/tools
chart=deploy/helm/fenliu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Those of another checkout may be of other versions.
go_tools=$tools/go-$(cat tests/deploy/tools/go.sum tests/deploy/tools/*/*.go | cksum | cut -d ' ' -f 1)
mkdir -p "$tools/bin" "$go_tools"
PATH=$go_tools:$PATH:$tools/bin:/usr/local/go/bin
passed=0 failed=0 skipped=0

# check NAME COMMAND...: runs it, and shows what it printed if it fails.
check() {
    local name=$1
    shift
    if "$@" >"$work/output" 2>&1; then
        echo "ok       $name"
        passed=$((passed + 1))
    else
        echo "FAILED   $name"
        sed 's/^/         /' "$work/output"
        failed=$((failed + 1))
    fi
}

# skip NAME REASON
skip() {
    echo "SKIPPED  $1: $2"
    case ,${FENLIU_REQUIRE:-}, in
        *,deploy,*) failed=$((failed + 1)) ;;
        *) skipped=$((skipped + 1)) ;;
    esac
}

# with TOOL NAME COMMAND...: as check, if there is the tool.
with() {
    local tool=$1 name=$2
    if command -v "$tool" >/dev/null; then
        check "${@:2}"
    else
        skip "$name" "there is no $tool, and it could not be installed ($tools/install.log)"
    fi
}

# The programs of the module in tools/: helm, helm-unittest, custom-resources.
install_go_tools() {
    [ -x "$go_tools/custom-resources" ] && return
    echo "compiling helm, helm-unittest and the types of custom resources (go, ten minutes)"
    GOBIN=$go_tools go -C tests/deploy/tools install tool ./custom-resources >>"$tools/install.log" 2>&1
}

# promtool of the Debian package, unpacked and not installed; elsewhere by Go.
install_promtool() {
    command -v promtool >/dev/null && return
    echo "installing promtool"
    (
        apt-cache show prometheus >/dev/null 2>&1 || apt-get update -qq
        cd "$work" && apt-get download prometheus && dpkg-deb -x prometheus_*.deb prometheus &&
            mv prometheus/usr/bin/promtool "$tools/bin/"
    ) >>"$tools/install.log" 2>&1 ||
        GOBIN=$tools/bin go install github.com/prometheus/prometheus/cmd/promtool@v0.316.0 >>"$tools/install.log" 2>&1
}

install_promtool
install_go_tools
if python=$(sh tests/readers/venv.sh tests/deploy 2>>"$tools/install.log"); then
    PATH=$PATH:$(dirname "$python")
else
    python=python-with-requirements
fi

check 'dashboard: fenliu.json is what generate.py gives' python3 deploy/grafana/generate.py --check
with "$python" 'dashboard: title, unit and description of panels' "$python" tests/deploy/checks.py panels
with "$python" 'alerts: texts, and a test both ways for each' "$python" tests/deploy/checks.py alerts
with "$python" 'dashboard and alerts: expressions are PromQL' "$python" tests/deploy/checks.py expressions
if [ -n "$metrics" ]; then
    with "$python" "dashboard and alerts: metrics are in $metrics" "$python" tests/deploy/checks.py metrics "$metrics"
    with promtool "metrics: promtool check metrics" sh -c 'promtool check metrics <"$1"' - "$metrics"
else
    # Not a tool that is missing, so FENLIU_REQUIRE does not count.
    FENLIU_REQUIRE='' skip 'dashboard and alerts: metrics are in /metrics' 'no --metrics FILE was given'
fi
with promtool 'alerts: promtool check rules' promtool check rules deploy/prometheus/rules.yaml
with promtool 'alerts: promtool test rules' promtool test rules deploy/prometheus/*_test.yaml
with promtool 'compose: promtool check config' promtool check config --syntax-only deploy/prometheus/prometheus.yaml

with "$python" 'chart: version of the workspace' "$python" tests/deploy/checks.py version
for values in "$chart"/ci/*-values.yaml; do
    name=$(basename "$values" -values.yaml)
    with helm "chart: helm lint, $name" helm lint --strict --quiet "$chart" --values "$values"
    with helm "chart: helm template, $name" \
        sh -c 'helm template news "$1" --namespace desk --kube-version 1.37.0 --values "$2" >"$3"' - "$chart" "$values" "$work/$name.yaml"
    if [ -s "$work/$name.yaml" ]; then
        with "$python" "chart: schemas of Kubernetes, $name" "$python" tests/deploy/checks.py manifests "$work/$name.yaml"
    else
        skip "chart: schemas of Kubernetes, $name" 'nothing was rendered'
    fi
done
with custom-resources 'chart: types of the Prometheus operator and KEDA' custom-resources "$work"/*.yaml
with helm-unittest 'chart: helm-unittest' helm-unittest "$chart"
# DL3008: the packages of a stable release get nothing but repairs, so no version is pinned. DL4006: the only pipe is in $(...).
with hadolint 'Dockerfiles: hadolint' hadolint --ignore DL3008 --ignore DL4006 deploy/Dockerfile deploy/Dockerfile.cuda

echo "deploy: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
