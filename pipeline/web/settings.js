// What a person has set on this page: kept in this browser only.

import { createStore } from "./store.js";

/** @typedef {{language: "zh"|"en"|"", theme: "light"|"dark"|"", singleKeys: boolean}} Settings */

const NAME = "fenliu.settings";

/** @type {Settings} An empty language or theme follows the browser or the system. */
const DEFAULTS = { language: "", theme: "", singleKeys: true };

/** @returns {Settings} */
function load() {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(NAME) || "{}") };
  } catch {
    return DEFAULTS;
  }
}

/** @type {import("./store.js").Store<Settings>} */
export const settings = createStore(load());

/** @param {Partial<Settings>} change */
export function set(change) {
  settings.update((old) => ({ ...old, ...change }));
  try {
    localStorage.setItem(NAME, JSON.stringify(settings.get()));
  } catch {
    // Storage may be blocked; the setting then lasts as long as the page.
  }
}

/** @returns {"zh"|"en"} */
export function language() {
  const chosen = settings.get().language;
  if (chosen) return chosen;
  const wanted = navigator.languages.find((name) => /^(zh|en)\b/i.test(name)) || "en";
  return wanted.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** Sets the theme and the language of the document. */
export function apply() {
  const { theme } = settings.get();
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  document.documentElement.lang = language() === "zh" ? "zh-Hans" : "en";
}
