// Models: versions and their aliases, champion and challenger, promotion and rollback, fine-tuning jobs, a trial.

import { ApiError, api } from "../api.js";
import * as format from "../format.js";
import { named, t } from "../i18n.js";
import { useLoad } from "../load.js";
import { nameOf, say, status, useDark, useRole } from "../state.js";
import { useStore } from "../store.js";
import { Bars, Chip, Dark, Dialog, Empty, Failure, Head, Text, Tile, Time, code } from "../ui.js";
import { html, useRef, useState } from "../vendor/htm-preact.js";

/** @typedef {import("../types.js").Models} ModelList */
/** @typedef {import("../types.js").Version} Version */
/** @typedef {import("../types.js").Job} Job */

/** The last characters of a version tell versions apart; the whole is in the title. */
/** @param {{id: string|null|undefined}} props */
const VersionName = ({ id }) => id ? html`<code class="version" title=${id}>${id.length > 12 ? "…" + id.slice(-8) : id}</code>`
  : html`<span class="quiet">${t("none")}</span>`;

export function Models() {
  const dark = useDark("models");
  return html`<div class="page"><${Head} title=${t("nav.models")} intro=${t("models.intro")}/>
    ${dark ? html`<${Dark} why=${dark}/>` : html`<${Versions}/>`}
    <${JobList}/><${Trial}/></div>`;
}

function Versions() {
  const { data, error, reload } = useLoad(api.models, [], 5000);
  const operator = useRole("operator");
  const now = useStore(status, (value) => value);
  const [asked, setAsked] = useState(/** @type {Version|"rollback"|null} */ (null));
  if (!data) return error ? html`<${Failure} error=${error}/>` : html`<p class="quiet" role="status">${t("loading")}</p>`;
  /** @param {string|null} id */
  const version = (id) => data.versions.find((one) => one.version === id) || null;
  const shadow = now?.shadow;
  const agreement = shadow && shadow.compared > 0 ? 1 - shadow.disagreeing / shadow.compared : null;
  const champion = version(data.champion);
  const challenger = version(data.challenger);
  return html`<div class="tiles">
      <${Tile} label=${t("alias.champion")} value=${html`<${VersionName} id=${data.champion}/>`}
        note=${champion && html`${t("models.accuracy")} ${format.percent(champion.accuracy, 1)} · <${Time} at=${champion.created_at}/>`}/>
      <${Tile} label=${t("alias.challenger")} value=${html`<${VersionName} id=${data.challenger}/>`}
        note=${challenger ? html`${t("models.accuracy")} ${format.percent(challenger.accuracy, 1)} · <${Time} at=${challenger.created_at}/>` : t("models.nochallenger")}/>
      <${Tile} label=${t("models.agreement")} value=${format.percent(agreement, 1)}
        note=${shadow && shadow.compared > 0 ? t("models.compared", { n: shadow.compared, dropped: shadow.dropped }) : t("models.noshadow")}/>
      <${Tile} label=${t("models.running")} value=${html`<${VersionName} id=${now?.model?.version}/>`}
        note=${now?.model ? `${now.model.device} · ${t("models.swaps", { n: now.serving.swaps })}` : ""}/></div>
    ${now?.serving.last_rollback && html`<div class="alarm"><strong>${t("models.lastrollback")}</strong> <${Text} text=${now.serving.last_rollback}/></div>`}
    ${now?.serving.last_reload_failure && html`<div class="alarm"><strong>${t("models.reloadfailure")}</strong> <${Text} text=${now.serving.last_reload_failure}/></div>`}
    <section><div class="section-head"><h2>${t("models.versions")}</h2>
      ${operator && data.previous && html`<button onClick=${() => setAsked("rollback")}>${t("models.rollback")}</button>`}</div>
    <div class="scroll" tabindex="0" role="group" aria-label=${t("models.versions")}><table class="data"><caption class="hidden">${t("models.versions")}</caption>
      <thead><tr><th scope="col">${t("models.version")}</th><th scope="col">${t("models.alias")}</th><th scope="col">${t("models.age")}</th><th scope="col">${t("models.origin")}</th>
        <th scope="col" class="number">${t("models.accuracy")}</th><th scope="col" class="number">${t("models.f1")}</th><th scope="col" class="number">${t("models.rows")}</th><th scope="col">${t("models.report")}</th>${operator && html`<th scope="col"><span class="hidden">${t("models.promote")}</span></th>`}</tr></thead>
      <tbody>${data.versions.map((one) => html`<tr key=${one.version}><th scope="row"><${VersionName} id=${one.version}/></th>
        <td>${one.aliases.map((alias) => html`<span class=${"tag alias " + alias}>${named("alias", alias)}</span> `)}${one.version === data.previous && html`<span class="tag">${t("alias.previous")}</span>`}</td>
        <td><${Time} at=${one.created_at}/></td><td>${one.origin ? named("origin", one.origin) : t("na")}${one.problem && html` <span class="bad">${code(one.problem)}</span>`}</td>
        <td class="number">${format.percent(one.accuracy, 1)}</td><td class="number">${format.number(one.macro_f1, 3)}</td><td class="number">${format.integer(one.test_rows)}</td>
        <td>${one.has_report ? html`<a href=${api.reportUrl(one.version)} target="_blank" rel="noopener">${t("models.openreport")}</a>` : html`<span class="quiet">${t("none")}</span>`}</td>
        ${operator && html`<td class="act">${one.version !== data.champion && html`<button class="small" onClick=${() => setAsked(one)}>${t("models.promote")}</button>`}</td>`}</tr>`)}</tbody></table></div></section>
    <section><h2>${t("models.history")}</h2>${data.history.length === 0 ? html`<p class="quiet">${t("models.nohistory")}</p>` : html`<div class="scroll" tabindex="0" role="group" aria-label=${t("models.history")}><table class="data"><caption class="hidden">${t("models.history")}</caption>
      <thead><tr><th scope="col">${t("models.when")}</th><th scope="col">${t("models.alias")}</th><th scope="col">${t("models.from")}</th><th scope="col">${t("models.to")}</th><th scope="col">${t("models.by")}</th><th scope="col">${t("models.reason")}</th></tr></thead>
      <tbody>${data.history.map((entry) => html`<tr><td><${Time} at=${entry.at}/></td><td>${named("alias", entry.alias)}</td><td><${VersionName} id=${entry.from}/></td><td><${VersionName} id=${entry.to}/></td>
        <td>${entry.by ? html`<${Text} text=${entry.by}/>` : t("na")}</td><td class="text">${entry.reason ? html`<${Text} text=${entry.reason}/>` : html`<span class="quiet">${t("none")}</span>`}</td></tr>`)}</tbody></table></div>`}</section>
    ${asked && html`<${Ask} models=${data} what=${asked} onClose=${() => setAsked(null)} onDone=${reload}/>`}`;
}

