// Labels: their names, their order for one story, and the search by typing.

import { fold } from "./text.js";

/** @typedef {import("./types.js").Label} Label */

/**
 * @param {Label[]} labels
 * @param {string} id
 * @param {"zh"|"en"} language
 * @returns {string} the name in the language of the page, else the id
 */
export const labelName = (labels, id, language) => labels.find((label) => label.id === id)?.names[language] || id;

/**
 * Labels of a story, best first; those without a probability follow in the order of the model. An audit hides the
 * model's opinion, and so the order of the model is used for all.
 * @param {Label[]} labels
 * @param {import("./types.js").Scored[]|undefined} scored
 * @returns {{id: string, score: number|null}[]}
 */
export function ordered(labels, scored) {
  const first = (scored || []).map(({ label, score }) => ({ id: label, score: /** @type {number|null} */ (score) }));
  const known = new Set(first.map(({ id }) => id));
  return [...first, ...labels.filter(({ id }) => !known.has(id)).map(({ id }) => ({ id, score: null }))];
}

/**
 * Labels whose id or any of whose names contains the typed text; those that begin with it first.
 * @param {Label[]} labels
 * @param {string} typed
 * @returns {Label[]}
 */
export function search(labels, typed) {
  const wanted = fold(typed.trim());
  if (wanted === "") return labels;
  /** @param {Label} label */
  const rank = (label) => {
    const words = [label.id, ...Object.values(label.names)].map(fold);
    if (words.includes(wanted)) return 0;
    if (words.some((word) => word.startsWith(wanted))) return 1;
    return words.some((word) => word.includes(wanted)) ? 2 : 3;
  };
  return labels
    .map((label, at) => ({ label, at, rank: rank(label) }))
    .filter((entry) => entry.rank < 3)
    .sort((a, b) => a.rank - b.rank || a.at - b.at)
    .map(({ label }) => label);
}
