// Help: keys, settings, version.

import * as format from "../format.js";
import { t } from "../i18n.js";
import { KEYS } from "../keys.js";
import { set, settings } from "../settings.js";
import { status } from "../state.js";
import { useStore } from "../store.js";
import { Head, Kbd, Time, code } from "../ui.js";
import { html } from "../vendor/htm-preact.js";

/** @param {string[]} keys */
const written = (keys) => {
  if (keys.length === 9) return [keys[0].startsWith("Shift+") ? "⇧ 1–9" : "1–9"];
  /** @type {Record<string, string>} */
  const names = { ArrowDown: "↓", ArrowUp: "↑", Enter: "↵", Escape: "Esc" };
  return keys.map((key) => names[key] || key);
};

export function Help() {
  const now = useStore(status, (value) => value);
  const { language, theme, singleKeys } = useStore(settings, (value) => value);
  /**
   * @param {string} title
   * @param {"language"|"theme"} name
   * @param {string} value
   * @param {[string, string][]} options
   */
  const choice = (title, name, value, options) => html`<fieldset><legend>${title}</legend>${options.map(([option, words]) => html`<label class="radio">
    <input type="radio" name=${name} value=${option} checked=${option === value} onChange=${() => set(/** @type {any} */ ({ [name]: option }))}/> ${words}</label>`)}</fieldset>`;
  return html`<div class="page"><${Head} title=${t("nav.help")}/>
    <section><h2>${t("help.settings")}</h2><div class="settings">
      ${choice(t("help.language"), "language", language, [["", t("help.auto")], ["zh", "中文"], ["en", "English"]])}
      ${choice(t("help.theme"), "theme", theme, [["", t("help.auto")], ["light", t("help.light")], ["dark", t("help.dark")]])}
      <fieldset><legend>${t("help.keys")}</legend><label class="radio"><input type="checkbox" checked=${singleKeys}
        onChange=${() => set({ singleKeys: !singleKeys })}/> ${t("help.singlekeys")}</label><p class="quiet">${t("help.singlekeys.note")}</p></fieldset></div></section>
    <section><h2>${t("help.keys")}</h2><div class="keygroups">${["move", "decide", "look", "go"].map((group) => html`<table class="keys"><caption>${t("keys." + group)}</caption>
      <thead class="hidden"><tr><th scope="col">${t("help.keys")}</th><th scope="col">${t("help.does")}</th></tr></thead>
      <tbody>${KEYS.filter((entry) => entry.group === group).map(({ action, keys }) => html`<tr><th scope="row">${written(keys).map((key) => html`<${Kbd}>${key}<//> `)}</th><td>${t("key." + action)}</td></tr>`)}</tbody></table>`)}</div>
      <p class="quiet">${t("help.keys.note")}</p></section>
    ${now && html`<section><h2>${t("help.about")}</h2><dl class="facts">
      <dt>${t("help.version")}</dt><dd>fenliu ${now.version}</dd><dt>${t("help.pipeline")}</dt><dd><code>${now.name}</code></dd>
      <dt>${t("help.started")}</dt><dd><${Time} at=${now.started_at}/></dd>
      <dt>${t("help.who")}</dt><dd>${now.identity.name} · ${t("role." + now.identity.role)}</dd>
      <dt>${t("help.model")}</dt><dd>${now.model ? html`<code>${now.model.name} ${now.model.version}</code> · ${now.model.device}` : t("na")}</dd>
      <dt>${t("help.labels")}</dt><dd>${format.integer(now.labels.length)}</dd>
      <dt>${t("help.api")}</dt><dd><a href="api/v1/openapi.json">/api/v1/openapi.json</a></dd></dl></section>
    ${Object.keys(now.dark || {}).length > 0 && html`<section><h2>${t("help.off")}</h2><dl class="facts">${Object.entries(now.dark).map(([name, why]) => html`<dt>${t("dark." + name)}</dt><dd>${code(why)}</dd>`)}</dl></section>`}`}
  </div>`;
}
