#!/usr/bin/env python3
"""Writes fenliu.json, the Grafana dashboard, from the rows and panels below.

    python3 deploy/grafana/generate.py            # writes fenliu.json beside this file
    python3 deploy/grafana/generate.py --check    # fails if fenliu.json is not what this file gives

Expressions are PromQL with two abbreviations, so that they stay readable:

- `{` of a selector takes the filter of the dashboard's variables: `fenliu_lag_seconds{}` becomes
  `fenliu_lag_seconds{job="$pipeline", instance=~"$instance"}`. Every selector therefore has braces.
- `[]` is the range `[$__rate_interval]`, which Grafana derives from the scrape interval and the zoom.

The label `job` stands for the pipeline: every Prometheus sets it, one scrape job a pipeline.
"""

import json
import pathlib
import re
import sys

TARGET = pathlib.Path(__file__).with_name("fenliu.json")
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
FILTER = 'job="$pipeline", instance=~"$instance"'
WIDTH = 24


def promql(expression):
    """The expression with its abbreviations written out."""
    expression = re.sub(r"\{(?=\})", "{" + FILTER, expression)
    expression = re.sub(r"\{(?=\w+ ?[=!])(?!job=)", "{" + FILTER + ", ", expression)
    return expression.replace("[]", "[$__rate_interval]")


