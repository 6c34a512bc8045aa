// The search over all labels: typing narrows the list, Enter takes the marked one.

import { t } from "./i18n.js";
import { search } from "./labels.js";
import { nameOf, useLabels } from "./state.js";
import { Dialog, Glyph } from "./ui.js";
import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";

/**
 * @param {{title: string, onPick: (label: string) => void, onClose: () => void}} props
 */
export function Picker({ title, onPick, onClose }) {
  const labels = useLabels();
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  /** @type {{current: HTMLInputElement|null}} */
  const input = useRef(null);
  const found = search(labels, typed);
  const marked = found[Math.min(at, found.length - 1)];
  useEffect(() => input.current?.focus(), []);
  useEffect(() => document.getElementById("option-" + marked?.id)?.scrollIntoView({ block: "nearest" }));
  /** @param {KeyboardEvent} event */
  const keydown = (event) => {
    // The Enter that commits a word of an input method is not an answer.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const step = event.key === "ArrowDown" ? 1 : found.length - 1;
      setAt((Math.min(at, found.length - 1) + step) % Math.max(1, found.length));
      event.preventDefault();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (marked) onPick(marked.id);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose} class="picker">
    <label class="hidden" for="picker-input">${title}</label>
    <input id="picker-input" ref=${input} type="text" role="combobox" autocomplete="off" spellcheck=${false}
      aria-expanded="true" aria-controls="picker-list" aria-activedescendant=${marked ? "option-" + marked.id : undefined}
      placeholder=${t("picker.placeholder")} value=${typed} onKeyDown=${keydown}
      onInput=${(/** @type {InputEvent} */ event) => {
        setTyped(/** @type {HTMLInputElement} */ (event.target).value);
        setAt(0);
      }}/>
    <ul id="picker-list" role="listbox" aria-label=${title}>
      ${found.map((label) => html`<li key=${label.id} id=${"option-" + label.id} role="option"
        aria-selected=${label === marked ? "true" : "false"} onClick=${() => onPick(label.id)}>
        <${Glyph} id=${label.id}/><span>${nameOf(label.id)}</span>
        <span class="quiet">${[label.id, ...Object.values(label.names).filter((name) => name !== nameOf(label.id))].join(" · ")}</span>
      </li>`)}
    </ul>
    ${found.length === 0 && html`<p class="quiet none">${t("picker.none")}</p>`}
  <//>`;
}
