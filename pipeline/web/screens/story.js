// One story in a drawer beside the list: its text, why it was labelled so, stories like it, corrections, provenance.

import { api } from "../api.js";
import { Choices, digits } from "../choices.js";
import { Shaded, Why, useExplanation } from "../explain.js";
import * as format from "../format.js";
import { named, t } from "../i18n.js";
import { useKeys } from "../keys.js";
import { useLoad } from "../load.js";
import { inWords, takeBack } from "../pending.js";
import { Picker } from "../picker.js";
import { decisions, nameOf, noteSeen, say, useDark, useDecisions, useLabels, useRole } from "../state.js";
import { safeUrl } from "../text.js";
import { Bars, Chip, Failure, Kbd, Outside, Score, Text, Time, code } from "../ui.js";
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";

/** @typedef {import("../types.js").FullDoc} FullDoc */

/**
 * @param {{storyKey: string, explainNow: boolean, onClose: () => void, onDecided: () => void}} props
 */
export function Story({ storyKey, explainNow, onClose, onDecided }) {
  const { data, error, reload } = useLoad(() => api.document(storyKey), [storyKey]);
  const explanation = useExplanation(storyKey);
  const labels = useLabels();
  const editor = useRole("editor");
  const dark = useDark("corrections");
  const noExplain = useDark("explain");
  const [picking, setPicking] = useState("");
  const made = useDecisions();
  /** @type {{current: HTMLElement|null}} */
  const title = useRef(null);
  const story = data && data.key === storyKey ? data : null;
  const alike = story?.alike || [];
  const body = story?.body || "";
  const mayLabel = editor && !dark && story !== null;

  // The drawer takes the focus when it opens, and leaves it alone when the list moves on to another story.
  const focused = useRef(false);
  useEffect(() => {
    if (story === null || focused.current) return;
    focused.current = true;
    title.current?.focus({ preventScroll: true });
  }, [story]);
  useEffect(() => {
    if (story) noteSeen([story]);
    if (story && explainNow && !noExplain && !explanation.explanation) explanation.ask();
  }, [story, explainNow]);

  /** @param {string} label */
  const decide = (label) => {
    if (!story || !mayLabel) return;
    decisions.decide({ keys: [story.key], label, queue: "desk", title: story.title || story.excerpt, from: story.label ?? null });
    onDecided();
  };
  /** @param {string} label */
  const decideAlike = (label) => {
    if (!story || !mayLabel) return;
    decisions.decide({ keys: [story.key, ...alike.map(({ key }) => key)], label, queue: "alike",
      title: story.title || story.excerpt, from: story.label ?? null });
    onDecided();
  };
  useKeys({
    close: onClose,
    label: (at) => { if (story) decide(digits(story, labels)[at]); },
    alike: (at) => { if (story) (alike.length > 0 ? decideAlike : decide)(digits(story, labels)[at]); },
    confirm: () => { if (story?.label) decide(story.label); },
    pick: () => { if (mayLabel) setPicking("one"); },
    explain: () => (noExplain ? say(noExplain) : explanation.ask()),
    source: () => openSource(story),
  }, 2);

  const decision = made.about(storyKey);
  return html`<aside class="story" aria-label=${t("story.title")}>
    <div class="drawer-head"><span class="quiet">${t("story.title")}</span>
      <button class="plain" onClick=${onClose}>${t("close")} <${Kbd}>Esc<//></button></div>
    ${error && !story && html`<${Failure} error=${error}/>`}
    ${!story && !error && html`<p class="quiet pad" role="status">${t("loading")}</p>`}
    ${story && html`<article class="pad">
      <p class="meta"><${Text} text=${story.source || t("na")}/> <span aria-hidden="true">·</span> <${Time} at=${story.published_at || story.received_at}/>
        ${story.url !== null && safeUrl(story.url) !== null && html` <span aria-hidden="true">·</span> <${Outside} url=${story.url}>${t("story.open")} <${Kbd}>o<//><//>`}</p>
      <h2 tabindex="-1" ref=${title}>${explanation.explanation && story.title
        ? html`<${Shaded} text=${story.title} offset=${0} explanation=${explanation.explanation} lang=${story.language}/>`
        : html`<${Text} text=${story.title || t("untitled")} lang=${story.language}/>`}</h2>
      <div class="verdict"><${Chip} id=${story.label} abstained=${story.abstained} old=${decision !== null && decision.label !== story.label}/>
        ${decision && decision.label !== story.label && html`<span aria-hidden="true">→</span><${Chip} id=${decision.label}/>`}
        <${Score} value=${story.score}/>${story.abstained && html`<span class="tag">${t("abstained")}</span>`}</div>
      <${Choices} story=${story} chosen=${decision?.label || (story.correction?.withdrawn === false ? story.correction.label : null)}
        onLabel=${decide} onPick=${() => setPicking("one")}/>
      <section><div class="section-head"><h3>${t("explain.title")}</h3>
        ${!noExplain && html`<button onClick=${explanation.ask} disabled=${explanation.working}>${t("explain.ask")} <${Kbd}>e<//></button>`}</div>
        ${noExplain ? html`<p class="quiet">${code(noExplain)}</p>` : html`<${Why} ...${explanation}/>`}</section>
      <div class="body" lang=${story.language || undefined}>${explanation.explanation
        ? html`<p><${Shaded} text=${body} offset=${Array.from(story.title || "").length + 1} explanation=${explanation.explanation} lang=${story.language}/></p>`
        : paragraphs(body).map((text) => html`<p><${Text} text=${text} lang=${story.language}/></p>`)}
        ${body === "" && html`<p class="quiet">${t("story.nobody")}</p>`}</div>
      <section><h3>${t("story.scores")}</h3><${Bars} caption=${t("story.scores")} heads=${[t("label"), t("score")]}
        rows=${(story.labels || []).slice(0, 8).map(({ label, score }) => ({ name: html`<${Chip} id=${label}/>`, value: score, note: format.score(score) }))}/></section>
      <${AlikeStories} alike=${alike} label=${story.label} mayLabel=${mayLabel} onPick=${() => setPicking("alike")}/>
      <${Corrections} story=${story} onWithdrawn=${reload} mayWithdraw=${editor}/>
      <${Provenance} story=${story}/></article>`}
    ${picking === "one" && html`<${Picker} title=${t("choices.all")} onClose=${() => setPicking("")}
      onPick=${(/** @type {string} */ label) => { setPicking(""); decide(label); }}/>`}
    ${picking === "alike" && html`<${Picker} title=${t("alike.pick")} onClose=${() => setPicking("")}
      onPick=${(/** @type {string} */ label) => { setPicking(""); decideAlike(label); }}/>`}
  </aside>`;
}