def quantile(share, histogram, by=""):
    """The quantile of a histogram over all instances; `by` names labels that it is kept apart for."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({histogram}_bucket{{}}[])))"


def panel(title, unit, description, *queries, kind="timeseries", width=8, height=7, bad=None, top=None, stack=False,
          repeat=None):
    """A panel. Each query is an expression, or (expression, legend). `bad`: the value from which on it is red. `top`: the
    upper end of the axis. `repeat`: the variable for each of whose values there is one panel."""
    targets = []
    for number, query in enumerate(queries):
        expression, legend = query if isinstance(query, tuple) else (query, "")
        target = {
            "refId": chr(ord("A") + number),
            "datasource": DATASOURCE,
            "expr": promql(expression),
            "legendFormat": legend or "__auto",
        }
        if kind == "table":
            target |= {"format": "table", "instant": True}
        elif kind == "heatmap":
            target |= {"format": "heatmap"}
        targets.append(target)

    steps = [{"color": "green", "value": None}]
    defaults = {"unit": unit, "noValue": "N/A", "min": 0, "custom": {}}
    if bad is not None:
        steps.append({"color": "red", "value": bad})
    defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if top is not None:
        defaults["max"] = top

    options = {}
    if kind == "timeseries":
        defaults["custom"] = {
            "fillOpacity": 40 if stack else 8,
            "showPoints": "never",
            "stacking": {"mode": "normal" if stack else "none", "group": "A"},
            "thresholdsStyle": {"mode": "off" if bad is None else "dashed"},
        }
        options = {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    elif kind == "stat":
        options = {"colorMode": "none" if bad is None else "value", "graphMode": "area",
                   "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    elif kind == "table":
        defaults.pop("min")
        options = {"showHeader": True}
    elif kind == "heatmap":
        # Prometheus gives cumulative buckets; the format `heatmap` of the query has taken them apart.
        options = {"calculate": False, "yAxis": {"unit": unit}, "color": {"mode": "scheme", "scheme": "Blues"},
                   "cellGap": 1, "tooltip": {"mode": "single", "yHistogram": True}}

    result = {
        "title": title,
        "type": kind,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": targets,
    }
    if kind == "table":
        hidden = {"Time": True, "Value": True, "job": True, "__name__": True}
        result["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden}}]
    if repeat:
        result |= {"repeat": repeat, "repeatDirection": "h", "maxPerRow": 6}
    return result


OVERVIEW = [
    panel("Documents a second", "short",
          "Received: taken from the topics. Labelled: handed to the sinks. If labelled stays below received, look at the "
          "row Flow for the busiest stage. If both are zero while the lag grows, look at Kafka and Sinks.",
          ("sum(rate(fenliu_received_documents_total{}[]))", "received"),
          ("sum(rate(fenliu_labelled_documents_total{}[]))", "labelled")),
    panel("Lag", "s",
          "Age of the newest document that all sinks have, for the partition that is furthest behind; 0 when there is "
          "nothing to do. Up to the longest `max_age` of a sink is normal. If it grows, add an instance (there can be as "
          "many as partitions), or find the bottleneck in the row Flow.",
          ("max(fenliu_lag_seconds{})", "worst partition"), bad=60),
    panel("Time to delivery", "s",
          "From the timestamp in Kafka to the commit of the last sink. Above the longest `max_age` of a sink the pipeline "
          "is behind: compare with Lag. If the lag is small, producers set old timestamps.",
          (quantile(0.5, "fenliu_end_to_end_seconds"), "p50"), (quantile(0.99, "fenliu_end_to_end_seconds"), "p99")),
    panel("Dead letters", "percentunit",
          "Share of the received documents that became dead letters, by stage and reason. `fenliu dlq show -c FILE --reason "
          "REASON` prints them. A jump in `decode` mostly means that a producer has changed its format; `language`, "
          "`empty_text` and reject rules of the configuration are intended.",
          ("sum by (stage, reason) (rate(fenliu_dead_letters_total{}[])) / on () group_left () "
           "sum(rate(fenliu_received_documents_total{}[]))", "{{stage}} {{reason}}"), bad=0.01, width=6),
    panel("Instances", "short",
          "Processes that Prometheus reaches, and partitions that they hold together. Fewer instances than configured: look at "
          "the pods and their logs. Fewer partitions than the topics have: a member is starting or has died, and its "
          "partitions wait for the session timeout.",
          ("sum(up{})", "instances"), ("sum(fenliu_assigned_partitions{})", "partitions"), width=6),
    panel("Model in use", "string",
          "One line for each instance. Different versions for longer than some minutes: an instance could not load the new "
          "one; its log has the event `model_refused`, and the row Model counts these failures.",
          "fenliu_model_info{}", kind="table", width=12),
]

FLOW = [
    panel("Stage: $stage", "percentunit",
          "Share of the time in which the stage works (busy) or waits to hand on its result (blocked); the rest it waits for "
          "input. The stage that is busy close to 100 % is the bottleneck, those before it are blocked. Is it `model`: more "
          "threads or instances, or a smaller model. Is it `write`: look at Sinks.",
          ('avg(rate(fenliu_stage_busy_seconds_total{stage=~"$stage"}[]))', "busy"),
          ('avg(rate(fenliu_stage_blocked_seconds_total{stage=~"$stage"}[]))', "blocked"),
          stack=True, top=1, width=4, height=6, repeat="stage"),
    panel("Queues", "short",
          "Batches that wait before each stage, the longest queue of all instances. The stage behind a full queue (4) is slower "
          "than those before it.",
          ("max by (before) (fenliu_queue_batches{})", "before {{before}}")),
    panel("Memory of documents", "percentunit",
          "Share of `limits.memory` that documents in flight take, by instance. At 100 % the source waits for sinks to commit. "
          "If that is often so while no stage is busy, raise `limits.memory`, or lower the `max_age` of the slowest sink.",
          ("max by (instance) (fenliu_memory_used_bytes{} / fenliu_memory_budget_bytes{})", "{{instance}}"), top=1),
    panel("Source paused", "percentunit",
          "Share of the time in which the source does not read because the memory for documents is used up. Permanently above "
          "50 %: find the busy stage or the slow sink; until then the lag grows.",
          ("max by (instance) (rate(fenliu_source_paused_seconds_total{}[]))", "{{instance}}"), top=1, bad=0.5),
    panel("Documents a second by stage", "short",
          "All stages should show the same rate. A stage that stays at zero while the one before it works does not move: `/live` "
          "fails after ten minutes, and the log of the instance says what it waits for.",
          ("sum by (stage) (rate(fenliu_stage_documents_total{}[]))", "{{stage}}"), width=12),
    panel("Time for a batch, p99", "s",
          "How long a stage takes for one batch. Seconds in `clean`: an expensive expression or regular expression in "
          "`clean.steps`. Seconds in `model`: long texts, or too few cores.",
          (quantile(0.99, "fenliu_stage_batch_duration_seconds", "stage"), "{{stage}}"), width=12),
]

KAFKA = [
    panel("Lag by topic", "s",
          "The partition that is furthest behind in each topic. If it is one topic alone, its producers have become faster, or "
          "its documents cost more.",
          ("max by (topic) (fenliu_lag_seconds{})", "{{topic}}"), bad=60),
    panel("Lag in documents by topic", "short",
          "Documents that not all sinks have yet. Divided by the rate of the overview it is the time to catch up.",
          ("sum by (topic) (fenliu_lag_documents{})", "{{topic}}")),
    panel("Partitions furthest behind", "s",
          "The ten partitions with the largest lag. If one stands out, its keys are skewed, or it was given away "
          "and not yet taken.",
          ("topk(10, fenliu_lag_seconds{})", "{{topic}}/{{partition}}")),
    panel("Bytes received a second", "Bps",
          "Size of the messages by topic. A jump at the same number of documents: longer texts, which cost the model more.",
          ("sum by (topic) (rate(fenliu_received_bytes_total{}[]))", "{{topic}}")),
    panel("Assigned partitions", "short",
          "Partitions of each instance; they should differ by one at most. An instance with none is a spare. All with none: "
          "the group is in a rebalance, or the topics do not exist.",
          ("sum by (instance) (fenliu_assigned_partitions{})", "{{instance}}")),
    panel("Rebalances", "short",
          "How often an instance was given partitions, or had to give them up, in the last hour; a rebalance counts twice. More than "
          "two rebalances for each start or stop of an instance: instances miss `session.timeout.ms` or `max.poll.interval.ms` "
          "(processor time, memory), or an autoscaler does not settle.",
          ("sum by (instance) (increase(fenliu_rebalances_total{}[1h]))", "{{instance}}"), bad=12),
    panel("Since the last poll", "s",
          "How long ago the source last polled the consumer. It polls also while it is paused. Above `max.poll.interval.ms` (5 "
          "minutes) the group takes the partitions away; `/live` fails at half of it.",
          ("max by (instance) (time() - fenliu_last_poll_timestamp_seconds{})", "{{instance}}"), bad=150),
    panel("Errors of Kafka clients", "short",
          "Errors a second, by client and code. `_TRANSPORT` and `_ALL_BROKERS_DOWN`: network or brokers. "
          "`_AUTHENTICATION`, `TOPIC_AUTHORIZATION_FAILED`: credentials or access rules.",
          ("sum by (client, code) (rate(fenliu_kafka_errors_total{}[]))", "{{client}} {{code}}")),
    panel("Reading begun again", "short",
          "How often reading began again at the positions of the sinks in the last hour, by reason, and failed requests to the "
          "schema registry. Nothing is lost or repeated by it; often means that rebalances or sinks are in trouble.",
          ("sum by (why) (increase(fenliu_restarts_total{}[1h]))", "{{why}}"),
          ("sum(increase(fenliu_schema_registry_failures_total{}[1h]))", "schema registry")),
]

SINKS = [
    panel("Since the last commit", "s",
          "Per sink, on the instance where it is longest ago. About the `max_age` of the sink is normal, more while no documents "
          "arrive. If there is a lag, too, the sink is stuck: the log of the instance has the event `retrying`, or says which stage is at work.",
          ("max by (sink) (time() - fenliu_sink_last_commit_timestamp_seconds{})", "{{sink}}")),
    panel("Failing", "short",
          "Instances on which the last commit to the sink failed and is tried again. The log says why: full disk, missing "
          "rights, a bucket or broker that does not answer. Nothing is lost meanwhile; the source pauses when the memory is full.",
          ("sum by (sink) (fenliu_sink_failing{})", "{{sink}}"), bad=1),
    panel("Commits a second", "short",
          "By sink and outcome. Every `failed` one is repeated after a pause.",
          ("sum by (sink, outcome) (rate(fenliu_sink_commits_total{}[]))", "{{sink}} {{outcome}}")),
    panel("Duration of a commit", "s",
          "p50 and p99 by sink. If it comes near the `max_age` of the sink, commits limit the throughput: take a longer "
          "`max_age`, fewer values of `partition_by`, or look at the storage.",
          (quantile(0.5, "fenliu_sink_commit_duration_seconds", "sink"), "{{sink}} p50"),
          (quantile(0.99, "fenliu_sink_commit_duration_seconds", "sink"), "{{sink}} p99")),
    panel("Documents a second by sink", "short",
          "Committed documents. Sinks with a `where` get fewer.",
          ("sum by (sink) (rate(fenliu_sink_documents_total{}[]))", "{{sink}}")),
    panel("Bytes a second by sink", "Bps",
          "Size of the committed documents as `limits.memory` counts it; files are smaller, because they are compressed.",
          ("sum by (sink) (rate(fenliu_sink_bytes_total{}[]))", "{{sink}}")),
    panel("Waiting for a commit", "short",
          "Documents that were handed to a sink and are not committed. They take memory until the slowest sink has them.",
          ("sum by (sink) (fenliu_sink_pending_documents{})", "{{sink}}"), width=12),
    panel("Time to commit", "s",
          "From the reception of a document to its row being with the sinks (written) and in all of them (committed), p99. "
          "The difference is mostly the `max_age` of the slowest sink.",
          (quantile(0.99, "fenliu_latency_seconds", "until"), "{{until}}"), width=12),
]

MODEL = [
    panel("Score of the label", "percentunit",
          "How sure the model is, over time. A band that moves down means text unlike that of the training: compare with Drift "
          "and Abstained, and look at the newest stories.",
          ("sum by (le) (increase(fenliu_label_score_bucket{}[]))", "{{le}}"), kind="heatmap", width=12),
    panel("Labels", "short",
          "Documents a second by label, the ten most frequent. A label that vanishes or doubles without a reason in the news: "
          "a source is missing or new, or the new version of the model is worse; then `fenliu model rollback NAME`.",
          ("topk(10, sum by (label) (rate(fenliu_labelled_documents_total{}[])))", "{{label}}"), width=12),
    panel("Abstained", "percentunit",
          "Share of the labelled documents whose label should not be trusted. If it rises, correct a sample and fine-tune.",
          ("sum(rate(fenliu_abstained_documents_total{}[])) / sum(rate(fenliu_labelled_documents_total{}[]))", "abstained")),
    panel("Drift", "short",
          "Population stability index of the newest documents against the held-out ones of the training. From `drift.on` (0.2) on "
          "the signal drifts. `label`: another mix of topics; `length`, `unknown_tokens`: another kind of text or a broken feed; "
          "`confidence`: the model is less sure. Look at the newest stories, then correct and fine-tune.",
          ("max by (signal) (fenliu_drift_index{})", "{{signal}}"),
          ("max by (signal) (fenliu_drifting{})", "{{signal}} drifts"), bad=0.2),
    panel("Challenger disagrees", "percentunit",
          "Share of the shadow documents to which the challenger gives another label than the model in use. Read the files in "
          "`shadow.path` before you promote it.",
          ('sum(rate(fenliu_shadow_documents_total{outcome="disagreeing"}[])) / '
           'sum(rate(fenliu_shadow_documents_total{outcome=~"agreeing|disagreeing"}[]))', "disagreeing")),
    panel("Time of the model for a batch", "s",
          "p50 and p99. If it rises at the same number of tokens, the instance lacks processor time: compare `model.threads` with "
          "the limit of the container.",
          (quantile(0.5, "fenliu_inference_duration_seconds"), "p50"),
          (quantile(0.99, "fenliu_inference_duration_seconds"), "p99")),
    panel("Tokens a second", "short",
          "Tokens of texts, and padding up to the longest text of a call. Much padding: texts of very different length; a larger "
          "`limits.batch_rows` sorts more of them.",
          ("sum by (kind) (rate(fenliu_inference_tokens_total{}[]))", "{{kind}}"), stack=True),
    panel("Padding and truncation", "percentunit",
          "Share of padding among all tokens, and share of documents that are longer than the encoder reads. Above 30 % padding "
          "costs noticeably. Much truncation: `clean.steps` may remove boilerplate from the beginning of texts.",
          ('sum(rate(fenliu_inference_tokens_total{kind="padding"}[])) / sum(rate(fenliu_inference_tokens_total{}[]))', "padding"),
          ("sum(rate(fenliu_truncated_documents_total{}[])) / sum(rate(fenliu_labelled_documents_total{}[]))", "truncated"), top=1),
    panel("Documents in a batch", "short",
          "Median and 95th percentile. Only a few at high load: `limits.batch_linger` or `limits.batch_rows` is too small.",
          (quantile(0.5, "fenliu_inference_batch_documents"), "p50"),
          (quantile(0.95, "fenliu_inference_batch_documents"), "p95"), width=12),
    panel("Documents by version", "short",
          "Which version labels how much. Two for longer than a rollout: see Model in use.",
          ("sum by (version) (rate(fenliu_version_documents_total{}[]))", "{{version}}"), stack=True, width=12),
    panel("Changes of the model", "short",
          "Swaps, roll-backs and failed loads in the last hour. A roll-back: the new version failed in its canary period, and "
          "the log (`model_rolled_back`) says why. A failed load: the log (`model_refused`) says what is wrong with the version.",
          ("sum(increase(fenliu_model_swaps_total{}[1h]))", "swaps"),
          ("sum(increase(fenliu_model_rollbacks_total{}[1h]))", "roll-backs"),
          ("sum(increase(fenliu_model_load_failures_total{}[1h]))", "failed loads"),
          ("sum(fenliu_model_on_probation{})", "instances in the canary period"), width=12),
    panel("Documents that the model could not label", "short",
          "A second, by instance. They become dead letters with the reason `inference_failed`. If it is all of them, the breaker "
          "stops the pipeline; on a GPU, memory may be short.",
          ("sum by (instance) (rate(fenliu_inference_failures_total{}[]))", "{{instance}}"), width=12),
]

LEARNING = [
    panel("Corrections a day", "short",
          "Corrections in the last 24 hours: confirmed predictions, changed labels, withdrawn ones. Many changed: fine-tune.",
          ("sum by (kind) (increase(fenliu_corrections_total{}[1d]))", "{{kind}}")),
    panel("Blind audits a day", "short",
          "Stories that were labelled by a person without seeing the model's label, by outcome. They alone give an unbiased "
          "accuracy; a hundred of them are accurate to about 8 points.",
          ("sum by (outcome) (increase(fenliu_audits_total{}[1d]))", "{{outcome}}")),
    panel("Corrections that no job has seen", "short",
          "They count from the next fine-tuning job on. If the number only grows, no job runs: look at its schedule.",
          ("max(fenliu_corrections_pending{})", "pending")),
    panel("Fine-tuning jobs in a week", "short",
          "Those that `fenliu run` has started, by verdict. `refused`: a gate was missed, the report in the directory of the job names it. `failed`: the log of the "
          "job ends with the error. `unchanged`: there were no new corrections.",
          ("sum by (verdict) (increase(fenliu_finetune_jobs_total{}[7d]))", "{{verdict}}")),
    panel("Job running", "short",
          "1 while a fine-tuning job runs that `fenliu run` has started. For hours at 1: the job is large, or short of processor time.",
          ("max(fenliu_finetune_running{})", "running")),
    panel("Since the last successful job", "s",
          "N/A: `fenliu run` has started none. If it exceeds the schedule by far, jobs fail or do not start.",
          ("time() - max(fenliu_finetune_last_success_timestamp_seconds{} > 0)", "age"), kind="stat", bad=8 * 86400),
]

PROCESS = [
    panel("Processor", "short",
          "Cores in use, by instance. At the limit of the container the pipeline is throttled: raise the limit, lower "
          "`model.threads` to it, or add instances.",
          ("sum by (instance) (rate(process_cpu_seconds_total{}[]))", "{{instance}}")),
    panel("Resident memory", "bytes",
          "By instance. It should be level after the first minutes. If it nears the limit of the container, raise the limit or "
          "lower `limits.memory`.",
          ("max by (instance) (process_resident_memory_bytes{})", "{{instance}}")),
    panel("Open files", "short",
          "By instance. It should be level; steady growth is a bug worth a report.",
          ("max by (instance) (process_open_fds{})", "{{instance}}")),
    panel("Uptime", "s",
          "Time since the start, by instance. Drops to zero: the process was started again; `kubectl describe pod` shows the last "
          "words and the exit code. 3 means that the breaker stopped it, because too many documents failed.",
          ("max by (instance) (time() - process_start_time_seconds{})", "{{instance}}")),
    panel("HTTP requests a second", "short",
          "By route and status. 401 and 403 in numbers: a client without a token, or somebody who tries. 429: a client beyond its "
          "limit. 5xx: the log has the error.",
          ("sum by (route, method, status) (rate(fenliu_http_requests_total{}[]))", "{{method}} {{route}} {{status}}")),
    panel("HTTP time, p99", "s",
          "By route. Explanations and predictions wait for spare capacity of the model, so they are slow under full load.",
          (quantile(0.99, "fenliu_http_request_duration_seconds", "route"), "{{route}}")),
    panel("Pages open", "short",
          "Event streams of browsers, and documents a second that were left out for pages because too many arrived. Neither slows "
          "the pipeline.",
          ("sum(fenliu_http_streams{})", "streams"),
          ("sum(rate(fenliu_http_skipped_documents_total{}[]))", "documents left out")),
    panel("Build", "string",
          "Version and features of each instance. Two versions are normal only during a rollout.",
          "fenliu_build_info{}", kind="table", width=16),
]

ROWS = [("Overview", OVERVIEW), ("Flow", FLOW), ("Kafka", KAFKA), ("Sinks", SINKS), ("Model", MODEL),
        ("Learning", LEARNING), ("Process", PROCESS)]


def variable(name, label, query, **others):
    """A variable whose values Prometheus gives."""
    return {"name": name, "label": label, "type": "query", "datasource": DATASOURCE, "query": {"query": query, "refId": name},
            "definition": query, "refresh": 2, "sort": 1} | others


EVERY = {"multi": True, "includeAll": True, "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}}
VARIABLES = [
    {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
    variable("pipeline", "Pipeline", "label_values(fenliu_build_info, job)"),
    variable("instance", "Instance", 'label_values(fenliu_build_info{job="$pipeline"}, instance)', **EVERY),
    # Only for the panels that are repeated for each stage.
    variable("stage", "Stage", 'label_values(fenliu_stage_busy_seconds_total{job="$pipeline"}, stage)', hide=2, **EVERY),
]


def annotation(name, color, expression, title):
    """Marks on all panels where the expression is above zero."""
    return {"name": name, "datasource": DATASOURCE, "enable": True, "iconColor": color, "expr": promql(expression),
            "step": "60s", "titleFormat": title, "textFormat": "{{instance}}"}


ANNOTATIONS = [
    annotation("Model swaps", "blue", "sum by (instance) (increase(fenliu_model_swaps_total{}[2m])) > 0",
               "another version of the model is in use"),
    annotation("Roll-backs", "red", "sum by (instance) (increase(fenliu_model_rollbacks_total{}[2m])) > 0",
               "a version failed in its canary period"),
]


def placed(rows):
    """All panels with ids and places: a heading for each row, and panels from left to right."""
    panels, y = [], 0
    for title, row in rows:
        panels.append({"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})
        x, y, line = 0, y + 1, 0
        for each in row:
            size = each["gridPos"]
            # A repeated panel fills its line.
            if x + size["w"] > WIDTH or (panels[-1].get("repeat") and x):
                x, y, line = 0, y + line, 0
            panels.append({"id": len(panels) + 1} | each | {"gridPos": {"x": x, "y": y} | size})
            x, line = x + size["w"], max(line, size["h"])
        y += line
    return panels


def dashboard():
    return {
        "title": "fenliu",
        "description": "News from Kafka, labelled. Written by deploy/grafana/generate.py.",
        "tags": ["fenliu"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": VARIABLES},
        "annotations": {"list": ANNOTATIONS},
        "panels": placed(ROWS),
    }


def main(arguments):
    text = json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"
    if arguments == ["--check"]:
        if not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != text:
            sys.exit(f"{TARGET.name} is not what generate.py gives: run python3 deploy/grafana/generate.py")
    elif arguments:
        sys.exit(__doc__)
    else:
        TARGET.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
