// Numbers and times in the language of the page. What was not measured is "N/A".

import { t } from "./i18n.js";
import { language } from "./settings.js";

/** @typedef {number|null|undefined} Maybe */

/** @param {Maybe} value */
const missing = (value) => value === null || value === undefined || !Number.isFinite(value);

/** @type {Map<string, Intl.NumberFormat>} */
const formats = new Map();

/**
 * @param {number} value
 * @param {Intl.NumberFormatOptions} options
 */
function format(value, options) {
  const name = language() + JSON.stringify(options);
  let found = formats.get(name);
  if (!found) formats.set(name, (found = new Intl.NumberFormat(language(), options)));
  return found.format(value);
}

/** @param {Maybe} value */
export const integer = (value) => (missing(value) ? t("na") : format(Number(value), { maximumFractionDigits: 0 }));

/**
 * @param {Maybe} value
 * @param {number} [digits] the most digits after the point
 */
export const number = (value, digits = 1) =>
  missing(value) ? t("na") : format(Number(value), { maximumFractionDigits: digits });

/** @param {Maybe} value a probability, always with two digits */
export const score = (value) =>
  missing(value) ? t("na") : format(Number(value), { minimumFractionDigits: 2, maximumFractionDigits: 2 });

/**
 * @param {Maybe} value a share between 0 and 1
 * @param {number} [digits]
 */
export const percent = (value, digits = 0) =>
  missing(value) ? t("na") : format(Number(value), { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits });

/** @param {Maybe} value */
export function bytes(value) {
  if (missing(value)) return t("na");
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let rest = Number(value);
  let unit = 0;
  while (rest >= 1024 && unit < units.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${format(rest, { maximumFractionDigits: rest < 10 && unit > 0 ? 1 : 0 })} ${units[unit]}`;
}

/** @param {Maybe} value */
export function milliseconds(value) {
  if (missing(value)) return t("na");
  return Number(value) >= 1000 ? seconds(Number(value) / 1000) : `${format(Number(value), { maximumFractionDigits: 0 })} ms`;
}

/** @param {Maybe} value */
export function seconds(value) {
  if (missing(value)) return t("na");
  const count = Number(value);
  /**
   * @param {number} amount
   * @param {string} unit
   */
  const write = (amount, unit) =>
    format(amount, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: amount < 10 ? 1 : 0 });
  if (count < 90) return write(count, "second");
  if (count < 5400) return write(count / 60, "minute");
  if (count < 129_600) return write(count / 3600, "hour");
  return write(count / 86_400, "day");
}

/**
 * How long ago a time was.
 * @param {string} at RFC 3339
 * @param {number} now milliseconds
 */
export function ago(at, now) {
  const count = (new Date(at).getTime() - now) / 1000;
  if (!Number.isFinite(count)) return t("na");
  const relative = new Intl.RelativeTimeFormat(language(), { style: "narrow", numeric: "always" });
  const size = Math.abs(count);
  if (size < 5) return t("now");
  if (size < 60) return relative.format(Math.round(count), "second");
  if (size < 3600) return relative.format(Math.round(count / 60), "minute");
  if (size < 86_400) return relative.format(Math.round(count / 3600), "hour");
  return relative.format(Math.round(count / 86_400), "day");
}

/** @param {string} at */
export function absolute(at) {
  const time = new Date(at);
  if (!Number.isFinite(time.getTime())) return at;
  return new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" }).format(time);
}

/** @param {number} at milliseconds */
export const clock = (at) => new Intl.DateTimeFormat(language(), { timeStyle: "medium", hourCycle: "h23" }).format(at);
