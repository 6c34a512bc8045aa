// Requests to the API. An error carries the sentence that the server gave, so that it can be shown as it is.

import { createStore } from "./store.js";

/** Whether the server wants a login first. */
export const needsLogin = createStore(false);

export class ApiError extends Error {
  /**
   * @param {number} status 0 if the server could not be reached
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {string} path below `api/v1/`
 * @param {RequestInit} [init]
 * @returns {Promise<any>} the JSON of the answer, or null if it has none
 */
async function request(path, init = {}) {
  let response;
  try {
    response = await fetch("api/v1/" + path, { credentials: "same-origin", cache: "no-store", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "");
  }
  if (response.status === 401 && path !== "login") needsLogin.set(true);
  const text = await response.text();
  let body = null;
  try {
    body = text === "" ? null : JSON.parse(text);
  } catch {
    // Not JSON: a proxy's page, perhaps. The status code says enough.
  }
  if (!response.ok) throw new ApiError(response.status, body?.detail || body?.title || `HTTP ${response.status}`);
  return body;
}

/**
 * @param {string} path
 * @param {unknown} body
 * @param {RequestInit} [init]
 */
const post = (path, body, init = {}) =>
  request(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), ...init });

/**
 * @param {Record<string, string|number|undefined|null>} values
 * @returns {string} "?a=1&b=2" without the empty ones
 */
export function query(values) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== "") found.set(name, String(value));
  }
  const text = found.toString();
  return text === "" ? "" : "?" + text;
}

/** @param {string} key "topic/partition/offset" */
const documentPath = (key) => {
  const [offset, partition, ...topic] = key.split("/").reverse();
  return `documents/${encodeURIComponent(topic.reverse().join("/"))}/${partition}/${offset}`;
};

export const api = {
  /** @returns {Promise<import("./types.js").Status>} */
  status: () => request("status"),
  /**
   * @param {Record<string, string|number|undefined|null>} filter
   * @param {AbortSignal} [signal]
   * @returns {Promise<{documents: import("./types.js").Doc[], next: string|null, total: number}>}
   */
  documents: (filter, signal) => request("documents" + query(filter), { signal }),
  /**
   * @param {string} key
   * @param {boolean} [blind] without what the model said, for an audit
   * @returns {Promise<import("./types.js").FullDoc>}
   */
  document: (key, blind = false) => request(documentPath(key) + query({ blind: blind ? "true" : "" })),
  /**
   * @param {string} key
   * @returns {Promise<import("./types.js").Explanation>}
   */
  explain: (key) => post(documentPath(key) + "/explain", {}),
  /**
   * @param {number} limit
   * @returns {Promise<{items: import("./types.js").ReviewItem[], waiting: number, audits: import("./types.js").Audits|null}>}
   */
  review: (limit) => request("review" + query({ limit })),
  /**
   * @param {{ulid: string, keys: string[], label: string, queue: import("./types.js").Queue}} decision
   * @param {boolean} keepalive whether the request must survive the page
   * @returns {Promise<import("./types.js").Correction[]>}
   */
  async correct({ ulid, keys, label, queue }, keepalive) {
    const one = queue !== "alike" && keys.length === 1;
    const answer = await post("corrections", one ? { ulid, key: keys[0], label, queue } : { ulid, keys, label, queue },
      { keepalive });
    return one ? [answer] : answer.corrections;
  },
  /**
   * @param {string} ulid
   * @returns {Promise<import("./types.js").Correction>}
   */
  withdraw: (ulid) => post(`corrections/${encodeURIComponent(ulid)}/withdraw`, {}),
  /**
   * @param {{limit: number, predicted?: string, label?: string}} which
   * @returns {Promise<{corrections: import("./types.js").Correction[],
   *   confusion: {predicted: string, label: string, count: number}[]}>}
   */
  corrections: (which) => request("corrections" + query(which)),
  /**
   * @param {{title?: string, body: string}[]} texts
   * @returns {Promise<{model_version: string,
   *   predictions: ({label: string, score: number, labels: import("./types.js").Scored[], abstained: boolean}
   *     | {label: null, rejected: string})[]}>}
   */
  predict: (texts) => post("predict", { texts, top_k: 5 }),
  /** @returns {Promise<import("./types.js").Models>} */
  models: () => request("models"),
  /** @param {{version: string, reason: string, expected_champion: string|null}} what */
  promote: (what) => post("models/promote", what),
  /** @param {{reason: string, expected_champion: string|null}} what */
  rollback: (what) => post("models/rollback", what),
  /** @param {string} version */
  reportUrl: (version) => `api/v1/models/versions/${encodeURIComponent(version)}/report`,
  /** @returns {Promise<import("./types.js").Jobs>} */
  jobs: () => request("jobs"),
  /** @returns {Promise<import("./types.js").Job>} */
  startJob: () => post("jobs", {}),
  /**
   * @param {{stage?: string, reason?: string, limit?: number}} filter
   * @returns {Promise<{counts: {stage: string, reason: string, documents: number}[],
   *   samples: import("./types.js").DeadLetter[]}>}
   */
  deadLetters: (filter) => request("dead-letters" + query(filter)),
  /** @param {string} token */
  login: (token) => post("login", { token }),
  logout: () => post("logout", {}),
};
