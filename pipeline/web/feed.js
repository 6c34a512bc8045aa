// The list of the desk. It never moves under the cursor: while it is held, new stories wait, and only their number is
// shown.

/** @typedef {import("./types.js").Doc} Doc */

/** How many stories the list and the waiting line keep. */
const KEEP = 300;

/**
 * @typedef {{label: string, source: string, language: string, q: string, max_score: string, abstained: string,
 *   corrected: string, order: string}} Filter
 */

/** @type {Filter} */
export const NO_FILTER = {
  label: "", source: "", language: "", q: "", max_score: "", abstained: "", corrected: "", order: "",
};

/**
 * Whether a story of the stream belongs into the list; the server answers the same question for the stories before it.
 * @param {Filter} filter
 * @param {Doc} story
 * @param {(text: string) => string} fold
 */
export function admits(filter, story, fold) {
  if (filter.label && story.label !== filter.label) return false;
  if (filter.source && story.source !== filter.source) return false;
  if (filter.language && story.language !== filter.language) return false;
  if (filter.max_score && !(Number(story.score) <= Number(filter.max_score))) return false;
  if (filter.abstained && !story.abstained) return false;
  if (filter.corrected && !story.correction) return false;
  return !filter.q || fold((story.title || "") + "\n" + story.excerpt).includes(fold(filter.q));
}

/**
 * @typedef {{shown: Doc[], waiting: Doc[], missed: number, next: string|null, total: number|null}} Feed
 * `missed` counts waiting stories that were dropped because too many waited.
 */

/** @type {Feed} */
export const EMPTY = { shown: [], waiting: [], missed: 0, next: null, total: null };

/**
 * New stories, in the order of their arrival.
 * @param {Feed} feed
 * @param {Doc[]} stories
 * @param {boolean} held whether the list must stay as it is
 * @returns {Feed}
 */
export function arrive(feed, stories, held) {
  const known = new Set([...feed.shown, ...feed.waiting].map((story) => story.key));
  /** @type {Doc[]} */
  const fresh = [];
  for (const story of stories) {
    if (known.has(story.key)) continue;
    known.add(story.key);
    fresh.unshift(story);
  }
  if (fresh.length === 0) return feed;
  const total = feed.total === null ? null : feed.total + fresh.length;
  const waiting = [...fresh, ...feed.waiting];
  const next = { ...feed, total, waiting: waiting.slice(0, KEEP), missed: feed.missed + Math.max(0, waiting.length - KEEP) };
  return held ? next : release(next);
}

/**
 * Puts the waiting stories on top.
 * @param {Feed} feed
 * @returns {Feed}
 */
export function release(feed) {
  if (feed.waiting.length === 0) return feed;
  // With stories missing in between, what was shown before would look as if it followed directly.
  const rest = feed.missed > 0 ? [] : feed.shown;
  const all = [...feed.waiting, ...rest];
  const shown = all.slice(0, KEEP);
  // The cursor of the page before points behind what was cut off.
  return { ...feed, shown, waiting: [], missed: 0, next: all.length > KEEP || feed.missed > 0 ? null : feed.next };
}

/**
 * The first page from the server. Stories that the stream brought in the meantime stay.
 * @param {Feed} feed
 * @param {{documents: Doc[], next: string|null, total: number}} page
 * @returns {Feed}
 */
export function firstPage(feed, page) {
  const known = new Set(page.documents.map((story) => story.key));
  const early = [...feed.waiting, ...feed.shown].filter((story) => !known.has(story.key));
  return { shown: [...early, ...page.documents], waiting: [], missed: 0, next: page.next, total: page.total + early.length };
}

/**
 * @param {Feed} feed
 * @param {{documents: Doc[], next: string|null}} page
 * @returns {Feed}
 */
export function nextPage(feed, page) {
  const known = new Set(feed.shown.map((story) => story.key));
  return { ...feed, shown: [...feed.shown, ...page.documents.filter((story) => !known.has(story.key))], next: page.next };
}
