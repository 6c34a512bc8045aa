// The labels of one story as buttons with their digits: under the list of the desk, in the drawer and in the review.

import * as format from "./format.js";
import { t } from "./i18n.js";
import { ordered } from "./labels.js";
import { nameOf, useDark, useLabels, useRole } from "./state.js";
import { Glyph, Kbd, code } from "./ui.js";
import { html } from "./vendor/htm-preact.js";

/**
 * @param {import("./types.js").Doc} story
 * @param {import("./types.js").Label[]} labels
 * @returns {string[]} at most nine labels, in the order of their digits
 */
export const digits = (story, labels) => ordered(labels, story.labels).slice(0, 9).map(({ id }) => id);

/**
 * @param {{story: import("./types.js").Doc, chosen: string|null, onLabel: (label: string) => void, onPick: () => void,
 *   children?: unknown}} props
 */
export function Choices({ story, chosen, onLabel, onPick, children }) {
  const labels = useLabels();
  const editor = useRole("editor");
  const dark = useDark("corrections");
  if (dark) return html`<div class="choices"><p class="quiet">${code(dark)}</p>${children}</div>`;
  if (!editor) return html`<div class="choices"><p class="quiet">${t("choices.viewer")}</p>${children}</div>`;
  return html`<div class="choices" role="group" aria-label=${t("choices.title")}>
    ${ordered(labels, story.labels).slice(0, 9).map(({ id, score }, at) => html`<button key=${id}
      class=${"choice" + (id === story.label ? " best" : "")} aria-pressed=${chosen === id ? "true" : "false"}
      onClick=${() => onLabel(id)}><${Kbd}>${at + 1}<//><${Glyph} id=${id}/><span class="name">${nameOf(id)}</span>
      ${score !== null && html`<span class="figure">${format.score(score)}</span><span class="under" aria-hidden="true"
        style=${{ width: Math.round(score * 100) + "%" }}></span>`}</button>`)}
    <button class="choice more" onClick=${onPick}><${Kbd}>l<//><span class="name">${t("choices.all")}</span></button>
    ${children}</div>`;
}
