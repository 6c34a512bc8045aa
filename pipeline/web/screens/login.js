// The login: a token, which the server keeps in a cookie that no script can read.

import { api, needsLogin } from "../api.js";
import { t } from "../i18n.js";
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";

export function Login() {
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  /** @type {{current: HTMLInputElement|null}} */
  const field = useRef(null);
  useEffect(() => field.current?.focus(), []);
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    setBusy(true);
    api.login(field.current?.value || "").then(() => needsLogin.set(false), (failure) => {
      setBusy(false);
      setError(failure.message || t("error.unreachable"));
      field.current?.select();
    });
  };
  return html`<main class="login"><form onSubmit=${submit}><h1>fenliu <span lang="zh">分流</span></h1><p class="quiet">${t("login.intro")}</p>
    <label for="token">${t("login.token")}</label>
    <input id="token" ref=${field} type="password" autocomplete="current-password" required aria-describedby="login-error"/>
    <p id="login-error" class="bad" role="alert">${error}</p>
    <button class="primary" disabled=${busy}>${t("login.enter")}</button></form></main>`;
}
