// Quality: does the model still see the news it was trained on, and how often is it right.

import { api } from "../api.js";
import { Chart } from "../charts.js";
import * as format from "../format.js";
import { named, t } from "../i18n.js";
import { useLoad } from "../load.js";
import { href, route, setParams } from "../route.js";
import { history, nameOf, status, useDark, useLabels } from "../state.js";
import { useStore } from "../store.js";
import { Bars, Chip, Dark, Empty, Failure, Head, Text, Tile, Time, code } from "../ui.js";
import { html, useEffect, useRef } from "../vendor/htm-preact.js";

/** @typedef {import("../types.js").Correction} Correction */

export function Quality() {
  const now = useStore(status, (value) => value);
  const samples = useStore(history, (value) => value);
  if (!now) return html`<div class="page"><${Head} title=${t("nav.quality")}/><${Empty}><p class="quiet" role="status">${t("loading")}</p><//></div>`;
  const { labelled, abstained } = now.documents;
  const mix = [...now.label_mix].sort((a, b) => b.documents - a.documents);
  const total = mix.reduce((sum, one) => sum + one.documents, 0);
  const signals = now.drift.map(({ signal }) => signal);
  return html`<div class="page"><${Head} title=${t("nav.quality")} intro=${t("quality.intro")}/>
    <div class="tiles"><${Accuracy}/>
      <${Tile} label=${t("quality.abstained")} value=${format.percent(labelled > 0 ? abstained / labelled : null, 1)} note=${t("quality.abstained.note", { n: abstained })}/>
      <${Tile} label=${t("quality.drift")} value=${now.drift.length === 0 ? t("na") : now.drift.some((one) => one.drifting) ? t("quality.drifting") : t("quality.steady")}
        bad=${now.drift.some((one) => one.drifting)} note=${now.drift.filter((one) => one.drifting).map((one) => named("signal", one.signal)).join(", ") || t("quality.drift.note")}/></div>
    <section><h2>${t("quality.drift")}</h2><p class="quiet">${code(t("quality.drift.intro"))}</p>
      ${now.drift.length === 0 ? html`<p class="quiet">${t("na")}</p>` : html`<div class="tiles">${now.drift.map((one) => html`<${Tile} label=${named("signal", one.signal)} value=${format.number(one.index, 3)}
        bad=${one.drifting} note=${one.drifting ? "▲ " + t("quality.drifting") : one.index === null ? t("quality.notyet") : t("quality.steady")}/>`)}</div>
      <${Chart} title=${t("quality.drift")} times=${samples.map((sample) => sample.at)} least=${0.1} write=${(/** @type {number|null} */ value) => format.number(value, 2)}
        lines=${signals.map((signal) => ({ label: named("signal", signal), values: samples.map((sample) => sample.drift[signal] ?? null) }))}/>`}</section>
    <div class="two"><section><h2>${t("quality.mix")}</h2>${total === 0 ? html`<p class="quiet">${t("na")}</p>` : html`<${Bars} caption=${t("quality.mix")} heads=${[t("label"), t("count")]}
        rows=${mix.slice(0, 20).map(({ label, documents }) => ({ name: html`<a class="plainlink" href=${href("desk", { label })}><${Chip} id=${label}/></a>`, value: documents, note: `${format.integer(documents)} · ${format.percent(documents / total, 1)}` }))}/>`}</section>
      <section><h2>${t("quality.scores")}</h2><${Histogram} counts=${now.scores}/></section></div>
    <${Confusion}/></div>`;
}

function Accuracy() {
  const data = useStore(status, (now) => now?.audits || null);
  const measured = data && data.answered > 0 ? data.right / data.answered : null;
  return html`<${Tile} label=${t("quality.accuracy")} value=${format.percent(measured, 1)}
    note=${measured === null ? t("audits.none") : t("audits.interval", { low: format.percent(data?.low), high: format.percent(data?.high), n: data?.answered || 0 })}/>`;
}

