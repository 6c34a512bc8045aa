// Where the page is: the part of the address after "#", so that the server needs to know nothing of screens, and every
// view of the desk can be kept as a bookmark.

import { createStore } from "./store.js";

/** @typedef {{screen: string, params: Record<string, string>}} Route */

/**
 * @param {string} hash
 * @returns {Route}
 */
export function parse(hash) {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split("?");
  return { screen: path || "desk", params: Object.fromEntries(new URLSearchParams(search)) };
}

/**
 * @param {string} screen
 * @param {Record<string, string>} [params] empty values are left out
 */
export function href(screen, params = {}) {
  const search = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== "")).toString();
  return `#/${screen}${search === "" ? "" : "?" + search}`;
}

/** @type {import("./store.js").Store<Route>} */
export const route = createStore(parse(location.hash));
addEventListener("hashchange", () => route.set(parse(location.hash)));

/**
 * @param {string} screen
 * @param {Record<string, string>} [params]
 */
export function go(screen, params = {}) {
  location.hash = href(screen, params);
}

/**
 * Changes parameters of the present screen without a new entry in the browser's history.
 * @param {Record<string, string>} change
 */
export function setParams(change) {
  const { screen, params } = route.get();
  window.history.replaceState(null, "", href(screen, { ...params, ...change }));
  route.set(parse(location.hash));
}