/**
 * The question before a change of the champion: it names what is replaced, and sends that name, so that the server can
 * refuse if the champion has changed meanwhile.
 * @param {{models: ModelList, what: Version|"rollback", onClose: () => void, onDone: () => void}} props
 */
function Ask({ models, what, onClose, onDone }) {
  // The champion that the person saw when the dialog opened, not the one of a later load.
  const [expected] = useState(models.champion);
  const target = what === "rollback" ? models.previous : what.version;
  const of = (/** @type {string|null} */ id) => models.versions.find((one) => one.version === id) || null;
  const [before, after] = [of(expected), of(target)];
  /** @type {{current: HTMLInputElement|null}} */
  const reason = useRef(null);
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    const why = reason.current?.value.trim() || "";
    if (why === "") return;
    setBusy(true);
    const request = what === "rollback" ? api.rollback({ reason: why, expected_champion: expected })
      : api.promote({ version: what.version, reason: why, expected_champion: expected });
    request.then(() => { say(t(what === "rollback" ? "models.rolledback" : "models.promoted")); onDone(); onClose(); }, (failure) => {
      setBusy(false);
      setError((failure instanceof ApiError && failure.status === 409 ? t("models.conflict") + " " : "") + (failure.message || t("error.unreachable")));
      onDone();
    });
  };
  const title = t(what === "rollback" ? "models.rollback" : "models.promote");
  /**
   * @param {string} name
   * @param {Version|null} version
   * @param {string|null} id
   */
  const side = (name, version, id) => html`<div class="side-of"><span class="quiet">${name}</span><code>${id || t("none")}</code>
    <span class="quiet">${version ? html`${t("models.accuracy")} ${format.percent(version.accuracy, 1)} · <${Time} at=${version.created_at}/>` : ""}</span></div>`;
  return html`<${Dialog} title=${title} onClose=${onClose}><form onSubmit=${submit} method="dialog"><h2>${title}</h2>
    <p>${t(what === "rollback" ? "models.ask.rollback" : "models.ask.promote")}</p>
    <div class="replace">${side(t("models.ask.replaces"), before, expected)}<span aria-hidden="true">→</span>${side(t("models.ask.by"), after, target)}</div>
    <label for="reason">${t("models.reason")}</label><input id="reason" ref=${reason} required autocomplete="off" placeholder=${t("models.reason.placeholder")}/>
    ${error && html`<p class="bad" role="alert">${code(error)}</p>`}
    <p class="row end"><button type="button" onClick=${onClose}>${t("cancel")}</button><button class="primary" disabled=${busy}>${title}</button></p></form><//>`;
}

