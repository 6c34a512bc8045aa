// Texts of the page in its language. Both dictionaries have the same keys; a test compares them.

import en from "./i18n/en.js";
import zh from "./i18n/zh.js";
import { language } from "./settings.js";

/** @typedef {string|{one: string, other: string}} Entry */

/** @type {Record<"en"|"zh", Record<string, Entry>>} */
const DICTIONARIES = { en, zh };

/**
 * @param {"en"|"zh"} code
 * @param {string} key
 * @param {Record<string, string|number>} [values] `n` chooses between one and other; numbers are written with separators
 * @returns {string}
 */
export function translate(code, key, values = {}) {
  const entry = DICTIONARIES[code][key];
  if (entry === undefined) return key;
  let text = entry;
  if (typeof text !== "string") text = new Intl.PluralRules(code).select(Number(values.n)) === "one" ? text.one : text.other;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? new Intl.NumberFormat(code).format(value) : value;
  });
}

/**
 * @param {string} key
 * @param {Record<string, string|number>} [values]
 */
export const t = (key, values) => translate(language(), key, values);

/**
 * The text of a key if there is one, else the word itself: for names that the server may add to.
 * @param {string} prefix
 * @param {string} word
 */
export const named = (prefix, word) => {
  const key = prefix + "." + word;
  return key in DICTIONARIES.en ? t(key) : word;
};
