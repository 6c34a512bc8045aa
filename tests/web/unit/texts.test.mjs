import "./browser.mjs";
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const { default: en } = await import("../../../pipeline/web/i18n/en.js");
const { default: zh } = await import("../../../pipeline/web/i18n/zh.js");
const { KEYS, keyName, lookUp } = await import("../../../pipeline/web/keys.js");
const { translate } = await import("../../../pipeline/web/i18n.js");
const { explained, parts, safeUrl } = await import("../../../pipeline/web/text.js");

const web = fileURLToPath(new URL("../../../pipeline/web/", import.meta.url));
const values = (entry) => (typeof entry === "string" ? [entry] : Object.values(entry));
const holes = (entry) => [...new Set(values(entry).flatMap((text) => text.match(/\{\w+\}/g) || []))].sort();

test("both languages have the same keys with the same holes", () => {
  assert.deepEqual(Object.keys(zh).sort(), Object.keys(en).sort());
  for (const key of Object.keys(en)) assert.deepEqual(holes(zh[key]), holes(en[key]), key);
});

test("every key that the page names has a text, and every text is named", () => {
  const source = ["", "screens/"].flatMap((folder) => readdirSync(web + folder).filter((name) => name.endsWith(".js"))
    .map((name) => readFileSync(web + folder + name, "utf8"))).join("\n");
  const prefixes = new Set([...source.matchAll(/named\("(\w+)"/g), ...source.matchAll(/\bt\("(\w+)\." \+/g)].map((found) => found[1]));
  const literal = new Set([...source.matchAll(/"([a-z]+(?:\.\w+)*)"/gi)].map((found) => found[1]));
  const missing = [...source.matchAll(/\bt\("([\w.]+)"[,)]/g)].map((found) => found[1]).filter((key) => !(key in en));
  assert.deepEqual(missing, []);
  const unused = Object.keys(en).filter((key) => !literal.has(key) && !prefixes.has(key.split(".")[0]));
  assert.deepEqual(unused, []);
  for (const { action } of KEYS) assert.ok("key." + action in en, action);
});

test("numbers choose the form of the word, and have separators", () => {
  assert.equal(translate("en", "desk.total", { n: 1 }), "1 story");
  assert.equal(translate("en", "desk.total", { n: 12345 }), "12,345 stories");
  assert.equal(translate("zh", "desk.total", { n: 1 }), "共 1 篇");
});

test("keys of an input method and keys with a modifier are left alone", () => {
  assert.equal(keyName({ key: "j", isComposing: true }), null);
  assert.equal(keyName({ key: "Process", keyCode: 229 }), null);
  assert.equal(keyName({ key: "1", keyCode: 229, code: "Digit1" }), null);
  for (const modifier of ["ctrlKey", "metaKey", "altKey"]) assert.equal(keyName({ key: "a", [modifier]: true }), null);
  assert.equal(keyName({ key: "!", code: "Digit1", shiftKey: true }), "Shift+1");
  assert.equal(keyName({ key: "&", code: "Digit1" }), "&");
  assert.equal(keyName({ key: "?", code: "Slash", shiftKey: true }), "?");
});

test("digits are labels and nothing else; no key has two meanings", () => {
  assert.deepEqual(lookUp("3", false, true), { action: "label", digit: 2 });
  assert.equal(lookUp("3", false, false), null);
  assert.equal(lookUp("ArrowDown", false, false)?.action, "next");
  assert.equal(lookUp("Enter", false, false)?.action, "open");
  assert.equal(lookUp("r", true, true)?.action, "go.review");
  assert.equal(lookUp("r", false, true), null);
  const all = KEYS.flatMap(({ keys }) => keys);
  assert.equal(new Set(all).size, all.length);
  for (const { action, keys } of KEYS) if (keys.some((key) => /^[1-9]$/.test(key))) assert.equal(action, "label");
});

test("characters that turn the text are marks", () => {
  assert.deepEqual(parts("a\u202eb"), [{ text: "a", mark: null }, { text: "\u202e", mark: "RLO" }, { text: "b", mark: null }]);
  assert.deepEqual(parts("股市"), [{ text: "股市", mark: null }]);
  assert.deepEqual(parts(""), []);
  assert.equal(parts("\u0007")[0].mark, "U+0007");
  assert.equal(parts("a\nb").length, 1);
});

test("only http and https become links", () => {
  assert.equal(safeUrl("https://example.org/a"), "https://example.org/a");
  for (const bad of ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "/relative", "", null, undefined, "ftp://a/b"]) {
    assert.equal(safeUrl(bad), null, String(bad));
  }
});

test("pieces of an explanation are positions of characters, not of code units", () => {
  assert.deepEqual(explained("𝒜bc", [{ start: 1, end: 2, effect: 0.4 }]),
    [{ text: "𝒜", start: 0, effect: null }, { text: "b", start: 1, effect: 0.4 }, { text: "c", start: 2, effect: null }]);
  // Pieces that overlap or lie outside are left out; the text is complete all the same.
  const odd = explained("abc", [{ start: 0, end: 2, effect: 1 }, { start: 1, end: 3, effect: 1 }, { start: 2, end: 9, effect: 1 }]);
  assert.equal(odd.map(({ text }) => text).join(""), "abc");
});