function JobList() {
  const dark = useDark("jobs");
  const operator = useRole("operator");
  const { data, error, reload } = useLoad(api.jobs, [], 2000);
  const [starting, setStarting] = useState(false);
  const start = () => {
    setStarting(true);
    api.startJob().then(() => { say(t("jobs.started")); reload(); }, (failure) => say(failure.message || t("error.unreachable"), true))
      .finally(() => setStarting(false));
  };
  return html`<section><div class="section-head"><h2>${t("jobs.title")}</h2>
    ${!dark && operator && data?.configured && html`<button class="primary" onClick=${start} disabled=${starting || data.running !== null}>${t("jobs.start")}</button>`}</div>
    ${dark ? html`<${Dark} why=${dark}/>` : !data ? (error ? html`<${Failure} error=${error}/>` : html`<p class="quiet">${t("loading")}</p>`)
      : html`${data.running && html`<${JobCard} job=${data.running}/>`}
        ${data.jobs.filter((job) => job.id !== data.running?.id).map((job) => html`<${JobCard} key=${job.id} job=${job}/>`)}
        ${!data.running && data.jobs.length === 0 && html`<p class="quiet">${t("jobs.none")}</p>`}`}</section>`;
}

/** @param {{job: Job}} props */
function JobCard({ job }) {
  const running = job.state === "running";
  return html`<article class=${"job " + job.state}><div class="section-head"><h3>${named("job", job.state)} <code class="version" title=${job.id}>…${job.id.slice(-8)}</code></h3>
      <span class="quiet"><${Time} at=${job.ended_at || job.started_at}/></span></div>
    ${running && html`<p>${named("jobstage", job.stage)} ${job.progress !== null && format.percent(job.progress)}</p>
      <progress max="1" value=${job.progress === null ? undefined : job.progress} aria-label=${t("jobs.progress")}></progress>`}
    ${job.verdict && job.verdict !== job.state && html`<p>${code(job.verdict)}</p>`}
    ${job.reason && html`<p>${code(job.reason)}</p>`}
    ${job.gates.length > 0 && html`<ul class="gates">${job.gates.map((gate) => html`<li><span class=${gate.passed ? "good" : "bad"}>${gate.passed ? "✓ " + t("gate.passed") : "✕ " + t("gate.failed")}</span>${" "}
      <b>${gate.name}</b> <span class="quiet">${code(gate.detail)}</span></li>`)}</ul>`}
    ${job.version && html`<p class="quiet">${t("jobs.version")} <${VersionName} id=${job.version}/></p>`}
    ${job.log.length > 0 && html`<details open=${running}><summary>${t("jobs.log")}</summary><pre tabindex="0">${job.log.join("\n")}</pre></details>`}</article>`;
}

function Trial() {
  const [answer, setAnswer] = useState(/** @type {Awaited<ReturnType<typeof api.predict>>|null} */ (null));
  const [error, setError] = useState(/** @type {Error|null} */ (null));
  const [busy, setBusy] = useState(false);
  /** @type {{current: HTMLTextAreaElement|null}} */
  const field = useRef(null);
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    const [title, ...body] = (field.current?.value || "").split("\n");
    if ((field.current?.value || "").trim() === "") return;
    setBusy(true);
    api.predict([{ title, body: body.join("\n") }]).then((found) => { setAnswer(found); setError(null); }, setError).finally(() => setBusy(false));
  };
  const best = answer?.predictions[0];
  return html`<section><h2>${t("trial.title")}</h2><form class="trial" onSubmit=${submit}>
    <label for="trial" class="quiet">${t("trial.hint")}</label><textarea id="trial" ref=${field} rows="4"></textarea>
    <p class="row"><button disabled=${busy}>${t("trial.ask")}</button></p></form>
    ${error && html`<${Failure} error=${error}/>`}
    ${best && best.label === null && html`<p role="status">${t("trial.rejected", { reason: named("dlq", best.rejected) })}</p>`}
    ${best && best.label !== null && html`<div class="trial-answer" role="status"><p><${Chip} id=${best.label} abstained=${best.abstained}/> ${best.abstained && html`<span class="tag warn">${t("abstained")}</span>`}
      <span class="quiet">${t("trial.by")} <${VersionName} id=${answer?.model_version}/></span></p>
      <${Bars} caption=${t("story.scores")} heads=${[t("label"), t("score")]} rows=${best.labels.map(({ label, score }) => ({ name: nameOf(label), value: score, note: format.score(score) }))}/></div>`}</section>`;
}
