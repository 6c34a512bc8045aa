// What all screens share: the status of the pipeline, its history since the page was opened, the decisions, messages.

import { ApiError, api } from "./api.js";
import { Decisions } from "./decisions.js";
import { labelName } from "./labels.js";
import { language } from "./settings.js";
import { createStore, useStore } from "./store.js";
import { useEffect, useState } from "./vendor/htm-preact.js";

/** @typedef {import("./types.js").Status} Status */

/** @type {import("./store.js").Store<Status|null>} */
export const status = createStore(/** @type {Status|null} */ (null));

/**
 * @typedef {{at: number, docs: number|null, p50: number|null, p99: number|null, lag: number|null,
 *   busy: Record<string, number>, documents: Record<string, number>, drift: Record<string, number|null>,
 *   dead: number}} Sample
 */

/** @type {import("./store.js").Store<Sample[]>} One sample a second, ten minutes at most. */
export const history = createStore(/** @type {Sample[]} */ ([]));

/** @param {Status} next */
export function takeStatus(next) {
  status.set(next);
  const lags = next.partitions.map((partition) => partition.lag_seconds).filter((lag) => lag !== null);
  /** @type {Sample} */
  const sample = {
    at: new Date(next.now).getTime(), docs: next.docs_per_s, p50: next.latency_ms.p50, p99: next.latency_ms.p99,
    lag: lags.length > 0 ? Math.max(...lags) : null,
    busy: Object.fromEntries(next.stages.map((stage) => [stage.name, stage.busy])),
    documents: Object.fromEntries(next.stages.map((stage) => [stage.name, stage.documents])),
    drift: Object.fromEntries(next.drift.map((signal) => [signal.signal, signal.index])),
    dead: next.documents.dead_letters,
  };
  history.update((samples) => {
    const last = samples.at(-1);
    // The first status comes twice: by its route, and by the stream.
    return last && sample.at < last.at + 500 ? samples : [...samples.slice(-599), sample];
  });
}

/** Listeners for documents of the stream. @type {Set<(documents: import("./types.js").Doc[]) => void>} */
export const arrivals = new Set();

/** The last sources and languages that were seen, for the filters. */
export const seen = createStore({ sources: /** @type {string[]} */ ([]), languages: /** @type {string[]} */ ([]) });

/** @param {import("./types.js").Doc[]} documents */
export function noteSeen(documents) {
  const { sources, languages } = seen.get();
  const more = new Set(sources);
  const spoken = new Set(languages);
  for (const { source, language: code } of documents) {
    if (source && more.size < 200) more.add(source);
    if (code && spoken.size < 60) spoken.add(code);
  }
  if (more.size > sources.length || spoken.size > languages.length) {
    seen.set({ sources: [...more].sort(), languages: [...spoken].sort() });
  }
}

/**
 * Sends a decision, and again after a while if the server was away or too busy. Its identifier makes it count once.
 * @param {import("./decisions.js").Decision} decision
 * @param {boolean} keepalive
 */
async function correct(decision, keepalive) {
  for (let pause = 1000; ; pause *= 2) {
    try {
      return await api.correct(decision, keepalive);
    } catch (error) {
      const passing = error instanceof ApiError && [0, 429, 503].includes(error.status);
      if (!passing || keepalive || pause > 8000) throw error;
      await new Promise((done) => setTimeout(done, pause));
    }
  }
}

export const decisions = new Decisions({
  correct,
  withdraw: (ulid) => api.withdraw(ulid),
});

// A page that goes away sends what still waits. Both events are needed: not every browser sends both.
addEventListener("pagehide", () => decisions.flush());
document.addEventListener("visibilitychange", () => document.hidden && decisions.flush());

// What could not be saved would be lost with the page, so the browser asks first.
addEventListener("beforeunload", (event) => {
  if (decisions.all.some((decision) => decision.state === "failed")) event.preventDefault();
});

/** Draws the component again when a decision changes. */
export function useDecisions() {
  const [, redraw] = useState({});
  useEffect(() => decisions.subscribe(() => redraw({})), []);
  return decisions;
}

/**
 * @typedef {{text: string, bad: boolean}} Message
 */

/** The one message that is shown for a while. */
export const message = createStore(/** @type {Message|null} */ (null));
/** @type {ReturnType<typeof setTimeout>|undefined} */
let messageTimer;

/**
 * @param {string} text
 * @param {boolean} [bad]
 */
export function say(text, bad = false) {
  clearTimeout(messageTimer);
  message.set({ text, bad });
  messageTimer = setTimeout(() => message.set(null), bad ? 12_000 : 4000);
}

/** A clock for relative times: it ticks every five seconds. */
export const clockTick = createStore(Date.now());
setInterval(() => document.hidden || clockTick.set(Date.now()), 5000);

const RANK = { viewer: 0, editor: 1, operator: 2 };

/**
 * @param {"viewer"|"editor"|"operator"} role
 * @returns {boolean} whether the person at the page may do what needs the role
 */
export const useRole = (role) =>
  useStore(status, (now) => now !== null && RANK[now.identity.role] >= RANK[role]);

/** @param {string} ability */
export const useDark = (ability) => useStore(status, (now) => now?.dark?.[ability] || null);

/** @type {import("./types.js").Label[]} */
const NONE = [];
let lastLabels = NONE;
let lastText = "";

/** The labels; the same array as long as they do not change, so that rows need not be drawn again every second. */
export function labels() {
  const now = status.get()?.labels || NONE;
  const text = JSON.stringify(now);
  if (text !== lastText) {
    lastText = text;
    lastLabels = now;
  }
  return lastLabels;
}

export const useLabels = () => useStore(status, labels);

/** @param {string} id */
export const nameOf = (id) => labelName(labels(), id, language());
