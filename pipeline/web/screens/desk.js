// The desk: the live list, its filters, and the labels of the selected story.

import { api } from "../api.js";
import { Choices, digits } from "../choices.js";
import { EMPTY, NO_FILTER, admits, arrive, firstPage, nextPage, release } from "../feed.js";
import * as format from "../format.js";
import { named, t } from "../i18n.js";
import { useKeys } from "../keys.js";
import { Picker } from "../picker.js";
import { go, route, setParams } from "../route.js";
import { arrivals, decisions, nameOf, noteSeen, say, seen, useDark, useDecisions, useLabels, useRole } from "../state.js";
import { useStore } from "../store.js";
import { leftOut } from "../stream.js";
import { fold } from "../text.js";
import { Chip, Dark, Empty, Failure, Kbd, Score, Text, Time } from "../ui.js";
import { Component, html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { Story, openSource } from "./story.js";

/** @typedef {import("../types.js").Doc} Doc */
/** @typedef {import("../feed.js").Filter} Filter */

/** How often stories of the stream are put into the list, in milliseconds: calmer than the stream itself. */
const BEAT = 1000;

/** More stories than this in one beat cannot be read as they pass: they wait, and the reader asks for them. */
const TORRENT = 20;

/** @param {Record<string, string>} params */
const filterOf = (params) =>
  /** @type {Filter} */ (Object.fromEntries(Object.keys(NO_FILTER).map((name) => [name, params[name] || ""])));

export function Desk() {
  const dark = useDark("feed");
  return dark ? html`<${Dark} why=${dark}/>` : html`<${List}/>`;
}

function List() {
  const params = useStore(route, (now) => now.params);
  const filter = filterOf(params);
  const filterText = JSON.stringify(filter);
  const [feed, setFeed] = useState(EMPTY);
  const [error, setError] = useState(/** @type {Error|null} */ (null));
  const [loading, setLoading] = useState(true);
  const [selected, setSelected] = useState(/** @type {string|null} */ (params.story || null));
  const [paused, setPaused] = useState(false);
  const [picking, setPicking] = useState(false);
  const [explaining, setExplaining] = useState("");
  const labels = useLabels();
  const editor = useRole("editor");
  const noCorrections = useDark("corrections");
  const made = useDecisions();
  // Read with the beat: the stream counts ten times a second, and each change would draw the list again.
  const [skipped, setSkipped] = useState(leftOut.get());
  /** @type {{current: HTMLElement|null}} */
  const scroller = useRef(null);
  const pointer = useRef(false);
  /** @type {{current: Doc[]}} */
  const buffer = useRef([]);
  const mayLabel = editor && !noCorrections;

  // What the timers below must know of the present drawing.
  const current = useRef({ filter, selected, paused, story: params.story });
  current.current = { filter, selected, paused, story: params.story };
  const held = () => {
    const { paused: still, selected: chosen, story, filter: wanted } = current.current;
    const list = scroller.current;
    return still || chosen !== null || Boolean(story) || pointer.current || wanted.order === "uncertain"
      || (list !== null && (list.scrollTop > 4 || list.contains(document.activeElement)));
  };

  // Stories of the stream gather in a buffer; the beat puts them into the list, or behind "12 new".
  useEffect(() => {
    /** @param {Doc[]} stories */
    const take = (stories) => {
      noteSeen(stories);
      buffer.current.push(...stories);
      if (buffer.current.length > 2000) buffer.current = buffer.current.slice(-1000);
    };
    arrivals.add(take);
    const timer = setInterval(() => {
      const stories = buffer.current.filter((story) => admits(current.current.filter, story, fold));
      buffer.current = [];
      setSkipped(leftOut.get());
      if (stories.length === 0) return;
      setFeed((/** @type {typeof EMPTY} */ old) => arrive(old, stories, held() || (stories.length > TORRENT && old.shown.length >= 50)));
    }, BEAT);
    return () => {
      arrivals.delete(take);
      clearInterval(timer);
    };
  }, []);

  const load = () => {
    const abort = new AbortController();
    setLoading(true);
    api.documents({ ...filter, limit: 50 }, abort.signal).then((page) => {
      noteSeen(page.documents);
      setFeed((/** @type {typeof EMPTY} */ old) => firstPage(old, page));
      setError(null);
      setLoading(false);
    }, (failure) => {
      if (failure.name === "AbortError") return;
      setError(failure);
      setLoading(false);
    });
    return () => abort.abort();
  };
  useEffect(() => {
    setFeed(EMPTY);
    if (scroller.current) scroller.current.scrollTop = 0;
    return load();
  }, [filterText]);

  const more = () => {
    if (!feed.next) return;
    api.documents({ ...filter, limit: 50, cursor: feed.next }).then(
      (page) => setFeed((/** @type {typeof EMPTY} */ old) => nextPage(old, page)), (failure) => say(failure.message, true));
  };
  const newest = () => {
    setFeed((/** @type {typeof EMPTY} */ old) => release(old));
    select(null);
    if (scroller.current) scroller.current.scrollTop = 0;
  };

  /** @param {string|null} key */
  const select = (key) => {
    setSelected(key);
    // Rows keep the handler of an earlier drawing, so the present state is asked for here.
    if (current.current.story) setParams({ story: key || "" });
  };
  // The row that was chosen with the keyboard gets the focus, so that it is read aloud and stays in view.
  const wantsFocus = useRef(false);
  useLayoutEffect(() => {
    if (!wantsFocus.current || selected === null) return;
    wantsFocus.current = false;
    const row = /** @type {HTMLElement|null} */ (scroller.current?.querySelector(`[data-key="${CSS.escape(selected)}"]`) ?? null);
    row?.focus({ preventScroll: true });
    row?.scrollIntoView({ block: "nearest" });
  });
  const at = feed.shown.findIndex((story) => story.key === selected);
  const story = at >= 0 ? feed.shown[at] : null;
  /** @param {number} step */
  const move = (step) => {
    if (feed.shown.length === 0) return;
    const next = feed.shown[Math.min(feed.shown.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
    wantsFocus.current = true;
    select(next.key);
    if (at + step >= feed.shown.length - 5) more();
  };
  const open = () => {
    if (selected === null) return false;
    setParams({ story: selected });
    return undefined;
  };
  const close = () => {
    wantsFocus.current = true;
    setParams({ story: "" });
    setSelected((/** @type {string|null} */ key) => key);
  };
  /** @param {string} label */
  const decide = (label) => {
    if (!story || !mayLabel) return;
    decisions.decide({ keys: [story.key], label, queue: "desk", title: story.title || story.excerpt, from: story.label ?? null });
    move(1);
  };

  useKeys({
    next: () => move(1),
    previous: () => move(-1),
    open,
    close: () => { if (selected === null) return false; select(null); /** @type {HTMLElement|null} */ (document.activeElement)?.blur(); return undefined; },
    newest,
    label: (digit) => { if (story) decide(digits(story, labels)[digit]); },
    confirm: () => { if (story?.label) decide(story.label); },
    pick: () => { if (story && mayLabel) setPicking(true); },
    skip: () => move(1),
    explain: () => {
      if (selected !== null) setExplaining(selected);
      return open();
    },
    source: () => openSource(story),
    search: () => document.getElementById("desk-search")?.focus(),
    pause: () => setPaused((/** @type {boolean} */ was) => !was),
  }, 1);

  const waiting = feed.waiting.length + feed.missed;
  const told = useCalm(waiting);
  const decision = story ? made.about(story.key) : null;
  return html`<div class=${"desk" + (params.story ? " with-story" : "")}>
    <div class="desk-list">
      <${Filters} filter=${filter}/>
      <div class="newline">
        <p class="quiet">${feed.total !== null && t("desk.total", { n: feed.total })}
          ${skipped > 0 && html` · <span title=${t("desk.leftout.title")}>${t("desk.leftout", { n: skipped })}</span>`}
          ${paused && html` · <strong>${t("desk.paused")}</strong>`}</p>
        <div class="live"><button class=${"new" + (waiting > 0 ? "" : " none")} onClick=${newest} disabled=${waiting === 0}>
          ${waiting > 0 && html`${t("desk.new", { n: waiting })} <span aria-hidden="true">↑</span>`}</button>
          <span class="hidden" role="status" aria-live="polite">${told > 0 ? t("desk.new", { n: told }) : ""}</span>
          <button class="toggle" aria-pressed=${paused ? "true" : "false"} onClick=${() => setPaused(!paused)} title=${t("desk.pause.title")}>${t("desk.pause")} <${Kbd}>p<//></button></div>
      </div>
      <div class="feed" role="log" aria-live="off" aria-label=${t("desk.title")} ref=${scroller}
        onPointerEnter=${() => { pointer.current = true; }} onPointerLeave=${() => { pointer.current = false; }}>
        ${error && html`<${Failure} error=${error}/>`}
        <table class="stories"><caption class="hidden">${t("desk.title")}</caption>
          <thead><tr><th scope="col" class="when">${t("desk.time")}</th><th scope="col" class="from">${t("desk.source")}</th>
            <th scope="col" class="what">${t("desk.headline")}</th><th scope="col" class="label">${t("label")}</th>
            <th scope="col" class="sure">${t("score")}</th></tr></thead>
          <tbody>${feed.shown.map((one) => html`<${Row} key=${one.key} story=${one} chosen=${one.key === selected}
            decision=${made.about(one.key)} state=${made.about(one.key)?.state} tookBack=${made.tookBack(one.key)}
            names=${labels} onSelect=${select} onOpen=${(/** @type {string} */ key) => { setSelected(key); setParams({ story: key }); }}/>`)}</tbody></table>
        ${feed.shown.length === 0 && !error && html`<${Empty}>${loading ? html`<p class="quiet">${t("loading")}</p>`
          : html`<p class="lead">${t("desk.empty")}</p><p class="quiet">${t(filterText === JSON.stringify(NO_FILTER) ? "desk.empty.none" : "desk.empty.filter")}</p>`}<//>`}
        ${feed.next && html`<p class="more"><button onClick=${more}>${t("desk.older")}</button></p>`}
      </div>
      ${story && !params.story && html`<div class="strip"><p class="picked"><${Text} text=${story.title || t("untitled")} lang=${story.language}/></p>
        <${Choices} story=${story} chosen=${decision?.label || null} onLabel=${decide} onPick=${() => setPicking(true)}>
          ${mayLabel && story.label && html`<button class="choice more" onClick=${() => decide(/** @type {string} */ (story.label))}><${Kbd}>a<//><span class="name">${t("choices.confirm")}</span></button>`}
          <button class="choice more" onClick=${open}><${Kbd}>↵<//><span class="name">${t("choices.open")}</span></button><//></div>`}
    </div>
    ${params.story && html`<${Story} storyKey=${params.story} explainNow=${explaining === params.story} onClose=${close}
      onDecided=${() => (at >= 0 ? move(1) : undefined)}/>`}
    ${picking && story && html`<${Picker} title=${t("choices.all")} onClose=${() => setPicking(false)}
      onPick=${(/** @type {string} */ label) => { setPicking(false); decide(label); }}/>`}
  </div>`;
}

/**
 * A number that changes every ten seconds at most: it is read aloud.
 * @param {number} value
 */
function useCalm(value) {
  const [shown, setShown] = useState(value);
  const last = useRef(value);
  last.current = value;
  useEffect(() => {
    const timer = setInterval(() => setShown(last.current), 10_000);
    return () => clearInterval(timer);
  }, []);
  return value === 0 ? 0 : shown;
}

/**
 * A row is drawn again only when something of it has changed: the list may have hundreds.
 * @extends {Component<any, any>}
 */
class Row extends Component {
  /** @param {any} next */
  shouldComponentUpdate(next) {
    const props = this.props;
    return next.story !== props.story || next.chosen !== props.chosen || next.decision !== props.decision
      || next.state !== this.drawnState || next.tookBack !== props.tookBack || next.names !== props.names;
  }

  /** @param {any} props */
  render({ story, chosen, decision, state, tookBack, onSelect, onOpen }) {
    this.drawnState = state;
    const corrected = tookBack ? null : decision?.label || (story.correction && !story.correction.withdrawn ? story.correction.label : null);
    const changed = corrected !== null && corrected !== story.label;
    return html`<tr data-key=${story.key} tabindex=${chosen ? 0 : -1} class=${chosen ? "chosen" : ""} aria-current=${chosen ? "true" : undefined}
      onClick=${(/** @type {MouseEvent} */ event) => { if (!(/** @type {Element} */ (event.target).closest("button"))) onSelect(story.key); }}>
      <td class="when"><${Time} at=${story.received_at}/></td>
      <td class="from"><span><${Text} text=${story.source || ""}/></span></td>
      <td class="what"><button class="headline" onClick=${() => onOpen(story.key)}><${Text} text=${story.title || story.excerpt || t("untitled")} lang=${story.language}/></button>
        ${(story.near_duplicates || 0) > 0 && html`<span class="tag" title=${t("desk.near.title")}>${t("desk.near", { n: story.near_duplicates })}</span>`}
        ${story.abstained && html`<span class="tag warn" title=${t("abstained.title")}>${t("abstained")}</span>`}</td>
      <td class="label">${changed ? html`<span class="swap"><${Chip} id=${story.label} old/><span aria-hidden="true">→</span><${Chip} id=${corrected}/></span>`
        : html`<${Chip} id=${story.label} abstained=${story.abstained}/>`}
        ${corrected !== null && html`<span class=${"mark " + (state || "sent")} title=${t("state." + (state || "sent"))}>${state === "waiting" || state === "sending" ? "…" : "✓"}<span class="hidden">${t("state." + (state || "sent"))}</span></span>`}</td>
      <td class="sure"><${Score} value=${story.score}/></td></tr>`;
  }
}

/** @param {{filter: Filter}} props */
function Filters({ filter }) {
  const labels = useLabels();
  const { sources, languages } = useStore(seen, (now) => now);
  const [text, setText] = useState(filter.q);
  useEffect(() => setText(filter.q), [filter.q]);
  /** @type {{current: ReturnType<typeof setTimeout>|undefined}} */
  const timer = useRef(undefined);
  /** @param {Event} event */
  const type = (event) => {
    const { value } = /** @type {HTMLInputElement} */ (event.target);
    setText(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setParams({ q: value.trim() }), 250);
  };
  /**
   * @param {keyof Filter} name
   * @param {string} title
   * @param {[string, string][]} options
   */
  const choice = (name, title, options) => html`<label class=${"field" + (filter[name] ? " set" : "")}><span class="hidden">${title}</span>
    <select value=${filter[name]} onChange=${(/** @type {Event} */ event) => setParams({ [name]: /** @type {HTMLSelectElement} */ (event.target).value })}>
      ${options.map(([value, words]) => html`<option value=${value} selected=${value === filter[name]}>${words}</option>`)}</select></label>`;
  /**
   * @param {string} known
   * @param {string[]} list
   */
  const withKnown = (known, list) => (known && !list.includes(known) ? [known, ...list] : list);
  /**
   * @param {"abstained"|"corrected"} name
   * @param {string} words
   */
  const toggle = (name, words) => html`<button type="button" class="toggle" aria-pressed=${filter[name] ? "true" : "false"}
    onClick=${() => setParams({ [name]: filter[name] ? "" : "true" })}>${words}</button>`;
  const any = Object.values(filter).some((value) => value !== "");
  return html`<form class="filters" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
    <h1 class="hidden" tabindex="-1">${t("nav.desk")}</h1>
    <label class="field search"><span class="hidden">${t("desk.search")}</span>
      <input id="desk-search" type="search" value=${text} onInput=${type} placeholder=${t("desk.search")} autocomplete="off"/><${Kbd}>/<//></label>
    ${choice("label", t("label"), [["", t("desk.alllabels")], ...labels.map(({ id }) => /** @type {[string, string]} */ ([id, nameOf(id)]))])}
    ${choice("source", t("desk.source"), [["", t("desk.allsources")], ...withKnown(filter.source, sources).map((name) => /** @type {[string, string]} */ ([name, name]))])}
    ${choice("language", t("story.language"), [["", t("desk.alllanguages")], ...withKnown(filter.language, languages).map((name) => /** @type {[string, string]} */ ([name, named("language", name)]))])}
    ${choice("max_score", t("score"), [["", t("desk.anyscore")], ...["0.9", "0.7", "0.5", "0.3"].map((value) => /** @type {[string, string]} */ ([value, t("desk.upto", { score: format.score(Number(value)) })]))])}
    ${choice("order", t("desk.order"), [["", t("desk.order.newest")], ["uncertain", t("desk.order.uncertain")]])}
    ${toggle("abstained", t("abstained"))}${toggle("corrected", t("desk.corrected"))}
    ${any && html`<button type="button" class="plain" onClick=${() => go("desk")}>${t("desk.clear")}</button>`}</form>`;
}
