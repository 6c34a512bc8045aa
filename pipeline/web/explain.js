// Why the model chose a label: the text with its words shaded, and the strongest effects in sentences.

import { api } from "./api.js";
import * as format from "./format.js";
import { t, named } from "./i18n.js";
import { nameOf } from "./state.js";
import { explained } from "./text.js";
import { Failure, Text } from "./ui.js";
import { html, useEffect, useState } from "./vendor/htm-preact.js";

/** @typedef {import("./types.js").Explanation} Explanation */

/**
 * @param {string} key
 * @returns {{explanation: Explanation|null, error: Error|null, working: boolean, ask: () => void}}
 */
export function useExplanation(key) {
  const [state, setState] = useState({
    key, explanation: /** @type {Explanation|null} */ (null), error: /** @type {Error|null} */ (null), working: false,
  });
  const current = state.key === key ? state : { key, explanation: null, error: null, working: false };
  useEffect(() => setState((/** @type {typeof state} */ old) => (old.key === key ? old : current)), [key]);
  const ask = () => {
    if (current.working) return;
    setState({ ...current, working: true });
    /** @param {Partial<typeof state>} change */
    const finish = (change) => setState((/** @type {typeof state} */ old) =>
      old.key === key ? { ...old, working: false, ...change } : old);
    api.explain(key).then((explanation) => finish({ explanation, error: null }), (error) => finish({ error }));
  };
  return { ...current, ask };
}

/**
 * How strong a shade is: four steps a side, relative to the strongest effect of the text.
 * @param {number} effect
 * @param {number} strongest
 */
export function shade(effect, strongest) {
  if (strongest <= 0 || Math.abs(effect) < 0.005) return "";
  const step = Math.min(4, Math.ceil((4 * Math.abs(effect)) / strongest));
  return (effect > 0 ? "for" : "against") + step;
}

/**
 * @param {Explanation} explanation
 * @param {number} effect
 */
const sentence = ({ score }, effect) => {
  const without = Math.min(1, Math.max(0, score - effect));
  return t(effect > 0 ? "explain.falls" : "explain.rises", { from: format.score(score), to: format.score(without) });
};

/**
 * A text with its explained pieces marked.
 * @param {{text: string, offset: number, explanation: Explanation, lang: string|null}} props `offset`: the position of
 *   the text in what was explained, in characters
 */
export function Shaded({ text, offset, explanation, lang }) {
  const strongest = Math.max(0, ...explanation.pieces.map((piece) => Math.abs(piece.effect)));
  const length = Array.from(text).length;
  const pieces = explanation.pieces
    .map(({ start, end, effect }) => ({ start: start - offset, end: end - offset, effect }))
    .filter(({ start, end }) => start >= 0 && end <= length);
  return explained(text, pieces).map(({ text: part, effect }) => {
    const kind = effect === null ? "" : shade(effect, strongest);
    return kind === "" ? html`<${Text} text=${part} lang=${lang}/>`
      : html`<mark class=${kind} title=${sentence(explanation, Number(effect))}><${Text} text=${part} lang=${lang}/></mark>`;
  });
}

/** @param {{explanation: Explanation|null, error: Error|null, working: boolean}} props */
export function Why({ explanation, error, working }) {
  if (working) return html`<p class="quiet" role="status">${t("explain.working")}</p>`;
  if (error) return html`<${Failure} error=${error}/>`;
  if (!explanation) return null;
  const strongest = [...explanation.pieces].filter((piece) => Math.abs(piece.effect) >= 0.005)
    .sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect)).slice(0, 3);
  return html`<div class="why"><p>${t("explain.intro", {
    label: nameOf(explanation.label), score: format.score(explanation.score), method: named("method", explanation.method) })}</p>
    ${strongest.length === 0 ? html`<p>${t("explain.nothing")}</p>` : html`<ul>${strongest.map((piece) => html`<li>
      <mark class=${shade(piece.effect, Math.abs(strongest[0].effect))}><${Text} text=${piece.text}/></mark>${" "}
      ${sentence(explanation, piece.effect)}</li>`)}</ul>`}
    ${explanation.complete === false && html`<p>${t("explain.part")}</p>`}
    <p class="legend quiet"><mark class="for3">${t("explain.for")}</mark> <mark class="against3">${t("explain.against")}</mark></p></div>`;
}
