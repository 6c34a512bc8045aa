// Lines over time, drawn by uPlot, each with its last values as a table for those who do not see the drawing.

import * as format from "./format.js";
import { t } from "./i18n.js";
import { settings } from "./settings.js";
import { useStore } from "./store.js";
import { html, useEffect, useRef } from "./vendor/htm-preact.js";
import uPlot from "./vendor/uplot.js";

/** @param {string} name of a custom property of the style sheet */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * @typedef {{label: string, values: (number|null)[]}} Line
 * @param {{title: string, times: number[], lines: Line[], write: (value: number|null) => string, least?: number}} props
 *   `times` in milliseconds; `least`: the top of the scale is at least this
 */
export function Chart({ title, times, lines, write, least = 0 }) {
  const theme = useStore(settings, (now) => now.theme);
  /** @type {{current: HTMLElement|null}} */
  const box = useRef(null);
  /** @type {{current: any}} */
  const plot = useRef(null);
  const data = [times.map((time) => time / 1000), ...lines.map((line) => line.values)];
  const latest = useRef({ data, write });
  latest.current = { data, write };
  useEffect(() => {
    const host = box.current;
    if (!host) return undefined;
    const build = () => {
      plot.current?.destroy();
      const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { show: false },
        font: "11px system-ui, sans-serif" };
      plot.current = new uPlot({
        width: Math.max(200, host.clientWidth), height: 150, legend: { show: false }, cursor: { drag: { x: false, y: false } },
        scales: { y: { range: (/** @type {unknown} */ _, /** @type {number} */ low, /** @type {number} */ high) =>
          [Math.min(0, low || 0), Math.max(least, (high || 0) * 1.1) || 1] } },
        axes: [
          { ...axis, values: (/** @type {unknown} */ _, /** @type {number[]} */ at) => at.map((time) => format.clock(time * 1000)), space: 90,
            incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300] },
          { ...axis, size: 62, values: (/** @type {unknown} */ _, /** @type {number[]} */ at) => at.map((value) => latest.current.write(value)) },
        ],
        series: [{}, ...lines.map((line, at) => ({
          label: line.label, stroke: colour("--line-" + (at + 1)), width: 2, points: { show: false }, spanGaps: false,
          dash: at % 2 === 1 ? [6, 3] : undefined }))],
      }, latest.current.data, host);
    };
    build();
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: Math.max(200, host.clientWidth), height: 150 }));
    resized.observe(host);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", build);
    return () => {
      resized.disconnect();
      dark.removeEventListener("change", build);
      plot.current?.destroy();
      plot.current = null;
    };
  }, [theme, lines.map((line) => line.label).join("\n")]);
  useEffect(() => plot.current?.setData(data));
  const measured = lines.some((line) => line.values.some((value) => value !== null));
  return html`<figure class="chart"><figcaption>${title}
      <span class="legend">${lines.map((line, at) => html`<span class=${"key line" + (at + 1)}><i aria-hidden="true"></i>${line.label}
        <b>${write(line.values.at(-1) ?? null)}</b></span>`)}</span></figcaption>
    <div class=${"plot" + (measured ? "" : " none")} ref=${box} aria-hidden="true"></div>
    ${!measured && html`<p class="quiet">${t("na")}</p>`}
    <details><summary>${t("chart.table")}</summary><div class="scroll" tabindex="0" role="group" aria-label=${title}><table><caption class="hidden">${title}</caption>
      <thead><tr><th scope="col">${t("chart.time")}</th>${lines.map((line) => html`<th scope="col" class="number">${line.label}</th>`)}</tr></thead>
      <tbody>${lastTimes(times).map((index) => html`<tr><td>${format.clock(times[index])}</td>
        ${lines.map((line) => html`<td class="number">${write(line.values[index] ?? null)}</td>`)}</tr>`)}</tbody></table></div></details></figure>`;
}

/**
 * Every tenth of the last values, newest first: twelve rows at most.
 * @param {number[]} times
 */
function lastTimes(times) {
  const found = [];
  for (let at = times.length - 1; at >= 0 && found.length < 12; at -= 10) found.push(at);
  return found;
}
