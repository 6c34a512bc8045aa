// What is done to texts of strangers before they are shown.

/** Characters that change the direction of what follows, or that cannot be seen: shown as marks. */
/** @type {Record<string, string>} */
const MARKS = {
  "\u061c": "ALM", "\u200b": "ZWSP", "\u200e": "LRM", "\u200f": "RLM", "\u2028": "LS", "\u2029": "PS", "\ufeff": "BOM",
  "\u202a": "LRE", "\u202b": "RLE", "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO",
  "\u2066": "LRI", "\u2067": "RLI", "\u2068": "FSI", "\u2069": "PDI",
};
const MARKED = /[\u0000-\u0008\u000b-\u001f\u007f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;

/**
 * Splits a text at the characters that are shown as marks.
 * @param {string} text
 * @returns {{text: string, mark: string|null}[]} `mark` is the name of the character, or null for plain text
 */
export function parts(text) {
  if (!MARKED.test(text)) return text === "" ? [] : [{ text, mark: null }];
  const found = [];
  let plain = "";
  for (const character of text) {
    if (!MARKED.test(character)) {
      plain += character;
      continue;
    }
    if (plain !== "") found.push({ text: plain, mark: null });
    plain = "";
    const code = /** @type {number} */ (character.codePointAt(0));
    found.push({ text: character, mark: MARKS[character] || "U+" + code.toString(16).toUpperCase().padStart(4, "0") });
  }
  if (plain !== "") found.push({ text: plain, mark: null });
  return found;
}

/**
 * @param {string|null|undefined} url
 * @returns {string|null} the address if it is http or https, else null
 */
export function safeUrl(url) {
  if (!url) return null;
  try {
    const parsed = new URL(url);
    return parsed.protocol === "http:" || parsed.protocol === "https:" ? parsed.href : null;
  } catch {
    return null;
  }
}

/**
 * The form in which texts are compared by the search: NFKC and lower case, as the server does it.
 * @param {string} text
 */
export const fold = (text) => text.normalize("NFKC").toLowerCase();

/**
 * Cuts a text into the explained pieces and what is between them.
 * @param {string} text
 * @param {{start: number, end: number, effect: number}[]} pieces positions in code points
 * @returns {{text: string, start: number, effect: number|null}[]}
 */
export function explained(text, pieces) {
  const characters = Array.from(text);
  const found = [];
  let at = 0;
  for (const piece of [...pieces].sort((a, b) => a.start - b.start)) {
    if (piece.start < at || piece.end > characters.length || piece.end <= piece.start) continue;
    if (piece.start > at) found.push({ text: characters.slice(at, piece.start).join(""), start: at, effect: null });
    found.push({ text: characters.slice(piece.start, piece.end).join(""), start: piece.start, effect: piece.effect });
    at = piece.end;
  }
  if (at < characters.length) found.push({ text: characters.slice(at).join(""), start: at, effect: null });
  return found;
}