/** @param {{counts: number[]}} props */
function Histogram({ counts }) {
  const most = Math.max(1, ...counts);
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return html`<p class="quiet">${t("na")}</p>`;
  return html`<table class="histogram"><caption class="hidden">${t("quality.scores")}</caption>
    <thead class="hidden"><tr>${counts.map((_, at) => html`<th scope="col">${at / 10}–${(at + 1) / 10}</th>`)}</tr></thead>
    <tbody><tr>${counts.map((count, at) => html`<td title=${`${at / 10}–${(at + 1) / 10}: ${format.integer(count)}`}><span class="hidden">${format.integer(count)}</span>
      <span class="column" aria-hidden="true" style=${{ height: (140 * count) / most + "px" }}></span><span class="tick" aria-hidden="true">${format.number(at / 10, 1)}</span></td>`)}</tr></tbody></table>`;
}

function Confusion() {
  const dark = useDark("corrections");
  const chosen = useStore(route, (now) => now.params);
  const labels = useLabels();
  const { data, error } = useLoad(async () => (dark ? null : api.corrections({ limit: 1 })), [dark], 10_000);
  /** @type {{current: HTMLElement|null}} */
  const list = useRef(null);
  const open = Boolean(chosen.predicted && chosen.given);
  const cell = useLoad(async () => (open && !dark ? (await api.corrections({ limit: 200, predicted: chosen.predicted, label: chosen.given })).corrections : []),
    [dark, chosen.predicted, chosen.given]);
  useEffect(() => { if (open) list.current?.focus(); }, [chosen.predicted, chosen.given]);
  const head = html`<h2>${t("confusion.title")}</h2><p class="quiet">${t("confusion.intro")}</p>`;
  if (dark) return html`<section>${head}<${Dark} why=${dark}/></section>`;
  if (error && !data) return html`<section>${head}<${Failure} error=${error}/></section>`;
  if (!data || data.confusion.length === 0) return html`<section>${head}<p class="quiet">${t(data ? "confusion.none" : "loading")}</p></section>`;
  const named_ = new Set(data.confusion.flatMap(({ predicted, label }) => [predicted, label]));
  const order = [...labels.map(({ id }) => id).filter((id) => named_.has(id)), ...[...named_].filter((id) => !labels.some((label) => label.id === id))];
  const most = Math.max(...data.confusion.map(({ count }) => count));
  const count = (/** @type {string} */ predicted, /** @type {string} */ label) =>
    data.confusion.find((cell) => cell.predicted === predicted && cell.label === label)?.count || 0;
  const stories = (cell.data || []).filter((one) => !one.withdrawn);
  return html`<section>${head}<div class="scroll" tabindex="0" role="group" aria-label=${t("confusion.title")}><table class="confusion"><caption class="hidden">${t("confusion.title")}</caption>
    <thead><tr><th scope="col">${t("confusion.corner")}</th>${order.map((label) => html`<th scope="col"><span>${nameOf(label)}</span></th>`)}</tr></thead>
    <tbody>${order.map((predicted) => html`<tr><th scope="row">${nameOf(predicted)}</th>${order.map((label) => {
      const found = count(predicted, label);
      const step = found === 0 ? 0 : Math.ceil((4 * found) / most);
      const now = predicted === chosen.predicted && label === chosen.given;
      return html`<td class=${(predicted === label ? "same" : "other") + step}>${found > 0 && html`<button aria-pressed=${now ? "true" : "false"}
        aria-label=${t("confusion.cell", { predicted: nameOf(predicted), label: nameOf(label), n: found })}
        onClick=${() => setParams(now ? { predicted: "", given: "" } : { predicted, given: label })}>${found}</button>`}</td>`;
    })}</tr>`)}</tbody></table></div>
    ${open && html`<div class="cell-stories"><h3 tabindex="-1" ref=${list}>${t("confusion.stories", { predicted: nameOf(chosen.predicted), label: nameOf(chosen.given) })}</h3>
      ${cell.error ? html`<${Failure} error=${cell.error}/>` : stories.length === 0 ? html`<p class="quiet">${t(cell.loading ? "loading" : "confusion.gone")}</p>` : html`<ul class="plainlist">${stories.map((one) => html`<li key=${one.ulid}>
        <a class="grow" href=${href("desk", { story: one.key })}><${Text} text=${one.title || one.key}/></a><span class="quiet">${one.by || t("na")} · <${Time} at=${one.at}/></span></li>`)}</ul>`}</div>`}</section>`;
}