/** @param {{url: string|null}|null} story */
export function openSource(story) {
  const url = safeUrl(story?.url);
  if (url) window.open(url, "_blank", "noopener,noreferrer");
  else say(t("story.nourl"));
}

/** @param {string} body */
export const paragraphs = (body) => body.split(/\n+/).filter((text) => text.trim() !== "");

/**
 * @param {{alike: import("../types.js").Alike[], label: string|undefined, mayLabel: boolean, onPick: () => void}} props
 */
function AlikeStories({ alike, label, mayLabel, onPick }) {
  if (alike.length === 0) return null;
  return html`<section><div class="section-head"><h3>${t("alike.title", { n: alike.length })}</h3>
    ${mayLabel && html`<button onClick=${onPick}>${t("alike.label")}</button>`}</div>
    ${mayLabel && label && html`<p class="quiet">${t("alike.hint")} <${Kbd}>⇧ 1–9<//></p>`}
    <ul class="plainlist">${alike.map((other) => html`<li key=${other.key}><span class="grow"><${Text} text=${other.title || t("untitled")}/></span>
      <span class="quiet">${named("why", other.why)} ${format.percent(other.similarity)}</span>
      ${other.label && html`<${Chip} id=${other.label}/>`}</li>`)}</ul></section>`;
}

/** @param {{story: FullDoc, onWithdrawn: () => void, mayWithdraw: boolean}} props */
function Corrections({ story, onWithdrawn, mayWithdraw }) {
  const made = story.corrections || [];
  const mine = decisions.all.filter((decision) => decision.keys.includes(story.key) && decision.state !== "undone");
  /** @param {string} ulid */
  const withdraw = (ulid) => {
    api.withdraw(ulid).then(() => { say(t("undo.withdrawnone")); onWithdrawn(); },
      (error) => say(error.message || t("error.unreachable"), true));
  };
  const known = new Set(made.map(({ ulid }) => ulid));
  const local = mine.filter((decision) => !decision.corrections.some(({ ulid }) => known.has(ulid)));
  return html`<section><h3>${t("story.corrections")}</h3>
    ${local.length + made.length === 0 ? html`<p class="quiet">${t("story.nocorrections")}</p>` : html`<ul class="plainlist">
    ${local.toReversed().map((decision) => html`<li key=${decision.ulid}><span class="grow">${inWords(decision)}</span>
      <span class="quiet">${t("state." + decision.state)}</span>
      ${(decision.state === "waiting" || decision.state === "sent") && html`<button onClick=${() => takeBack(decisions, decision)}>${t("undo")}</button>`}</li>`)}
    ${made.map((correction) => html`<li key=${correction.ulid} class=${correction.withdrawn ? "gone" : ""}>
      <span class="grow"><${Chip} id=${correction.label} old=${correction.withdrawn}/>
        ${correction.predicted && html` <span class="quiet">${t("story.instead", { label: nameOf(correction.predicted) })}</span>`}</span>
      <span class="quiet">${correction.by || t("na")} · <${Time} at=${correction.at}/></span>
      ${correction.withdrawn ? html`<span class="tag">${t("state.withdrawn")}</span>`
        : mayWithdraw && html`<button onClick=${() => withdraw(correction.ulid)}>${t("story.withdraw")}</button>`}</li>`)}</ul>`}
  </section>`;
}

/** @param {{story: FullDoc}} props */
const Provenance = ({ story }) => html`<section><h3>${t("story.provenance")}</h3><dl class="facts">
  <dt>${t("story.position")}</dt><dd><code>${story.topic}/${story.partition}/${format.integer(story.offset)}</code></dd>
  <dt>${t("story.id")}</dt><dd>${story.id === null ? t("na") : html`<code><${Text} text=${story.id}/></code>`}</dd>
  <dt>${t("story.model")}</dt><dd><code>${story.model_version || t("na")}</code></dd>
  <dt>${t("story.language")}</dt><dd>${story.language ? named("language", story.language) : t("na")}</dd>
  <dt>${t("story.published")}</dt><dd>${story.published_at ? format.absolute(story.published_at) : t("na")}</dd>
  <dt>${t("story.received")}</dt><dd>${format.absolute(story.received_at)}</dd>
  <dt>${t("story.url")}</dt><dd><${Outside} url=${story.url}><${Text} text=${story.url || ""}/><//></dd>
  <dt>${t("story.margin")}</dt><dd>${format.score(story.margin)}</dd>
  <dt>${t("story.near")}</dt><dd>${format.integer(story.near_duplicates)}</dd></dl></section>`;
