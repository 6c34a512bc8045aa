// The shell: navigation, the state of the connection, keys that work everywhere, and the screen of the route.

import { api, needsLogin } from "./api.js";
import * as format from "./format.js";
import { t } from "./i18n.js";
import { startKeys, useKeys } from "./keys.js";
import { Pending, takeBack } from "./pending.js";
import { go, href, route } from "./route.js";
import { DeadLetters } from "./screens/deadletters.js";
import { Desk } from "./screens/desk.js";
import { Flow } from "./screens/flow.js";
import { Help } from "./screens/help.js";
import { Login } from "./screens/login.js";
import { Models } from "./screens/models.js";
import { Quality } from "./screens/quality.js";
import { Review } from "./screens/review.js";
import { apply, language, set, settings } from "./settings.js";
import { arrivals, decisions, noteSeen, status, takeStatus } from "./state.js";
import { useStore } from "./store.js";
import { connection, openStream } from "./stream.js";
import { html, render, useEffect, useRef } from "./vendor/htm-preact.js";

/** @type {{name: string, key: string, group: "news"|"machine"|"help", view: () => any}[]} */
const SCREENS = [
  { name: "desk", key: "g d", group: "news", view: Desk },
  { name: "review", key: "g r", group: "news", view: Review },
  { name: "flow", key: "g f", group: "machine", view: Flow },
  { name: "models", key: "g m", group: "machine", view: Models },
  { name: "quality", key: "g q", group: "machine", view: Quality },
  { name: "dead", key: "g x", group: "machine", view: DeadLetters },
  { name: "help", key: "?", group: "help", view: Help },
];

function App() {
  const login = useStore(needsLogin, (needed) => needed);
  useStore(settings, (now) => now);
  apply();
  const code = language();
  return login ? html`<${Login} key=${code}/>` : html`<${Shell} key=${code}/>`;
}

function Shell() {
  const name = useStore(route, (now) => now.screen);
  const screen = SCREENS.find((one) => one.name === name) || SCREENS[0];
  const title = useStore(status, (now) => now?.name || "fenliu");
  useEffect(() => openStream({
    documents: (documents) => { for (const listener of arrivals) listener(documents); noteSeen(documents); },
    status: takeStatus,
  }), []);
  useEffect(() => {
    api.status().then(takeStatus, () => undefined);
  }, []);
  useEffect(() => {
    document.title = `${t("nav." + screen.name)} · ${title}`;
  }, [screen.name, title]);
  // A new screen takes the focus, so that a screen reader starts at its title.
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    /** @type {HTMLElement|null} */ (document.querySelector("main h1"))?.focus({ preventScroll: true });
  }, [screen.name]);
  useKeys({
    ...Object.fromEntries(SCREENS.map((one) => ["go." + one.name, () => go(one.name)])),
    help: () => go("help"),
    undo: () => void takeBack(decisions),
  }, 0);
  const { view: View } = screen;
  return html`<a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => {
      event.preventDefault();
      /** @type {HTMLElement|null} */ (document.querySelector("main h1"))?.focus();
    }}>${t("skip")}</a>
    <div class="shell"><${Side} current=${screen.name}/>
    <main id="main"><${View} key=${screen.name}/></main></div><${Pending}/>`;
}

/** @param {{current: string}} props */
function Side({ current }) {
  const now = useStore(status, (value) => value);
  const state = useStore(connection, (value) => value);
  const degraded = now?.health.degraded.length || 0;
  const code = language();
  return html`<nav class="side" aria-label=${t("nav.title")}>
    <p class="brand"><img src="icon.svg" alt="" width="22" height="22"/><b>fenliu</b> <span lang="zh">分流</span></p>
    <div class="links">${["news", "machine", "help"].map((group) => html`<ul>${SCREENS.filter((one) => one.group === group).map((one) => html`<li>
      <a href=${href(one.name)} aria-current=${one.name === current ? "page" : undefined}>${t("nav." + one.name)}
        ${one.name === "dead" && now && now.documents.dead_letters > 0 && html`<span class="count">${format.integer(now.documents.dead_letters)}</span>`}
        <kbd aria-hidden="true">${one.key}</kbd></a></li>`)}</ul>`)}</div>
    <div class="foot">
      <p class=${"state " + (degraded > 0 && state === "open" ? "degraded" : state)}><i aria-hidden="true"></i>
        ${degraded > 0 && state === "open" ? html`<a href=${href("flow")}>${t("state.degraded", { n: degraded })}</a>` : t("connection." + state)}</p>
      ${now && html`<p class="quiet"><span class="pipeline">${now.name}</span> · ${t("side.rate", { n: format.number(now.docs_per_s, 0) })}</p>
        <p class="quiet">${now.identity.name} · ${t("role." + now.identity.role)}
          ${now.identity.mode === "token" && html` <button class="link" onClick=${() => api.logout().finally(() => needsLogin.set(true))}>${t("logout")}</button>`}</p>`}
      <p class="switches"><button class="plain" lang=${code === "zh" ? "en" : "zh"} onClick=${() => set({ language: code === "zh" ? "en" : "zh" })}>${code === "zh" ? "English" : "中文"}</button>
        <button class="plain" onClick=${() => set({ theme: isDark() ? "light" : "dark" })}>${t(isDark() ? "theme.light" : "theme.dark")}</button></p></div></nav>`;
}

const isDark = () => (settings.get().theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

startKeys();
const root = document.getElementById("app");
if (root) render(html`<${App}/>`, root);
