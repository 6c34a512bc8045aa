// The review: one story at a time. One key labels and goes on; audits hide what the model thinks.

import { api } from "../api.js";
import { digits } from "../choices.js";
import { Shaded, Why, useExplanation } from "../explain.js";
import * as format from "../format.js";
import { t } from "../i18n.js";
import { useKeys } from "../keys.js";
import { ordered } from "../labels.js";
import { changes, inWords, takeBack } from "../pending.js";
import { Picker } from "../picker.js";
import { decisions, nameOf, say, useDark, useDecisions, useLabels, useRole } from "../state.js";
import { safeUrl } from "../text.js";
import { Chip, Dark, Empty, Failure, Glyph, Head, Kbd, Outside, Text, Tile, Time, code } from "../ui.js";
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { openSource, paragraphs } from "./story.js";

/** @typedef {import("../types.js").ReviewItem} ReviewItem */
/** @typedef {import("../types.js").FullDoc} FullDoc */

/** Stories that this page has decided or skipped: they do not come back when the queue is filled up. */
const done = new Set();

/** Times of the decisions of this page, for the pace. */
/** @type {number[]} */
const times = [];

/** Decisions a minute over the last two minutes, null before the third. */
export function pace(/** @type {number[]} */ all, /** @type {number} */ now) {
  const recent = all.filter((time) => now - time < 120_000);
  if (recent.length < 3) return null;
  return (60_000 * (recent.length - 1)) / Math.max(1000, now - recent[0]);
}

export function Review() {
  const noFeed = useDark("feed");
  const noReview = useDark("review");
  const noCorrections = useDark("corrections");
  const editor = useRole("editor");
  const dark = noFeed || noReview || noCorrections;
  if (dark) return html`<div class="page"><${Head} title=${t("nav.review")}/><${Dark} why=${dark}/></div>`;
  if (!editor) return html`<div class="page"><${Head} title=${t("nav.review")}/><${Empty}><p class="lead">${t("review.viewer")}</p><//></div>`;
  return html`<${Queue}/>`;
}

/** The queue of the page: filled up before it is empty, so that the next story is there at once. */
function useQueue() {
  const [items, setItems] = useState(/** @type {ReviewItem[]} */ ([]));
  const [about, setAbout] = useState(/** @type {{waiting: number, audits: import("../types.js").Audits|null}|null} */ (null));
  const [error, setError] = useState(/** @type {Error|null} */ (null));
  const [loaded, setLoaded] = useState(false);
  const asking = useRef(false);
  const fill = async () => {
    if (asking.current) return;
    asking.current = true;
    try {
      const answer = await api.review(20);
      setAbout({ waiting: answer.waiting, audits: answer.audits });
      setItems((/** @type {ReviewItem[]} */ old) => {
        const known = new Set(old.map(({ document }) => document.key));
        return [...old, ...answer.items.filter(({ document: { key } }) => !known.has(key) && !done.has(key))];
      });
      setError(null);
    } catch (failure) {
      setError(/** @type {Error} */ (failure));
    }
    asking.current = false;
    setLoaded(true);
  };
  useEffect(() => void fill(), []);
  // An empty queue is looked at again every few seconds; a short one is filled up at once.
  const short = items.length < 6;
  useEffect(() => {
    if (!loaded || !short) return undefined;
    void fill();
    const timer = setInterval(() => document.hidden || void fill(), 4000);
    return () => clearInterval(timer);
  }, [short, loaded]);
  return { items, setItems, about, error, loaded };
}

/** Full texts of the present story and the next ones, fetched before they are needed. */
/** @param {ReviewItem[]} items */
function useTexts(items) {
  const [texts, setTexts] = useState(/** @type {Record<string, FullDoc|Error>} */ ({}));
  const wanted = items.slice(0, 3);
  useEffect(() => {
    for (const { document: { key }, queue } of wanted) {
      if (texts[key]) continue;
      api.document(key, queue === "audit").then(
        (text) => setTexts((/** @type {typeof texts} */ old) => newest({ ...old, [key]: text })),
        (error) => setTexts((/** @type {typeof texts} */ old) => newest({ ...old, [key]: error })),
      );
    }
  }, [wanted.map(({ document: { key } }) => key).join(" ")]);
  return texts;
}

/**
 * The last entries of a map, so that a day of reviewing does not keep every text.
 * @template T
 * @param {Record<string, T>} all
 * @returns {Record<string, T>}
 */
const newest = (all) => Object.fromEntries(Object.entries(all).slice(-20));

