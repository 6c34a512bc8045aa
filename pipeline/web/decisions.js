// Decisions of this person on this page. One waits five seconds, in which it can be taken back without a trace; then it
// is sent, and taking it back is a withdrawal, which is a record of its own.

import { ulid } from "./ulid.js";

/**
 * @typedef {"waiting"|"sending"|"sent"|"failed"|"undone"|"withdrawing"|"withdrawn"} DecisionState
 * @typedef {{ulid: string, keys: string[], label: string, queue: import("./types.js").Queue, title: string,
 *   from: string|null, state: DecisionState, due: number, error: string|null,
 *   corrections: import("./types.js").Correction[]}} Decision
 */

/** How long a decision waits, in milliseconds. */
export const WAIT = 5000;

/** How many decisions are remembered. */
const REMEMBERED = 500;

/** States in which a decision counts. */
const LIVE = new Set(["waiting", "sending", "sent"]);

export class Decisions {
  /**
   * @param {{correct: (decision: Decision, keepalive: boolean) => Promise<import("./types.js").Correction[]>,
   *   withdraw: (ulid: string) => Promise<unknown>, wait?: number}} options
   */
  constructor({ correct, withdraw, wait = WAIT }) {
    this.correct = correct;
    this.sendWithdrawal = withdraw;
    this.wait = wait;
    /** @type {Decision[]} newest last */
    this.all = [];
    /** @type {Set<() => void>} */
    this.listeners = new Set();
    /** @type {Map<string, ReturnType<typeof setTimeout>>} */
    this.timers = new Map();
  }

  /** @param {() => void} listener */
  subscribe(listener) {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  changed() {
    for (const listener of [...this.listeners]) listener();
  }

  /**
   * @param {{keys: string[], label: string, queue: import("./types.js").Queue, title: string, from: string|null}} what
   * @returns {Decision}
   */
  decide({ keys, label, queue, title, from }) {
    // A second thought within the five seconds replaces the first one.
    for (const old of this.all) {
      if (old.state === "waiting" && old.keys.length === keys.length && old.keys.every((key) => keys.includes(key))) {
        this.#cancel(old);
      }
    }
    /** @type {Decision} */
    const decision = {
      ulid: ulid(), keys, label, queue, title, from, state: "waiting", due: Date.now() + this.wait, error: null,
      corrections: [],
    };
    this.all.push(decision);
    if (this.all.length > REMEMBERED) this.all.shift();
    this.timers.set(decision.ulid, setTimeout(() => void this.send(decision, false), this.wait));
    this.changed();
    return decision;
  }

  /** @param {Decision} decision */
  #cancel(decision) {
    clearTimeout(this.timers.get(decision.ulid));
    this.timers.delete(decision.ulid);
    decision.state = "undone";
  }

  /**
   * @param {Decision} decision
   * @param {boolean} keepalive
   */
  async send(decision, keepalive) {
    if (decision.state !== "waiting" && decision.state !== "failed") return;
    clearTimeout(this.timers.get(decision.ulid));
    this.timers.delete(decision.ulid);
    decision.state = "sending";
    decision.error = null;
    this.changed();
    try {
      decision.corrections = await this.correct(decision, keepalive);
      decision.state = "sent";
    } catch (error) {
      decision.state = "failed";
      decision.error = error instanceof Error ? error.message : String(error);
    }
    this.changed();
  }

  /** Sends everything that still waits; for the moment at which the page goes away. */
  flush() {
    for (const decision of [...this.all]) if (decision.state === "waiting") void this.send(decision, true);
  }

  /** The decision that an undo would take back now, if any. */
  undoable() {
    return this.all.findLast((decision) => decision.state === "waiting" || decision.state === "sent") || null;
  }

  /**
   * Takes back the given decision, or the last one that still counts.
   * @param {Decision|null} [decision]
   * @returns {Promise<Decision|null>} what was taken back
   */
  async undo(decision = this.undoable()) {
    if (!decision) return null;
    if (decision.state === "waiting" || decision.state === "failed") {
      this.#cancel(decision);
      this.changed();
      return decision;
    }
    if (decision.state !== "sent") return null;
    decision.state = "withdrawing";
    this.changed();
    try {
      const sent = new Set(decision.corrections.map((correction) => correction.ulid));
      for (const name of sent) await this.sendWithdrawal(name);
      decision.state = "withdrawn";
    } catch (error) {
      decision.state = "sent";
      decision.error = error instanceof Error ? error.message : String(error);
    }
    this.changed();
    return decision;
  }

  /**
   * The decision about a document that counts now.
   * @param {string} key
   */
  about(key) {
    return this.all.findLast((decision) => LIVE.has(decision.state) && decision.keys.includes(key)) || null;
  }

  /**
   * Whether this page has taken back what it had said about a document, and nothing newer counts.
   * @param {string} key
   */
  tookBack(key) {
    return this.all.some((decision) => decision.state === "withdrawn" && decision.keys.includes(key)) && !this.about(key);
  }
}
