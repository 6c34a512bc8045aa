// The flow: the stages as boxes, which of them holds the rest up, partitions and sinks.

import { Chart } from "../charts.js";
import { bottleneck, inOrder } from "../flowwords.js";
import * as format from "../format.js";
import { named, t } from "../i18n.js";
import { history, status } from "../state.js";
import { useStore } from "../store.js";
import { Empty, Head, Text, Tile, Time, code } from "../ui.js";
import { html } from "../vendor/htm-preact.js";

/** @typedef {import("../types.js").Status} Status */
/** @typedef {import("../state.js").Sample} Sample */

/** How many batches fit before a stage. */
const QUEUE = 4;

export function Flow() {
  const now = useStore(status, (value) => value);
  const samples = useStore(history, (value) => value);
  if (!now) return html`<div class="page"><${Head} title=${t("nav.flow")}/><${Empty}><p class="quiet" role="status">${t("loading")}</p><//></div>`;
  const stages = inOrder(now.stages);
  const finding = bottleneck(stages, now.sinks);
  const lags = now.partitions.map((partition) => partition.lag_seconds).filter((lag) => lag !== null);
  return html`<div class="page"><${Head} title=${t("nav.flow")} intro=${t("flow.intro")}/>
    ${now.health.degraded.length > 0 && html`<div class="alarm" role="alert"><strong>${t("flow.degraded")}</strong><ul>
      ${now.health.degraded.map((text) => html`<li>${code(text)}</li>`)}</ul></div>`}
    <p class=${"finding is-" + finding.kind}>${words(finding)}</p>
    <ol class="stages" aria-label=${t("flow.stages")}>${stages.map((stage, at) => html`<${Box} stage=${stage} first=${at === 0}
      rate=${rateOf(samples, stage.name)} slowest=${finding.kind === "stage" && finding.stage === stage.name}/>`)}</ol>
    <p class="legend quiet"><span class="key busy"><i aria-hidden="true"></i>${t("flow.busy")}</span><span class="key blocked"><i aria-hidden="true"></i>${t("flow.blocked")}</span>
      <span class="key idle"><i aria-hidden="true"></i>${t("flow.idle")}</span> ${t("flow.window")}</p>
    <div class="tiles">
      <${Tile} label=${t("flow.rate")} value=${format.number(now.docs_per_s, 0)} note=${t("flow.received", { n: now.documents.received })}/>
      <${Tile} label=${t("flow.latency")} value=${format.milliseconds(now.latency_ms.p50)} note=${t("flow.p99", { value: format.milliseconds(now.latency_ms.p99) })}/>
      <${Tile} label=${t("flow.lag")} value=${lags.length > 0 ? format.seconds(Math.max(...lags)) : t("na")} note=${t("flow.lag.note")}/>
      <${Tile} label=${t("flow.memory")} value=${format.percent(now.memory.budget_bytes > 0 ? now.memory.used_bytes / now.memory.budget_bytes : null)}
        note=${t("flow.memory.note", { used: format.bytes(now.memory.used_bytes), budget: format.bytes(now.memory.budget_bytes) })}/>
      <${Tile} label=${t("nav.dead")} value=${format.integer(now.documents.dead_letters)} note=${t("flow.dead.note")}/></div>
    <div class="charts">
      <${Chart} title=${t("flow.rate")} times=${samples.map((sample) => sample.at)} write=${(/** @type {number|null} */ value) => format.number(value, 0)}
        lines=${[{ label: t("flow.docs"), values: samples.map((sample) => sample.docs) }]} least=${10}/>
      <${Chart} title=${t("flow.latency")} times=${samples.map((sample) => sample.at)} write=${format.milliseconds}
        lines=${[{ label: "p50", values: samples.map((sample) => sample.p50) }, { label: "p99", values: samples.map((sample) => sample.p99) }]} least=${20}/>
      <${Chart} title=${t("flow.lag")} times=${samples.map((sample) => sample.at)} write=${format.seconds}
        lines=${[{ label: t("flow.lag.most"), values: samples.map((sample) => sample.lag) }]} least=${1}/></div>
    <section><h2>${t("flow.sinks")}</h2><${Sinks} sinks=${now.sinks}/></section>
    <section><h2>${t("flow.partitions")}</h2><${Partitions} partitions=${now.partitions}/></section></div>`;
}

/** @param {import("../flowwords.js").Finding} finding */
function words(finding) {
  if (finding.kind === "none") return t("flow.none");
  if (finding.kind === "sink") return code(t("flow.sinkfails", { sink: finding.sink }));
  const values = { stage: named("stage", finding.stage), busy: format.percent(finding.busy) };
  if (finding.kind === "idle") return t("flow.nothing", values);
  return t(finding.full ? "flow.slowest.full" : "flow.slowest", values);
}

