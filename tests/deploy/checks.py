"""Checks of deploy/ that need more than a command; check.sh runs them.

    checks.py panels            every panel has a title, a unit and a description; no data source is named by its id
    checks.py alerts            every alert has a summary, a description and a runbook, and one test
    checks.py expressions       every expression of the dashboard and of the alerts is PromQL
    checks.py metrics FILE      every metric and label in them is in FILE, the text of /metrics
    checks.py version           the chart has the version of the workspace
    checks.py manifests FILE... every object has the schema of Kubernetes, without unknown fields
"""

import collections
import json
import pathlib
import re
import sys
import tomllib

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
# What Prometheus itself adds, and is not in /metrics.
SCRAPED = {"up"}
SCRAPE_LABELS = {"job", "instance"}
# The oldest version that Chart.yaml allows, and a new one.
KUBERNETES = ["1.27", "1.37"]
CUSTOM = {"PodMonitor", "ScaledObject"}


def dashboard():
    return json.loads((DEPLOY / "grafana/fenliu.json").read_text(encoding="utf-8"))


def alerts():
    groups = yaml.safe_load((DEPLOY / "prometheus/rules.yaml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions():
    """(place, PromQL) of everything, with Grafana's variables replaced."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']!r}", plain(target["expr"])
    for annotation in dashboard()["annotations"]["list"]:
        yield f"annotation {annotation['name']!r}", plain(annotation["expr"])
    for rule in alerts():
        yield f"alert {rule['alert']}", rule["expr"]


def plain(expression):
    return expression.replace("$__rate_interval", "5m").replace("$", "")


def panels():
    for panel in dashboard()["panels"]:
        if panel["type"] == "row":
            continue
        if not (panel["title"] and panel["description"] and panel["fieldConfig"]["defaults"]["unit"]):
            yield f"panel {panel['title']!r} lacks a title, a description or a unit"
    uids = set(re.findall(r'"uid": *"([^"]*)"', json.dumps(dashboard())))
    if uids != {"${datasource}"}:
        yield f"data sources are named by id: {uids}"


def check_alerts():
    tested = collections.Counter()
    files = sorted((DEPLOY / "prometheus").glob("*_test.yaml"))
    for test in [test for file in files for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]]:
        for case in test["promql_expr_test"]:
            fires = {job for sample in case["exp_samples"] for job in re.findall(r'\bjob="(\w+)"', sample["labels"])}
            jobs = {job for series in test["input_series"] for job in re.findall(r'\bjob="(\w+)"', series["series"])}
            # Both ways: something fires, and something like it does not.
            if fires and jobs - fires:
                tested[re.search(r'alertname="(\w+)"', case["expr"])[1]] += 1
    for rule in alerts():
        if missing := {"summary", "description", "runbook"} - rule["annotations"].keys():
            yield f"{rule['alert']} lacks {', '.join(sorted(missing))}"
        if tested[rule["alert"]] != 1:
            yield f"{rule['alert']} has {tested[rule['alert']]} tests in which it fires for one pipeline and not for another"


def check_expressions():
    import promql_parser

    for place, expression in expressions():
        try:
            promql_parser.parse(expression)
        except ValueError as error:
            yield f"{place}: {error}: {expression}"


def catalogue(text):
    """The series of a text of /metrics: the labels of each name. None: the family is declared and has no series yet."""
    series = {}
    for line in text.splitlines():
        if declared := re.match(r"# TYPE (\w+) (\w+)", line):
            name, kind = declared.groups()
            # OpenMetrics declares a counter without its suffix.
            suffixes = {"histogram": ["_bucket", "_sum", "_count"], "counter": ["", "_total"], "info": ["_info"]}
            for suffix in suffixes.get(kind, [""]):
                series.setdefault(name + suffix, None)
        elif sample := re.match(r"(\w+)(\{.*\})? ", line):
            labels = set(re.findall(r'(\w+)="(?:[^"\\]|\\.)*"', sample[2] or ""))
            series[sample[1]] = (series.get(sample[1]) or set()) | labels
    return series


def check_metrics(file):
    import promql_parser

    known = catalogue(pathlib.Path(file).read_text(encoding="utf-8"))

    def faults(expression):
        found = []

        def visit(node):
            if isinstance(node, promql_parser.VectorSelector) and node.name not in SCRAPED:
                if node.name not in known:
                    found.append(f"{node.name} is not in {file}")
                elif known[node.name] is not None:
                    labels = set(re.findall(r'(\w+) *(?:=~|!~|!=|=)', re.sub(r'"(?:[^"\\]|\\.)*"', "", str(node.matchers))))
                    for label in sorted(labels - known[node.name] - SCRAPE_LABELS - {"__name__"}):
                        found.append(f"{node.name} has no label {label}")

        promql_parser.walk(promql_parser.parse(expression), visit)
        return found

    for place, expression in expressions():
        for fault in faults(expression):
            yield f"{place}: {fault}"


def check_version():
    chart = yaml.safe_load((DEPLOY / "helm/fenliu/Chart.yaml").read_text(encoding="utf-8"))["appVersion"]
    cargo = tomllib.loads((DEPLOY.parent / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["package"]["version"]
    if chart != cargo:
        yield f"appVersion in Chart.yaml is {chart}, the version in Cargo.toml {cargo}"


def check_manifests(files):
    import kubernetes_validate

    for file in files:
        objects = [each for each in yaml.safe_load_all(pathlib.Path(file).read_text(encoding="utf-8")) if each]
        if not objects:
            yield f"{file}: no objects"
        for each in objects:
            if each["kind"] in CUSTOM:
                continue
            for version in KUBERNETES:
                try:
                    kubernetes_validate.validate(each, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    yield f"{file}: {each['kind']}, Kubernetes {version}: {error}"


def main(command, *arguments):
    checks = {"panels": panels, "alerts": check_alerts, "expressions": check_expressions, "metrics": check_metrics,
              "version": check_version,
              "manifests": lambda *files: check_manifests(files)}
    faults = list(checks[command](*arguments))
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
