// The corner in which decisions wait, fail and can be taken back.

import * as format from "./format.js";
import { t } from "./i18n.js";
import { message, nameOf, say, useDecisions } from "./state.js";
import { useStore } from "./store.js";
import { Kbd, Text, code } from "./ui.js";
import { html } from "./vendor/htm-preact.js";

/** @typedef {import("./decisions.js").Decision} Decision */

/**
 * Takes back a decision, the last one if none is named, and says what has happened.
 * @param {import("./decisions.js").Decisions} decisions
 * @param {Decision|null} [decision]
 */
export async function takeBack(decisions, decision = decisions.undoable()) {
  if (!decision) {
    say(t("undo.nothing"));
    return null;
  }
  await decisions.undo(decision);
  if (decision.state === "withdrawn") say(t("undo.withdrawn", { label: nameOf(decision.label) }));
  else if (decision.state === "undone") say(t("undo.undone"));
  else if (decision.error !== null) say(decision.error || t("error.unreachable"), true);
  return decision;
}

/** @param {Decision} decision */
export const inWords = (decision) => {
  if (decision.keys.length > 1) return t("decision.alike", { n: decision.keys.length, label: nameOf(decision.label) });
  if (decision.from === null) return t("decision.audit", { label: nameOf(decision.label) });
  return decision.from === decision.label
    ? t("decision.confirmed", { label: nameOf(decision.label) })
    : t("decision.changed", { from: nameOf(decision.from), label: nameOf(decision.label) });
};

export function Pending() {
  const decisions = useDecisions();
  const said = useStore(message, (now) => now);
  const waiting = decisions.all.filter((decision) => decision.state === "waiting");
  const failed = decisions.all.filter((decision) => decision.state === "failed");
  const last = waiting.at(-1);
  return html`<div class="corner">
    ${failed.slice(-3).map((decision) => html`<div class="note is-bad" key=${decision.ulid} role="alert">
      <p><strong>${t("decision.failed")}</strong> <${Text} text=${decision.title}/></p>
      <p>${decision.error ? code(decision.error) : t("error.unreachable")}</p>
      <p class="row"><button onClick=${() => decisions.send(decision, false)}>${t("decision.again")}</button>
        <button onClick=${() => decisions.undo(decision)}>${t("decision.discard")}</button></p></div>`)}
    ${last && html`<div class="note waiting" key=${last.ulid}>
      <p class="what">${inWords(last)}${waiting.length > 1 && html` <span class="quiet">${t("decision.more", { n: waiting.length - 1 })}</span>`}</p>
      <p class="title quiet"><${Text} text=${last.title}/></p>
      <button onClick=${() => takeBack(decisions, last)}>${t("undo")} <${Kbd}>z<//></button>
      <span class="fuse" aria-hidden="true"></span></div>`}
    <div class=${"say" + (said ? " shown" : "") + (said?.bad ? " is-bad" : "")} role="status">${said ? code(said.text) : ""}</div>
  </div>`;
}

/**
 * What the decisions of this page will change, in numbers.
 * @param {Decision[]} all
 * @returns {{confirmed: number, changes: {from: string, label: string, count: number}[]}}
 */
export function changes(all) {
  /** @type {Map<string, {from: string, label: string, count: number}>} */
  const found = new Map();
  let confirmed = 0;
  for (const { state, from, label, keys } of all) {
    if (state !== "waiting" && state !== "sending" && state !== "sent") continue;
    if (from === null) continue;
    if (from === label) {
      confirmed += keys.length;
      continue;
    }
    const entry = found.get(from + "\n" + label) || { from, label, count: 0 };
    entry.count += keys.length;
    found.set(from + "\n" + label, entry);
  }
  return { confirmed, changes: [...found.values()].sort((a, b) => b.count - a.count) };
}

/** @param {number} count */
export const counted = (count) => format.integer(count);