/**
 * Documents a second of a stage, from the counts of the last five seconds.
 * @param {Sample[]} samples
 * @param {string} stage
 */
export function rateOf(samples, stage) {
  const last = samples.at(-1);
  const before = samples.findLast((sample) => last !== undefined && last.at - sample.at >= 5000) || samples[0];
  if (!last || !before || last.at <= before.at) return null;
  const count = last.documents[stage] - before.documents[stage];
  return count >= 0 ? (1000 * count) / (last.at - before.at) : null;
}

/** @param {{stage: import("../types.js").Stage, first: boolean, rate: number|null, slowest: boolean}} props */
function Box({ stage, first, rate, slowest }) {
  const parts = [["busy", stage.busy], ["blocked", stage.blocked], ["idle", stage.idle]];
  return html`<li class=${"stage" + (slowest ? " slowest" : "")}>
    ${!first && html`<span class="queued" title=${t("flow.queue", { n: stage.queue ?? t("na"), of: QUEUE })}>
      <span class="dots" aria-hidden="true">${Array.from({ length: QUEUE }, (_, at) => html`<i class=${at < (stage.queue || 0) ? "full" : ""}></i>`)}</span>
      <span class="hidden">${t("flow.queue", { n: stage.queue ?? t("na"), of: QUEUE })}</span></span>`}
    <div class="box"><h2>${named("stage", stage.name)}${slowest && html` <span class="tag warn">${t("flow.slow")}</span>`}</h2>
      <p class="big">${format.number(rate, 0)} <small>${t("flow.perS")}</small></p>
      <div class="shares" aria-hidden="true">${parts.map(([name, share]) => html`<span class=${name} style=${{ width: 100 * Number(share) + "%" }}></span>`)}</div>
      <dl>${parts.map(([name, share]) => html`<div><dt>${t("flow." + name)}</dt><dd>${format.percent(/** @type {number} */ (share))}</dd></div>`)}</dl></div></li>`;
}

/** @param {{sinks: import("../types.js").Sink[]}} props */
const Sinks = ({ sinks }) => html`<div class="scroll" tabindex="0" role="group" aria-label=${t("flow.sinks")}><table class="data"><caption class="hidden">${t("flow.sinks")}</caption>
  <thead><tr><th scope="col">${t("sink.name")}</th><th scope="col">${t("sink.state")}</th><th scope="col">${t("sink.last")}</th>
    <th scope="col" class="number">${t("sink.pending")}</th><th scope="col" class="number">${t("sink.commits")}</th><th scope="col" class="number">${t("sink.failures")}</th><th scope="col">${t("sink.error")}</th></tr></thead>
  <tbody>${sinks.map((sink) => html`<tr><th scope="row"><code>${sink.name}</code></th>
    <td>${sink.failing_since ? html`<span class="bad">✕ ${t("sink.failing")} <${Time} at=${sink.failing_since}/></span>` : html`<span class="good">✓ ${t("sink.ok")}</span>`}</td>
    <td><${Time} at=${sink.last_commit_at}/></td><td class="number">${format.integer(sink.pending_documents)}</td>
    <td class="number">${format.integer(sink.commits)}</td><td class="number">${format.integer(sink.failures)}</td>
    <td class="text">${sink.last_error ? html`<${Text} text=${sink.last_error}/>` : html`<span class="quiet">${t("none")}</span>`}</td></tr>`)}
  ${sinks.length === 0 && html`<tr><td colspan="7" class="quiet">${t("na")}</td></tr>`}</tbody></table></div>`;

/** @param {{partitions: import("../types.js").Partition[]}} props */
const Partitions = ({ partitions }) => html`<div class="scroll" tabindex="0" role="group" aria-label=${t("flow.partitions")}><table class="data"><caption class="hidden">${t("flow.partitions")}</caption>
  <thead><tr><th scope="col">${t("partition.name")}</th><th scope="col" class="number">${t("partition.position")}</th><th scope="col" class="number">${t("partition.end")}</th>
    <th scope="col" class="number">${t("partition.documents")}</th><th scope="col" class="number">${t("partition.seconds")}</th></tr></thead>
  <tbody>${partitions.map((partition) => html`<tr><th scope="row"><code>${partition.topic}/${partition.partition}</code></th>
    <td class="number">${format.integer(partition.position)}</td><td class="number">${format.integer(partition.end)}</td>
    <td class="number">${format.integer(partition.lag_documents)}</td><td class="number">${format.seconds(partition.lag_seconds)}</td></tr>`)}
  ${partitions.length === 0 && html`<tr><td colspan="5" class="quiet">${t("na")}</td></tr>`}</tbody></table></div>`;