function Queue() {
  const { items, setItems, about, error, loaded } = useQueue();
  const texts = useTexts(items);
  const labels = useLabels();
  const made = useDecisions();
  const noExplain = useDark("explain");
  const [picking, setPicking] = useState(false);
  const item = items[0] || null;
  const story = item?.document || null;
  const full = story && texts[story.key];
  const text = full && !(full instanceof Error) ? full : null;
  // An audit asks what a person thinks without the model's opinion: labels, order and alike stories hide it.
  const audit = item?.queue === "audit";
  const alike = (!audit && text?.alike) || [];
  const explanation = useExplanation(story?.key || "");
  const shown = story && audit ? { ...story, label: undefined, labels: undefined } : story;
  /** @type {{current: HTMLElement|null}} */
  const heading = useRef(null);
  useEffect(() => {
    const holder = document.activeElement;
    // The button that had the focus may be gone with the story before.
    if (!holder || holder === document.body) heading.current?.focus({ preventScroll: true });
    document.querySelector(".card")?.scrollTo(0, 0);
  }, [story?.key]);

  const next = () => {
    if (!story) return;
    done.add(story.key);
    setItems((/** @type {ReviewItem[]} */ old) => old.filter(({ document }) => document.key !== story.key));
  };
  /**
   * @param {string} label
   * @param {boolean} [withAlike]
   */
  const decide = (label, withAlike = false) => {
    if (!story || !item) return;
    const others = withAlike ? alike.map(({ key }) => key) : [];
    decisions.decide({ keys: [story.key, ...others], label, queue: others.length > 0 ? "alike" : item.queue,
      title: story.title || story.excerpt, from: shown?.label ?? null });
    for (const key of others) done.add(key);
    times.push(Date.now());
    const gone = new Set([story.key, ...others]);
    done.add(story.key);
    setItems((/** @type {ReviewItem[]} */ old) => old.filter(({ document }) => !gone.has(document.key)));
  };
  /** Takes back a decision of this screen and shows its story again. */
  const undo = async (/** @type {import("../decisions.js").Decision|null} */ decision = decisions.undoable()) => {
    const back = await takeBack(decisions, decision);
    if (!back || (back.state !== "undone" && back.state !== "withdrawn") || back.queue === "desk") return;
    const key = back.keys[0];
    for (const one of back.keys) done.delete(one);
    times.pop();
    if (items.some(({ document }) => document.key === key)) return;
    const known = kept.get(key);
    if (known) setItems((/** @type {ReviewItem[]} */ old) => [known, ...old]);
  };
  if (item) keep(item);

  useKeys({
    label: (at) => { if (shown) decide(digits(shown, labels)[at]); },
    alike: (at) => { if (shown) decide(digits(shown, labels)[at], true); },
    confirm: () => { if (shown?.label) decide(shown.label); else if (shown) say(t("review.noconfirm")); },
    skip: next,
    next,
    pick: () => { if (story) setPicking(true); },
    undo: () => void undo(),
    explain: () => (audit ? say(t("review.noexplain")) : noExplain ? say(noExplain) : explanation.ask()),
    source: () => openSource(story),
  }, 1);

  const own = made.all.filter((decision) => decision.queue !== "desk" && decision.state !== "undone" && decision.state !== "withdrawn");
  const rate = pace(times, Date.now());
  return html`<div class="review"><div class="review-story">
    <header class="head"><div><h1 tabindex="-1" ref=${heading}>${t("nav.review")}</h1>
      <p class="intro">${about && t("review.progress", { waiting: about.waiting, done: own.length })}
        ${rate !== null && html` · ${t("review.pace", { n: Math.round(rate) })}`}</p></div></header>
    ${error && items.length === 0 && html`<${Failure} error=${error}/>`}
    ${!item && loaded && !error && html`<${Empty}><p class="lead">${t("review.empty")}</p><p class="quiet">${t("review.empty.more")}</p><//>`}
    ${!item && !loaded && html`<p class="quiet" role="status">${t("loading")}</p>`}
    ${story && shown && html`<article class="card" key=${story.key} tabindex="0" aria-label=${t("story.title")}>
      <p class="why-here"><span class=${"queue " + item.queue}>${t("queue." + item.queue)}</span> ${reason(item)}</p>
      <p class="meta"><${Text} text=${story.source || t("na")}/> <span aria-hidden="true">·</span> <${Time} at=${story.published_at || story.received_at}/>
        ${safeUrl(story.url) !== null && html` <span aria-hidden="true">·</span> <${Outside} url=${story.url}>${t("story.open")} <${Kbd}>o<//><//>`}</p>
      <h2>${explanation.explanation && story.title
        ? html`<${Shaded} text=${story.title} offset=${0} explanation=${explanation.explanation} lang=${story.language}/>`
        : html`<${Text} text=${story.title || t("untitled")} lang=${story.language}/>`}</h2>
      <div class="body" lang=${story.language || undefined}>${text && explanation.explanation
        ? html`<p><${Shaded} text=${text.body || ""} offset=${Array.from(story.title || "").length + 1} explanation=${explanation.explanation} lang=${story.language}/></p>`
        : paragraphs(text ? text.body || "" : story.excerpt).map((part) => html`<p><${Text} text=${part} lang=${story.language}/></p>`)}
        ${full instanceof Error && html`<p class="quiet">${full.message ? code(full.message) : t("error.unreachable")}</p>`}</div>
      ${!audit && html`<${Why} ...${explanation}/>`}
      ${alike.length > 0 && html`<p class="alike-note">${t("review.alike", { n: alike.length })} <${Kbd}>⇧ 1–9<//></p>`}
    </article>
    <div class="answers" role="group" aria-label=${t("choices.title")}>
      ${ordered(labels, shown.labels).slice(0, 9).map(({ id, score }, at) => html`<button key=${id} class="answer" onClick=${() => decide(id)}>
        <${Kbd}>${at + 1}<//><${Glyph} id=${id}/><span class="name">${nameOf(id)}</span>
        <span class="figure">${score === null ? "" : format.score(score)}</span>
        ${score !== null && html`<span class="under" aria-hidden="true" style=${{ width: Math.round(score * 100) + "%" }}></span>`}</button>`)}
    </div>
    <div class="commands">
      ${shown.label && html`<button onClick=${() => decide(/** @type {string} */ (shown.label))}><${Kbd}>a<//> ${t("choices.confirm")}</button>`}
      <button onClick=${() => setPicking(true)}><${Kbd}>l<//> ${t("choices.all")}</button>
      <button onClick=${next}><${Kbd}>s<//> ${t("review.skip")}</button>
      <button onClick=${() => void undo()}><${Kbd}>z<//> ${t("undo")}</button>
      ${!audit && !noExplain && html`<button onClick=${explanation.ask} disabled=${explanation.working}><${Kbd}>e<//> ${t("explain.ask")}</button>`}
    </div>`}
    </div>
    <${Session} all=${own} audits=${about?.audits || null} onUndo=${undo}/>
    ${picking && story && html`<${Picker} title=${t("choices.all")} onClose=${() => setPicking(false)}
      onPick=${(/** @type {string} */ label) => { setPicking(false); decide(label); }}/>`}
  </div>`;
}

/** Items that this page has shown, so that one that was taken back can be shown again. @type {Map<string, ReviewItem>} */
const kept = new Map();

/** @param {ReviewItem} item */
function keep(item) {
  kept.set(item.document.key, item);
  if (kept.size > 600) kept.delete(/** @type {string} */ (kept.keys().next().value));
}

/**
 * Why a story is in the queue, in words.
 * @param {ReviewItem} item
 */
function reason({ document: { labels, label }, queue }) {
  if (queue === "audit") return t("reason.audit");
  if (queue === "disagreement") return t("reason.disagreement");
  const [first, second] = labels || [];
  if (!first || !second || label === undefined) return t("reason." + queue);
  return t("reason.between", { first: nameOf(first.label), a: format.score(first.score), second: nameOf(second.label),
    b: format.score(second.score) });
}

/**
 * @param {{all: import("../decisions.js").Decision[], audits: import("../types.js").Audits|null,
 *   onUndo: (decision: import("../decisions.js").Decision) => void}} props
 */
function Session({ all, audits, onUndo }) {
  const { confirmed, changes: changed } = changes(all);
  const measured = audits && audits.answered > 0 ? audits.right / audits.answered : null;
  return html`<aside class="session" aria-label=${t("session.title")}>
    <${Tile} label=${t("quality.accuracy")} value=${format.percent(measured, 1)} note=${measured === null ? t("audits.none")
      : t("audits.interval", { low: format.percent(audits?.low, 0), high: format.percent(audits?.high, 0), n: audits?.answered || 0 })}/>
    <section><h2>${t("session.changes")}</h2>
      ${confirmed + changed.length === 0 ? html`<p class="quiet">${t("session.nothing")}</p>` : html`<table class="mini"><caption class="hidden">${t("session.changes")}</caption>
        <thead class="hidden"><tr><th scope="col">${t("label")}</th><th scope="col">${t("count")}</th></tr></thead><tbody>
        ${changed.map(({ from, label, count }) => html`<tr><td><${Chip} id=${from} old/> → <${Chip} id=${label}/></td><td class="number">${count}</td></tr>`)}
        ${confirmed > 0 && html`<tr><td>${t("session.confirmed")}</td><td class="number">${confirmed}</td></tr>`}</tbody></table>
        <p class="quiet">${t("session.what")}</p>`}</section>
    <section><h2>${t("session.last")}</h2>${all.length === 0 ? html`<p class="quiet">${t("session.none")}</p>` : html`<ol class="plainlist">
      ${all.slice(-10).toReversed().map((decision) => html`<li key=${decision.ulid}><span class="grow"><span class="line"><${Text} text=${decision.title}/></span>
        <span class="quiet">${inWords(decision)} · ${t("state." + decision.state)}</span></span>
        ${(decision.state === "waiting" || decision.state === "sent") && html`<button class="small" onClick=${() => onUndo(decision)}>${t("undo")}</button>`}</li>`)}</ol>`}</section>
  </aside>`;
}
