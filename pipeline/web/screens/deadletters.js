// Dead letters: what could not be labelled, counted by stage and reason, with samples as text or as bytes.

import { api } from "../api.js";
import { Chart } from "../charts.js";
import * as format from "../format.js";
import { named, t } from "../i18n.js";
import { useLoad } from "../load.js";
import { route, setParams } from "../route.js";
import { history, status, useDark } from "../state.js";
import { useStore } from "../store.js";
import { Dark, Empty, Failure, Head, Text, Time, code } from "../ui.js";
import { html, useState } from "../vendor/htm-preact.js";

export function DeadLetters() {
  const dark = useDark("dead_letters");
  return html`<div class="page"><${Head} title=${t("nav.dead")} intro=${t("letters.intro")}/>${dark ? html`<${Counted} why=${dark}/>` : html`<${Letters}/>`}</div>`;
}

/** Without samples the counts of the status are still there. */
/** @param {{why: string}} props */
function Counted({ why }) {
  const counts = useStore(status, (now) => now?.dead_letters || []);
  return html`<${Counts} counts=${counts} stage="" reason=""/><${Dark} why=${why}/>`;
}

function Letters() {
  const { stage = "", reason = "" } = useStore(route, (now) => now.params);
  const { data, error } = useLoad(() => api.deadLetters({ stage, reason, limit: 50 }), [stage, reason], 5000);
  const samples = useStore(history, (value) => value);
  const [hex, setHex] = useState(false);
  if (!data) return error ? html`<${Failure} error=${error}/>` : html`<p class="quiet" role="status">${t("loading")}</p>`;
  if (data.counts.length === 0) return html`<${Empty}><p class="lead">${t("letters.none")}</p><p class="quiet">${t("letters.none.note")}</p><//>`;
  return html`<${Counts} counts=${data.counts} stage=${stage} reason=${reason}/>
    <${Chart} title=${t("letters.rate")} times=${samples.map((sample) => sample.at)} write=${(/** @type {number|null} */ value) => format.number(value, 1)} least=${1}
      lines=${[{ label: t("letters.minute"), values: samples.map((sample, at) => perMinute(samples, at)) }]}/>
    <section><div class="section-head"><h2>${t("letters.samples")}</h2><div class="segmented" role="group" aria-label=${t("letters.view")}>
      <button aria-pressed=${hex ? "false" : "true"} onClick=${() => setHex(false)}>${t("letters.text")}</button><button aria-pressed=${hex ? "true" : "false"} onClick=${() => setHex(true)}>${t("letters.hex")}</button></div></div>
    ${data.samples.length === 0 && html`<p class="quiet">${t("letters.nosamples")}</p>`}
    ${data.samples.map((letter) => html`<article class="letter" key=${letter.key}><p class="meta"><code>${letter.key}</code> · ${named("stage", letter.stage)} · <b>${named("dlq", letter.reason)}</b> · <${Time} at=${letter.at}/> · ${format.bytes(letter.bytes)}</p>
      <p>${code(letter.detail)}</p><pre tabindex="0">${hex ? dump(letter.hex) : letter.text === null ? t("na") : html`<${Text} text=${letter.text}/>`}</pre></article>`)}
    <p class="quiet">${code(t("letters.replay"))}</p></section>`;
}

/**
 * @param {{counts: {stage: string, reason: string, documents: number}[], stage: string, reason: string}} props
 */
const Counts = ({ counts, stage, reason }) => html`<div class="scroll" tabindex="0" role="group" aria-label=${t("letters.counts")}><table class="data"><caption class="hidden">${t("letters.counts")}</caption>
  <thead><tr><th scope="col">${t("letters.stage")}</th><th scope="col">${t("letters.reason")}</th><th scope="col" class="number">${t("letters.documents")}</th><th scope="col"><span class="hidden">${t("letters.show")}</span></th></tr></thead>
  <tbody>${[...counts].sort((a, b) => b.documents - a.documents).map((one) => {
    const chosen = one.stage === stage && one.reason === reason;
    return html`<tr class=${chosen ? "chosen" : ""}><td>${named("stage", one.stage)}</td><th scope="row">${named("dlq", one.reason)} <code class="quiet">${one.reason}</code></th><td class="number">${format.integer(one.documents)}</td>
      <td class="act"><button class="small" aria-pressed=${chosen ? "true" : "false"} onClick=${() => setParams(chosen ? { stage: "", reason: "" } : { stage: one.stage, reason: one.reason })}>${t(chosen ? "letters.all" : "letters.show")}</button></td></tr>`;
  })}</tbody></table></div>`;

/**
 * @param {import("../state.js").Sample[]} samples
 * @param {number} at
 */
function perMinute(samples, at) {
  const before = samples[Math.max(0, at - 60)];
  const last = samples[at];
  return last.at <= before.at ? null : Math.max(0, (60_000 * (last.dead - before.dead)) / (last.at - before.at));
}

/**
 * Bytes in rows of sixteen, with their offset.
 * @param {string|null} hex
 */
export function dump(hex) {
  if (hex === null) return t("na");
  const rows = hex.replace(/\s+/g, "").match(/.{1,32}/g) || [];
  return rows.map((row, at) => (at * 16).toString(16).padStart(6, "0") + "  " + (row.match(/../g) || []).join(" ")).join("\n");
}
