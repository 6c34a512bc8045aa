// Small pieces that all screens use.

import * as format from "./format.js";
import { t } from "./i18n.js";
import { clockTick, nameOf, useLabels } from "./state.js";
import { useStore } from "./store.js";
import { parts, safeUrl } from "./text.js";
import { html, useEffect, useRef } from "./vendor/htm-preact.js";

/**
 * A text of a stranger: text nodes only, with direction and invisible characters shown as marks, and kept from turning
 * the text around it.
 * @param {{text: string, lang?: string|null}} props
 */
export const Text = ({ text, lang }) => html`<bdi lang=${lang || undefined}>${parts(text).map(({ text: plain, mark }) =>
  mark === null ? plain : html`<span class="control" title=${t("text.control", { name: mark })}>${mark}</span>`)}</bdi>`;

/** @param {{at: string|null|undefined}} props */
export function Time({ at }) {
  const now = useStore(clockTick, (tick) => tick);
  if (!at) return html`<span class="quiet">${t("na")}</span>`;
  return html`<time datetime=${at} title=${format.absolute(at)}>${format.ago(at, Math.max(now, Date.now()))}</time>`;
}

const SHAPES = ["M1 5a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", "M1.5 1.5h7v7h-7z", "M5 .8L9.4 8.8H.6z", "M5 .4L9.6 5L5 9.6L.4 5z",
  "M.6 1.2H9.4L5 9.2z", "M3.4 .8h3.2v2.6h2.6v3.2H6.6v2.6H3.4V6.6H.8V3.4h2.6z"];

/**
 * The sign of a label: a shape and a colour, so that a list can be scanned; the name is always beside it.
 * @param {{id: string}} props
 */
export function Glyph({ id }) {
  const at = Math.max(0, useLabels().findIndex((label) => label.id === id));
  return html`<svg class=${"glyph hue" + (at % 8)} viewBox="0 0 10 10" aria-hidden="true"><path d=${SHAPES[at % 6]}/></svg>`;
}

/** @param {{id: string|undefined, abstained?: boolean, old?: boolean}} props */
export const Chip = ({ id, abstained, old }) => id === undefined
  ? html`<span class="quiet">${t("na")}</span>`
  : html`<span class=${"chip" + (abstained ? " abstained" : "") + (old ? " old" : "")}><${Glyph} id=${id}/><span class="name">${nameOf(id)}</span></span>`;

/**
 * A calibrated probability as a bar and a number.
 * @param {{value: number|null|undefined}} props
 */
export const Score = ({ value }) => html`<span class="score"><span class="track" aria-hidden="true"><span
  style=${{ width: Math.round((value || 0) * 100) + "%" }}></span></span><span class="figure">${format.score(value)}</span></span>`;

/** @param {{children: unknown}} props */
export const Kbd = ({ children }) => html`<kbd>${children}</kbd>`;

/** @param {{url: string|null, children: unknown}} props */
export function Outside({ url, children }) {
  const safe = safeUrl(url);
  return safe === null
    ? html`<span class="quiet">${url === null ? t("na") : html`<${Text} text=${url}/>`}</span>`
    : html`<a href=${safe} target="_blank" rel="noopener noreferrer nofollow">${children}</a>`;
}

/**
 * A screen or an ability that is off, with the setting that opens it.
 * @param {{why: string}} props
 */
export const Dark = ({ why }) => html`<div class="empty dark"><p class="lead">${t("dark.title")}</p>
  <p>${code(why)}</p></div>`;

/**
 * A sentence of the server in which settings stand between backquotes.
 * @param {string} text
 */
export const code = (text) => text.split("`").map((part, at) =>
  at % 2 === 1 ? html`<code>${part}</code>` : html`<${Text} text=${part}/>`);

/** @param {{children: unknown}} props */
export const Empty = ({ children }) => html`<div class="empty">${children}</div>`;

/** @param {{error: Error}} props */
export const Failure = ({ error }) => html`<div class="empty failure" role="alert">
  <p>${error.message ? code(error.message) : t("error.unreachable")}</p></div>`;

/**
 * @param {{title: string, intro?: string, children?: unknown}} props
 */
export const Head = ({ title, intro, children }) => html`<header class="head"><div><h1 tabindex="-1">${title}</h1>
  ${intro && html`<p class="intro">${intro}</p>`}</div><div class="actions">${children}</div></header>`;

/**
 * @param {{label: string, value: unknown, note?: unknown, bad?: boolean}} props
 */
export const Tile = ({ label, value, note, bad }) => html`<div class=${"tile" + (bad ? " is-bad" : "")}><span>${label}</span>
  <b>${value}</b>${note && html`<small>${note}</small>`}</div>`;

/**
 * A modal dialog. The browser returns the focus when it closes.
 * @param {{title: string, onClose: () => void, class?: string, children: unknown}} props
 */
export function Dialog({ title, onClose, class: kind, children }) {
  /** @type {{current: HTMLDialogElement|null}} */
  const element = useRef(null);
  useEffect(() => {
    const dialog = element.current;
    if (dialog && !dialog.open) dialog.showModal();
    return () => dialog?.close();
  }, []);
  /** @param {MouseEvent} event */
  const click = (event) => event.target === element.current && onClose();
  return html`<dialog ref=${element} class=${kind || ""} aria-label=${title} onClose=${onClose} onClick=${click}>
    <div class="inside">${children}</div></dialog>`;
}

/**
 * Figures as bars with their names: a chart that is a table.
 * @param {{rows: {name: unknown, value: number, note?: string}[], caption: string, heads: [string, string]}} props
 */
export function Bars({ rows, caption, heads }) {
  const most = Math.max(1, ...rows.map((row) => row.value));
  return html`<table class="bars"><caption class="hidden">${caption}</caption>
    <thead class="hidden"><tr><th scope="col">${heads[0]}</th><th scope="col">${heads[1]}</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr><th scope="row">${row.name}</th>
      <td><span class="bar" style=${{ width: (100 * row.value) / most + "%" }}></span></td>
      <td class="number">${row.note ?? format.integer(row.value)}</td></tr>`)}</tbody></table>`;
}
