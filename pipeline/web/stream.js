// The event stream. It is read with fetch rather than EventSource, because a stream that was closed while the tab was
// hidden must resume from the last event it has seen, and because 401 and 503 must be told apart.

import { ApiError, needsLogin } from "./api.js";
import { createStore } from "./store.js";

/** @typedef {{event: string, data: string, id: string|null}} Frame */

/**
 * A parser of text/event-stream that is fed with text as it arrives.
 * @param {(frame: Frame) => void} emit
 * @returns {(chunk: string) => void}
 */
export function parser(emit) {
  let buffer = "";
  let event = "";
  /** @type {string[]} */
  let data = [];
  /** @type {string|null} */
  let id = null;
  return (chunk) => {
    buffer += chunk;
    // A carriage return at the end may be the first half of a line end.
    const complete = buffer.endsWith("\r") ? buffer.length - 1 : buffer.length;
    const lines = buffer.slice(0, complete).split(/\r\n|\n|\r/);
    buffer = lines.pop() + buffer.slice(complete);
    for (const line of lines) {
      if (line === "") {
        if (data.length > 0) emit({ event: event || "message", data: data.join("\n"), id });
        event = "";
        data = [];
        continue;
      }
      const colon = line.indexOf(":");
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") event = value;
      else if (field === "data") data.push(value);
      else if (field === "id") id = value;
    }
  };
}

/** @typedef {"connecting"|"open"|"lost"|"refused"} Connection */

/** What the shell shows of the connection. */
export const connection = createStore(/** @type {Connection} */ ("connecting"));

/** How many documents the server has left out of the stream since the page was opened. */
export const leftOut = createStore(0);

/**
 * @param {{documents: (documents: import("./types.js").Doc[]) => void,
 *   status: (status: import("./types.js").Status) => void}} on
 * @returns {() => void} ends the stream
 */
export function openStream(on) {
  /** @type {string|null} */
  let last = null;
  let failures = 0;
  let ended = false;
  /** @type {AbortController|null} */
  let current = null;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let timer;

  /** @param {Frame} frame */
  const take = (frame) => {
    if (frame.id !== null) last = frame.id;
    const body = JSON.parse(frame.data);
    if (frame.event === "documents") {
      if (body.skipped > 0) leftOut.update((count) => count + body.skipped);
      if (body.documents.length > 0) on.documents(body.documents);
    } else if (frame.event === "status") {
      on.status(body);
    }
  };

  const read = async () => {
    const abort = new AbortController();
    current = abort;
    try {
      /** @type {Record<string, string>} */
      const headers = { Accept: "text/event-stream" };
      if (last !== null) headers["Last-Event-ID"] = last;
      const response = await fetch("api/v1/events", { headers, signal: abort.signal, cache: "no-store" });
      if (response.status === 401) {
        needsLogin.set(true);
        return;
      }
      if (!response.ok || !response.body) throw new ApiError(response.status, "");
      connection.set("open");
      failures = 0;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const feed = parser(take);
      // The server writes at least a comment every 15 seconds: silence means that the connection is dead.
      for (;;) {
        const alarm = setTimeout(() => abort.abort(), 40_000);
        const { done, value } = await reader.read().finally(() => clearTimeout(alarm));
        if (done) break;
        feed(value);
      }
      throw new ApiError(0, "");
    } catch (error) {
      if (ended || document.hidden || current !== abort) return;
      connection.set(error instanceof ApiError && error.status === 503 ? "refused" : "lost");
      failures += 1;
      timer = setTimeout(read, Math.min(10_000, 500 * 2 ** Math.min(failures, 5)));
    }
  };

  const start = () => {
    clearTimeout(timer);
    current?.abort();
    if (!ended) void read();
  };
  // One stream a tab, and none while nobody looks: browsers open six connections to a server over HTTP/1.1.
  const visibility = () => {
    if (document.hidden) {
      clearTimeout(timer);
      const old = current;
      current = null;
      old?.abort();
    } else {
      start();
    }
  };
  document.addEventListener("visibilitychange", visibility);
  const login = needsLogin.subscribe((needed) => needed || start());
  if (!document.hidden) start();
  return () => {
    ended = true;
    document.removeEventListener("visibilitychange", visibility);
    login();
    clearTimeout(timer);
    current?.abort();
  };
}
