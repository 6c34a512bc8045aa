// What the scripts that drive a browser share.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

/** @param {string} [path] of Chromium; where Debian puts it if none is given */
export const launch = (path) => chromium.launch({
  executablePath: path || ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync),
  args: ["--no-sandbox"],
});

export const sleep = (time) => new Promise((done) => setTimeout(done, time));

export const must = (condition, text) => {
  if (!condition) throw new Error(text);
};

/** How many times longer than usual a machine may take that does other work beside. */
export const patience = Number(process.env.FENLIU_PATIENCE ?? "1");

/** Asks until the answer is true or something, and returns it. */
export async function until(what, condition, limit = 10_000) {
  const end = Date.now() + limit * patience;
  for (;;) {
    const found = await condition();
    if (found) return found;
    must(Date.now() < end, `waited ${(limit * patience) / 1000} s for ${what}`);
    await sleep(50);
  }
}
