// The table of keys and the one listener that reads it.

import { useEffect, useRef } from "./vendor/htm-preact.js";
import { settings } from "./settings.js";

/**
 * Labels have digits only, so that they cannot collide with commands. `single` keys are letters and signs that can be
 * turned off.
 * @type {{action: string, keys: string[], single: boolean, group: "move"|"decide"|"look"|"go"}[]}
 */
export const KEYS = [
  { action: "next", keys: ["j", "ArrowDown"], single: true, group: "move" },
  { action: "previous", keys: ["k", "ArrowUp"], single: true, group: "move" },
  { action: "open", keys: ["Enter"], single: false, group: "move" },
  { action: "close", keys: ["Escape"], single: false, group: "move" },
  { action: "newest", keys: ["."], single: true, group: "move" },
  { action: "label", keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"], single: true, group: "decide" },
  { action: "alike", keys: ["Shift+1", "Shift+2", "Shift+3", "Shift+4", "Shift+5", "Shift+6", "Shift+7", "Shift+8", "Shift+9"],
    single: true, group: "decide" },
  { action: "pick", keys: ["l"], single: true, group: "decide" },
  { action: "confirm", keys: ["a"], single: true, group: "decide" },
  { action: "skip", keys: ["s"], single: true, group: "decide" },
  { action: "undo", keys: ["z"], single: true, group: "decide" },
  { action: "explain", keys: ["e"], single: true, group: "look" },
  { action: "source", keys: ["o"], single: true, group: "look" },
  { action: "search", keys: ["/"], single: true, group: "look" },
  { action: "pause", keys: ["p"], single: true, group: "look" },
  { action: "help", keys: ["?"], single: true, group: "look" },
  { action: "go.desk", keys: ["g d"], single: true, group: "go" },
  { action: "go.review", keys: ["g r"], single: true, group: "go" },
  { action: "go.flow", keys: ["g f"], single: true, group: "go" },
  { action: "go.models", keys: ["g m"], single: true, group: "go" },
  { action: "go.quality", keys: ["g q"], single: true, group: "go" },
  { action: "go.dead", keys: ["g x"], single: true, group: "go" },
];

/**
 * @typedef {{key: string, code?: string, keyCode?: number, isComposing?: boolean, ctrlKey?: boolean, metaKey?: boolean,
 *   altKey?: boolean, shiftKey?: boolean}} KeyLike
 */

/**
 * The name of a key as the table writes it, or null if the page must not look at it: an input method is at work (its
 * first keydown and the Enter that commits come without `isComposing`, with the code 229), or a modifier is held.
 * @param {KeyLike} event
 * @returns {string|null}
 */
export function keyName(event) {
  if (event.isComposing || event.keyCode === 229) return null;
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  const digit = /^Digit([1-9])$/.exec(event.code || "");
  // A shifted digit is another sign on every keyboard, so the place of the key counts.
  if (event.shiftKey && digit) return "Shift+" + digit[1];
  return event.key;
}

/**
 * @param {string} name from `keyName`
 * @param {boolean} afterGo whether `g` was pressed just before
 * @param {boolean} singleKeys
 * @returns {{action: string, digit: number}|null}
 */
export function lookUp(name, afterGo, singleKeys) {
  const wanted = afterGo ? "g " + name : name;
  for (const { action, keys, single } of KEYS) {
    const at = keys.indexOf(wanted);
    if (at < 0) continue;
    if (single && !singleKeys && !wanted.startsWith("Arrow")) return null;
    return { action, digit: at };
  }
  return null;
}

/** @typedef {Record<string, (digit: number) => void|false>} Handlers a handler that returns false leaves the key alone */

/** @type {{order: number, handlers: {current: Handlers}}[]} */
const layers = [];
let goUntil = 0;

/** @param {EventTarget|null} target */
const takesText = (target) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** @param {KeyboardEvent} event */
function listen(event) {
  const name = keyName(event);
  if (name === null || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (takesText(event.target)) {
    // Escape leaves a search field, so that the keys act again.
    if (name === "Escape") /** @type {HTMLElement} */ (event.target).blur();
    return;
  }
  if (name === "Enter" && event.target instanceof Element && event.target.closest("a, button, summary")) return;
  const afterGo = event.timeStamp < goUntil;
  goUntil = 0;
  if (name === "g" && settings.get().singleKeys) {
    goUntil = event.timeStamp + 1500;
    event.preventDefault();
    return;
  }
  const found = lookUp(name, afterGo, settings.get().singleKeys);
  if (!found) return;
  for (const layer of [...layers].sort((a, b) => b.order - a.order)) {
    const handler = layer.handlers.current[found.action];
    if (!handler) continue;
    if (handler(found.digit) !== false) event.preventDefault();
    return;
  }
}

/** Starts the one listener. */
export const startKeys = () => document.addEventListener("keydown", listen);

/**
 * Handlers of a component while it is shown. A layer with a higher order goes first.
 * @param {Handlers} handlers
 * @param {number} order 0 shell, 1 screen, 2 drawer
 */
export function useKeys(handlers, order) {
  const current = useRef(handlers);
  current.current = handlers;
  useEffect(() => {
    const layer = { order, handlers: current };
    layers.push(layer);
    return () => {
      layers.splice(layers.indexOf(layer), 1);
    };
  }, []);
}
