// The loop of learning, by a scripted person at the page: correct stories by keys, start a job, watch its gates, see the
// next stories labelled by the new version, roll back. The server must be `fenliu run` with a model in a registry and
// fine-tuning, and its topic must hold the planted error.
//
//   node loop.mjs --url http://127.0.0.1:PORT --label ID [--q TEXT] [--count 200] [--limit 1800] [--least 0.5] [--shots DIR]
//
// `--q` finds the stories with the planted error, `--label` is the right label. After the promotion at least the share
// `--least` of the new stories that match must have it.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launch, must, sleep, until } from "./drive.mjs";

const { values: options } = parseArgs({
  options: {
    url: { type: "string" }, label: { type: "string" }, q: { type: "string", default: "" }, count: { type: "string", default: "200" },
    limit: { type: "string", default: "1800" }, least: { type: "string", default: "0.5" }, shots: { type: "string" },
    chromium: { type: "string" },
  },
});
if (!options.url || !options.label) {
  console.error("usage: node loop.mjs --url http://127.0.0.1:PORT --label ID [--q TEXT] [--count N] [--limit SECONDS] [--least SHARE] [--shots DIR]");
  process.exit(2);
}
const base = options.url.replace(/\/$/, "");
const count = Number(options.count);
if (options.shots) mkdirSync(options.shots, { recursive: true });
const step = (text) => console.log(`ok    ${text}`);

const browser = await launch(options.chromium);
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: "en-GB" });
const page = await context.newPage();
const shot = (name) => options.shots && page.screenshot({ path: join(options.shots, `loop-${name}.png`) });
const fetchJson = (path) => page.evaluate((where) => fetch(where).then((answer) => answer.json()), `${base}/api/v1/${path}`);
const chosen = () => page.evaluate(() => document.querySelector(".stories tr.chosen")?.dataset.key ?? null);
const search = new URLSearchParams(options.q ? { q: options.q } : {}).toString();

try {
  await page.goto(`${base}/#/desk${search && "?" + search}`);
  await page.waitForSelector(".stories tbody tr", { timeout: 30_000 });
  const models = await fetchJson("models");
  const before = models.champion;
  must(before, "there is no champion");

  // Each story: search the label by typing, Enter, and the list goes on by itself.
  const start = Date.now();
  const corrected = new Set();
  await page.keyboard.press("j");
  while (corrected.size < count) {
    const key = await until("a selected story", chosen);
    if (!corrected.has(key)) {
      await page.keyboard.press("l");
      await page.waitForSelector("dialog[open]");
      await page.keyboard.type(options.label);
      await until("the label", async () => (await page.locator("[role=option][aria-selected=true]").getAttribute("id")) === `option-${options.label}`);
      await page.keyboard.press("Enter");
      await page.waitForSelector("dialog", { state: "detached" });
      corrected.add(key);
    }
    if ((await chosen()) === key) {
      // The end of what is loaded: wait for older or newer stories.
      await page.keyboard.press(".");
      await page.keyboard.press("j");
      await sleep(200);
    }
    must(Date.now() - start < 1000 * Number(options.limit), `${corrected.size} of ${count} stories were found`);
  }
  await until("the corrections to be sent", async () => (await page.locator(".note").count()) === 0, 60_000);
  const { corrections } = await fetchJson(`corrections?limit=${Math.min(1000, 2 * count)}`);
  const kept = corrections.filter(({ key, label, withdrawn }) => corrected.has(key) && label === options.label && !withdrawn).length;
  must(kept >= Math.min(count, 500), `${kept} of ${count} corrections are kept`);
  step(`${count} stories corrected by keys in ${Math.round((Date.now() - start) / 1000)} s`);
  await shot("corrected");

  await page.keyboard.press("g");
  await page.keyboard.press("m");
  const button = page.locator("section .section-head button.primary");
  await button.waitFor();
  await button.click();
  await page.waitForSelector(".job.running", { timeout: 30_000 });
  step("the job runs, and shows its stage and progress");
  await shot("running");
  const { id } = (await fetchJson("jobs")).running || (await fetchJson("jobs")).jobs[0];
  const job = await until("the end of the job", async () => (await fetchJson("jobs")).jobs.find((one) => one.id === id && one.state !== "running"), 1000 * Number(options.limit));
  must(job.state === "promoted", `${job.state}: ${job.verdict}; ${job.gates.filter(({ passed }) => !passed).map(({ name, detail }) => `${name}: ${detail}`).join("; ")}`);
  await page.locator(".job.promoted .gates li").first().waitFor();
  step(`${job.gates.length} gates passed, ${job.verdict}`);
  await shot("promoted");

  const after = await until("the new champion", async () => { const { champion } = await fetchJson("models"); return champion !== before && champion; }, 60_000);
  await page.locator(".tile code", { hasText: after.slice(-8) }).first().waitFor({ timeout: 30_000 });
  step(`the champion is ${after}, in place of ${before}`);

  const fresh = await until("stories that the new version has labelled", async () => {
    const { documents } = await fetchJson(`documents?limit=200&${search}`);
    const found = documents.filter((story) => story.model_version === after);
    return found.length >= 5 && found;
  }, 120_000);
  const right = fresh.filter(({ label }) => label === options.label).length;
  must(right >= Number(options.least) * fresh.length, `${right} of ${fresh.length} new stories have the label`);
  step(`${right} of ${fresh.length} new stories have the label ${options.label}`);

  await page.locator(".section-head button", { hasText: "Roll back" }).click();
  await page.waitForSelector("dialog[open]");
  must((await page.locator("dialog .replace").textContent()).includes(after), "the dialog does not name the champion");
  await page.fill("#reason", "end of the scripted loop");
  await shot("rollback");
  await page.locator("dialog button.primary").click();
  await until("the old champion", async () => (await fetchJson("models")).champion === before, 30_000);
  await page.locator("td", { hasText: "end of the scripted loop" }).first().waitFor({ timeout: 20_000 });
  step(`rolled back to ${before}, with the reason in the history`);
  console.log("loop: complete");
} catch (error) {
  await shot("failed");
  console.log(`FAIL  ${error.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
