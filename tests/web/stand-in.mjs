// A STAND-IN for the server of fenliu, only for work on the page: no pipeline runs, no model predicts, no number is
// measured. It answers the HTTP contract from memory, with headlines and articles of the data beside the repository;
// "scores" are made up from the label that the data set gives. Nothing of it ships.
//
//   node stand-in.mjs [--port 0] [--rate 1.5] [--fill 60] [--role operator] [--token SECRET] [--dark jobs,explain] [--idle]

import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ulid } from "../../pipeline/web/ulid.js";

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "0" }, rate: { type: "string", default: "1.5" }, fill: { type: "string", default: "60" },
    role: { type: "string", default: "operator" }, token: { type: "string" }, dark: { type: "string", default: "" },
    idle: { type: "boolean", default: false }, data: { type: "string" },
  },
});
const here = fileURLToPath(new URL(".", import.meta.url));
const web = resolve(here, "../../pipeline/web");
const data = resolve(options.data || join(here, "../../../shared/data"));
if (!existsSync(join(data, "labels.json"))) {
  console.error(`SKIPPED: there is no news data in ${data}; give its place with --data`);
  process.exit(77);
}

// Every run is the same: a small generator of pseudo-random numbers with a fixed start.
let seed = 20240611;
const random = () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const pick = (list) => list[Math.floor(random() * list.length)];

const LABELS = JSON.parse(readFileSync(join(data, "labels.json"), "utf8")).map(({ label, zh, en }) => ({ id: label, names: { zh, en } }));
const NEAR = { sports: "entertainment", finance: "stock", stock: "finance", tech: "finance", politics: "world", world: "politics",
  military: "world", entertainment: "fashion", game: "tech", society: "education", education: "society", realty: "finance",
  travel: "culture", culture: "travel", health: "society", auto: "tech", fashion: "entertainment", home: "realty",
  agriculture: "finance", story: "society", geography: "travel" };

async function rows(file, limit) {
  const found = [];
  let at = 0;
  for await (const line of createInterface({ input: createReadStream(join(data, file)) })) {
    at += 1;
    if (at % 7 !== 3) continue;
    found.push(JSON.parse(line));
    if (found.length >= limit) break;
  }
  return found;
}
const tidy = (text) => text.replace(/&nbsp;/g, " ").replace(/&#?\w+;|#\d+;/g, "").replace(/[\u3000\u00a0]+/g, " ").replace(/\\+/g, " ").trim();
const SOURCES = { zh: ["新华社", "财新网", "澎湃新闻", "体坛周报", "界面新闻", "中国青年报", "第一财经"], en: ["BBC", "Reuters", "AP", "The Guardian", "Financial Times"] };
const news = [];
const add = (row, language, title, body) => news.push({ label: row.label, language, title: tidy(title), body: tidy(body) });
for (const row of await rows("articles_zh_cnews.jsonl", 60)) {
  const text = tidy(row.text);
  const cut = text.search(/[\s。！]/);
  add(row, "zh", text.slice(0, cut > 8 && cut < 40 ? cut : 26), text.slice(cut > 8 && cut < 40 ? cut : 26).replace(/([。！？”])(?=.{40})/g, "$1\n").replace(/\n(?=.{0,60}\n)/g, ""));
}
for (const row of await rows("articles_en_bbc.jsonl", 130)) add(row, "en", row.title, row.body);
for (const row of await rows("briefs_en_agnews.jsonl", 130)) add(row, "en", row.title, row.body);
for (const row of await rows("headlines_zh_thucnews.jsonl", 220)) add(row, "zh", row.text, "");
for (const row of await rows("headlines_zh_toutiao.jsonl", 160)) add(row, "zh", row.text, "");
for (let at = news.length - 1; at > 0; at--) {
  const other = Math.floor(random() * (at + 1));
  [news[at], news[other]] = [news[other], news[at]];
}

// Texts that try to do something to the page. They must stay texts.
const HOSTILE = [
  { label: "tech", language: "en", title: "<script>document.title='owned'</script> Headline with markup", body: "<img src=x onerror=\"document.title='owned'\">\n<style>body{display:none}</style>", url: "javascript:document.title='owned'" },
  { label: "society", language: "en", title: "Transfer \u202E0001\u202C euro by \u2066tomorrow\u2069", body: "The amount above is written with a right-to-left override.", url: "data:text/html,<script>1</script>" },
];

const MODEL = ulid(Date.now() - 5 * 86_400_000);
const CANDIDATE = ulid(Date.now() - 3 * 3_600_000);
const OLDER = ulid(Date.now() - 40 * 86_400_000);
const started = Date.now() - 5_400_000;
const state = { docs: [], byKey: new Map(), seq: 0, corrections: [], received: 184_210, skipped: 0, champion: MODEL, previous: OLDER,
  history: [{ at: iso(Date.now() - 4 * 86_400_000), alias: "champion", from: OLDER, to: MODEL, by: "ada", reason: "+1.8 points on the test rows of May" }],
  audits: { answered: 41, right: 37 }, job: null, jobs: [], swaps: 1, rollbacks: 0 };
function iso(time) { return new Date(time).toISOString(); }

function makeDocument(row, at) {
  const seq = ++state.seq;
  const partition = seq % 3;
  const roll = random();
  const runner = NEAR[row.label] || "society";
  const wrong = roll < 0.09;
  const top = wrong ? 0.36 + random() * 0.28 : roll < 0.22 ? 0.35 + random() * 0.25 : 0.72 + random() * 0.275;
  const second = Math.min(1 - top, top - 0.01, (1 - top) * (0.5 + random() * 0.45));
  const others = LABELS.map(({ id }) => id).filter((id) => id !== row.label && id !== runner).sort(() => random() - 0.5).slice(0, 4);
  let left = 1 - top - second;
  const scored = [{ label: wrong ? runner : row.label, score: top }, { label: wrong ? row.label : runner, score: second },
    ...others.map((label) => { const score = left * 0.5; left -= score; return { label, score }; })].map(({ label, score }) => ({ label, score: Math.round(score * 1e4) / 1e4 }));
  const source = pick(SOURCES[row.language]);
  const document = {
    key: `news/${partition}/${51_000 + Math.floor(seq / 3)}`, topic: "news", partition, offset: 51_000 + Math.floor(seq / 3), seq,
    id: `a-${seq}`, source, url: row.url || `https://example.org/${row.language}/${seq}`, language: row.language,
    title: row.title, excerpt: row.body.slice(0, 200), published_at: iso(at - 20_000 - random() * 400_000), received_at: iso(at),
    label: scored[0].label, score: scored[0].score, margin: scored[0].score - scored[1].score, labels: scored,
    abstained: scored[0].score < 0.4, model_version: state.champion, near_duplicates: row.near || 0, correction: null,
  };
  const hidden = { body: row.body, alike: row.alike || [], audit: random() < 0.1, disagreement: random() < 0.05 };
  state.docs.push(document);
  state.byKey.set(document.key, { document, hidden });
  state.received += 1;
  if (state.docs.length > 3000) state.byKey.delete(state.docs.shift().key);
  return document;
}
let cursor = 0;
/** The next row; now and then a story comes again, a little changed, so that there are near duplicates. */
function next(at) {
  if (cursor > 20 && random() < 0.06) {
    const twin = state.docs[state.docs.length - 1 - Math.floor(random() * 15)];
    const { hidden } = state.byKey.get(twin.key);
    if (!/<|\u202e|更新|update/.test(twin.title)) {
      const row = { label: twin.label, language: twin.language, title: twin.title + (twin.language === "zh" ? "（更新）" : " - update"), body: hidden.body, near: 1 };
      const again = makeDocument(row, at);
      const link = (document, similarity) => ({ key: document.key, title: document.title, label: document.label, why: "near_duplicate", similarity });
      state.byKey.get(again.key).hidden.alike = [link(twin, 0.94), ...hidden.alike].slice(0, 5);
      hidden.alike = [link(again, 0.94), ...hidden.alike].slice(0, 5);
      twin.near_duplicates += 1;
      return again;
    }
  }
  const special = cursor === 12 || cursor === 17 ? HOSTILE[cursor === 12 ? 0 : 1] : null;
  const row = special || news[cursor % news.length];
  cursor += 1;
  return makeDocument(row, at);
}
const fill = Number(options.fill);
for (let at = 0; at < fill; at++) next(Date.now() - (fill - at) * 9000);
for (let at = 0; at < 60 && fill > 0; at++) {
  const { document } = state.byKey.get(pick(state.docs).key);
  const label = random() < 0.35 ? document.label : document.labels[1].label;
  const time = Date.now() - random() * 6 * 86_400_000;
  state.corrections.push({ ulid: ulid(time), key: document.key, id: document.id, title: document.title, label, predicted: document.label, by: pick(["ada", "林溪", "grace"]), at: iso(time), queue: "uncertain", withdrawn: false });
}
state.corrections.sort((a, b) => (a.at < b.at ? 1 : -1));

const LETTERS = [
  ["decode", "invalid_json", "expected `,` or `}` at line 1 column 87", '{"id":"a-77","title":"Markets close higher","body":"Shares rose on Fri'],
  ["decode", "invalid_utf8", "byte 0xb9 at 12 is not UTF-8; the producer may have written GBK", "title=\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd"],
  ["clean", "language", "detected `fr`, which `[clean] languages` does not list", '{"title":"Le gouvernement présente son budget","body":"…"}'],
  ["clean", "empty_text", "nothing is left of the text after cleaning", '{"title":"","body":"<div class=\\"ad\\"></div>"}'],
  ["write", "too_large", "the row has 1,204,311 bytes; the topic takes 1,048,576", null],
];
const letterCounts = [412, 37, 96, 14, 3];
const letters = Array.from({ length: 24 }, (_, at) => {
  const [stage, reason, detail, text] = LETTERS[[0, 2, 0, 1, 0, 3, 0, 2, 4][at % 9]];
  const raw = text === null ? null : Buffer.from(text);
  return { key: `news/${at % 3}/${50_120 - at * 7}`, stage, reason, detail, at: iso(Date.now() - at * 340_000), text, hex: raw && raw.toString("hex"), bytes: raw ? raw.length : 1_204_311 };
});
const DARK = { feed: "`[http] feed` is not set, so no texts are kept", corrections: "`[finetune] feedback` names no place for corrections", review: "`[finetune] feedback` names no place for corrections",
  explain: "`[http] explain` is false", models: "`[model] name` is not set: the model is a directory without versions", jobs: "`[finetune]` is not set", dead_letters: "`[dead_letters] type` is `none`" };
const dark = Object.fromEntries(options.dark.split(",").filter(Boolean).map((name) => [name, DARK[name] || name]));

const loads = { source: 0.18, clean: 0.34, tokenize: 0.22, model: options.idle ? 0.4 : 0.94, write: 0.11, sink: 0.16 };
const counts = Object.fromEntries(Object.keys(loads).map((name) => [name, 182_000]));
const clamp = (value) => Math.round(Math.min(1, Math.max(0, value)) * 1000) / 1000;
function statusBody(identity) {
  const wobble = () => (random() - 0.5) * 0.05;
  const mix = new Map();
  const scores = Array(10).fill(0);
  for (const { label, score } of state.docs) {
    mix.set(label, (mix.get(label) || 0) + 61);
    scores[Math.min(9, Math.floor(score * 10))] += 61;
  }
  return {
    name: "stand-in", version: "0.0.0-stand-in", started_at: iso(started), now: iso(Date.now()), identity,
    model: { name: "news", version: state.champion, alias: "champion", device: "cpu" }, labels: LABELS,
    documents: { received: state.received, labelled: state.received - 562, abstained: Math.round(state.received * 0.031), dead_letters: letterCounts.reduce((a, b) => a + b), deletions: 2 },
    docs_per_s: options.idle ? Number(options.rate) : 412 + random() * 30, latency_ms: { p50: 38 + random() * 6, p99: 170 + random() * 50 },
    stages: Object.entries(loads).map(([name, load]) => {
      const busy = clamp(load + wobble());
      const blocked = options.idle || ["model", "write", "sink"].includes(name) ? 0 : clamp(Math.min(1 - busy, 0.42 + wobble()));
      return { name, busy, blocked, idle: clamp(1 - busy - blocked), queue: name === "source" ? null : name === "model" && !options.idle ? 4 : name === "tokenize" ? 2 : 0, documents: counts[name] };
    }),
    memory: { used_bytes: 91_000_000 + random() * 9_000_000, budget_bytes: 268_435_456 },
    partitions: [0, 1, 2].map((partition) => ({ topic: "news", partition, position: 51_000 + Math.floor(state.seq / 3), end: 51_003 + Math.floor(state.seq / 3), lag_documents: 3, lag_seconds: 0.4 + partition * 0.3 })),
    sinks: [{ name: "files", commits: 1204, failures: 0, pending_documents: 312, last_commit_at: iso(Date.now() - 4000), failing_since: null, last_error: null },
      { name: "kafka", commits: 5310, failures: 2, pending_documents: 20, last_commit_at: iso(Date.now() - 900), failing_since: null, last_error: "Message timed out (12:04)" }],
    drift: [{ signal: "length", index: 0.031 + random() * 0.01, drifting: false }, { signal: "unknown", index: 0.244 + random() * 0.02, drifting: true }, { signal: "confidence", index: 0.08 + random() * 0.01, drifting: false }, { signal: "labels", index: null, drifting: false }],
    label_mix: [...mix].map(([label, documents]) => ({ label, documents })), scores,
    dead_letters: LETTERS.map(([stage, reason], at) => ({ stage, reason, documents: letterCounts[at] })),
    audits: { ...state.audits, ...wilson(state.audits) }, shadow: { compared: 4120, disagreeing: 171, dropped: 12 }, serving: { swaps: state.swaps, rollbacks: state.rollbacks, reload_failures: 0 },
    health: { live: true, ready: true, degraded: [] }, dark,
  };
}
setInterval(() => {
  for (const name of Object.keys(counts)) counts[name] += options.idle ? 2 : 410 + Math.floor(random() * 30);
  state.received += options.idle ? 0 : 400;
}, 1000);

const streams = new Set();
const send = (stream, event, body, id) => stream.response.write(`event: ${event}\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(body)}\n\n`);
const rate = Number(options.rate);
if (rate > 0) setInterval(() => {
  const fresh = next(Date.now());
  for (const stream of streams) send(stream, "documents", { documents: [fresh], skipped: options.idle ? 0 : Math.floor(random() * 400) }, fresh.seq);
}, 1000 / rate);
setInterval(() => { for (const stream of streams) send(stream, "status", statusBody(stream.identity)); }, 1000);

class Refusal extends Error {
  constructor(status, detail) { super(detail); this.status = status; }
}
const find = (key) => state.byKey.get(key) || (() => { throw new Refusal(404, `${key} is not among the stories that are kept`); })();
const latest = (key) => state.corrections.find((one) => one.key === key && !one.withdrawn) || null;
const shown = (document) => ({ ...document, correction: latest(document.key) });
const fold = (text) => text.normalize("NFKC").toLowerCase();
const wilson = ({ answered: n, right }) => {
  const z = 1.96, p = right / n, middle = (p + (z * z) / (2 * n)) / (1 + (z * z) / n), half = (z / (1 + (z * z) / n)) * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  return { low: middle - half, high: middle + half };
};
function select(query) {
  const wanted = (name) => query.get(name) || "";
  return state.docs.filter((document) => (!wanted("label") || document.label === wanted("label")) && (!wanted("source") || document.source === wanted("source"))
    && (!wanted("language") || document.language === wanted("language")) && (!wanted("max_score") || document.score <= Number(wanted("max_score")))
    && (!wanted("abstained") || document.abstained) && (!wanted("corrected") || latest(document.key))
    && (!wanted("q") || fold(document.title + "\n" + state.byKey.get(document.key).hidden.body).includes(fold(wanted("q")))));
}
function reviewQueue(limit) {
  const covered = new Set();
  const found = [];
  let waiting = 0;
  const candidates = state.docs.filter((document) => !state.corrections.some((one) => one.key === document.key));
  candidates.sort((a, b) => a.margin - b.margin);
  for (const document of candidates) {
    const { hidden } = state.byKey.get(document.key);
    const queue = hidden.audit ? "audit" : document.abstained ? "abstained" : hidden.disagreement ? "disagreement" : document.margin < 0.35 ? "uncertain" : null;
    if (!queue) continue;
    waiting += 1;
    if (covered.has(document.key) || found.length >= limit) continue;
    covered.add(document.key);
    for (const { key } of hidden.alike) covered.add(key);
    const { label, score, margin, labels, abstained, ...blind } = document;
    found.push({ document: queue === "audit" ? blind : document, queue });
  }
  // Audits are spread among the others.
  const audits = found.filter((item) => item.queue === "audit");
  const rest = found.filter((item) => item.queue !== "audit");
  const items = [];
  while (rest.length + audits.length > 0) {
    items.push(...rest.splice(0, 3));
    if (audits.length > 0) items.push(audits.shift());
  }
  return { items, waiting, audits: { ...state.audits, ...wilson(state.audits) } };
}
function correct(body, identity) {
  if (!body.ulid || !LABELS.some(({ id }) => id === body.label)) throw new Refusal(422, `\`${body.label}\` is not a label of the model`);
  const make = (key) => {
    const known = state.corrections.find((one) => one.ulid === body.ulid && one.key === key);
    if (known) return known;
    const { document } = find(key);
    const correction = { ulid: body.ulid, key, id: document.id, title: document.title, label: body.label, predicted: document.label, by: identity.name, at: iso(Date.now()), queue: body.queue, withdrawn: false };
    state.corrections.unshift(correction);
    if (body.queue === "audit") {
      state.audits.answered += 1;
      if (document.label === body.label) state.audits.right += 1;
    }
    return correction;
  };
  return body.keys ? { corrections: body.keys.map(make) } : make(body.key);
}
function explain(key) {
  const { document, hidden } = find(key);
  const text = document.title + "\n" + hidden.body;
  const segmenter = new Intl.Segmenter(document.language, { granularity: "word" });
  const pieces = [];
  let at = 0;
  for (const { segment, isWordLike } of segmenter.segment(text.slice(0, 400))) {
    const length = Array.from(segment).length;
    if (isWordLike && random() < 0.4) pieces.push({ text: segment, start: at, end: at + length, effect: Math.round((random() ** 3 - 0.12) * 430) / 1000 });
    at += length;
  }
  return { method: "occlusion", label: document.label, score: document.score, pieces };
}
function changeChampion(to, from, reason, identity) {
  state.history.unshift({ at: iso(Date.now()), alias: "champion", from, to, by: identity.name, reason });
  state.previous = from;
  state.champion = to;
  state.swaps += 1;
  return { champion: to };
}
function expectChampion(body) {
  if (!body.reason) throw new Refusal(422, "a reason is needed");
  if (body.expected_champion !== state.champion) throw new Refusal(409, `the champion is ${state.champion}, not ${body.expected_champion}`);
}
const versions = () => [
  { version: CANDIDATE, created_at: iso(Date.now() - 3 * 3_600_000), accuracy: 0.9312, macro_f1: 0.917, test_rows: 4210, origin: "finetune", has_report: true },
  { version: MODEL, created_at: iso(Date.now() - 5 * 86_400_000), accuracy: 0.9244, macro_f1: 0.909, test_rows: 4210, origin: "finetune", has_report: true },
  { version: OLDER, created_at: iso(Date.now() - 40 * 86_400_000), accuracy: 0.9061, macro_f1: 0.887, test_rows: 3800, origin: "train", has_report: true },
  { version: ulid(1_700_000_000_000).slice(0, 10) + "0000000000000000", created_at: iso(Date.now() - 200 * 86_400_000), accuracy: null, macro_f1: null, test_rows: null, origin: "import", has_report: false },
].map((one) => ({ ...one, aliases: [one.version === state.champion && "champion", one.version === CANDIDATE && state.champion !== CANDIDATE && "challenger"].filter(Boolean) }));
const STAGES = ["snapshot", "split", "check", "train", "calibrate", "evaluate", "publish", "promote"];
state.jobs.push({ id: ulid(Date.now() - 4 * 3_600_000), state: "refused", started_at: iso(Date.now() - 4 * 3_600_000), ended_at: iso(Date.now() - 3.8 * 3_600_000), stage: "done", progress: null, verdict: "not promoted: one gate failed",
  gates: [{ name: "accuracy", passed: true, detail: "+0.7 points, 95 % interval from +0.1" }, { name: "worst label", passed: false, detail: "`fashion` falls by 4.1 points, at most 3 are allowed" }], version: null, log: ["snapshot: 214 corrections", "train: 3 epochs", "evaluate: 4,210 rows"] });
function startJob() {
  if (state.job) throw new Refusal(409, `job ${state.job.id} is running`);
  state.job = { id: ulid(), state: "running", started_at: iso(Date.now()), ended_at: null, stage: "snapshot", progress: 0, verdict: null, gates: [], version: null, log: [] };
  const { job } = { job: state.job };
  let step = 0;
  const timer = setInterval(() => {
    step += 1;
    job.stage = STAGES[Math.min(STAGES.length - 1, Math.floor(step / 3))];
    job.progress = Math.min(0.99, step / (3 * STAGES.length));
    job.log.push(`${job.stage}: step ${step}`);
    job.log = job.log.slice(-8);
    if (step === 19) job.gates = [{ name: "accuracy", passed: true, detail: "+1.2 points, 95 % interval from +0.4" }, { name: "worst label", passed: true, detail: "`fashion` falls by 0.6 points" }];
    if (step < 3 * STAGES.length) return;
    clearInterval(timer);
    Object.assign(job, { state: "promoted", ended_at: iso(Date.now()), progress: null, stage: "done", verdict: "promoted: all gates passed", version: CANDIDATE });
    if (state.champion !== CANDIDATE) changeChampion(CANDIDATE, state.champion, `job ${job.id}`, { name: "fenliu" });
    state.jobs.unshift(job);
    state.job = null;
  }, 1000);
  return job;
}

const RANK = { viewer: 0, editor: 1, operator: 2 };
async function answer(request, url, identity) {
  const path = decodeURIComponent(url.pathname.slice("/api/v1".length));
  const need = (role) => { if (RANK[identity.role] < RANK[role]) throw new Refusal(403, `this needs the role \`${role}\``); };
  let body = null;
  if (request.method === "POST") {
    if (!/^application\/json/.test(request.headers["content-type"] || "")) throw new Refusal(415, "send application/json");
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    body = JSON.parse(Buffer.concat(chunks).toString() || "{}");
  }
  const route = `${request.method} ${path}`;
  const query = url.searchParams;
  const limit = Number(query.get("limit") || 50);
  if (route === "GET /status") return [200, statusBody(identity)];
  if (route === "GET /documents") {
    const found = select(query);
    found.sort(query.get("order") === "uncertain" ? (a, b) => a.margin - b.margin : (a, b) => b.seq - a.seq);
    const from = Number(query.get("cursor") || 0);
    return [200, { documents: found.slice(from, from + limit).map(shown), next: from + limit < found.length ? String(from + limit) : null, total: found.length }];
  }
  const one = /^(GET|POST) \/documents\/([^/]+\/\d+\/\d+)(\/explain)?$/.exec(route);
  if (one && one[1] === "GET" && !one[3]) {
    const { document, hidden } = find(one[2]);
    if (query.get("blind") === "true") {
      const { label, score, margin, labels, abstained, correction, ...blind } = shown(document);
      return [200, { ...blind, body: hidden.body }];
    }
    return [200, { ...shown(document), body: hidden.body, alike: hidden.alike, corrections: state.corrections.filter(({ key }) => key === one[2]) }];
  }
  if (one && one[1] === "POST" && one[3]) {
    await new Promise((done) => setTimeout(done, 350));
    return [200, explain(one[2])];
  }
  if (route === "GET /review") { need("editor"); return [200, reviewQueue(limit)]; }
  if (route === "POST /corrections") { need("editor"); return [201, correct(body, identity)]; }
  if (route === "GET /corrections") {
    const cells = new Map();
    for (const { predicted, label, withdrawn } of state.corrections) if (!withdrawn) cells.set(predicted + "\n" + label, (cells.get(predicted + "\n" + label) || 0) + 1);
    return [200, { corrections: state.corrections.filter((one) => (!query.get("predicted") || one.predicted === query.get("predicted")) && (!query.get("label") || one.label === query.get("label"))).slice(0, limit), confusion: [...cells].map(([name, count]) => ({ predicted: name.split("\n")[0], label: name.split("\n")[1], count })) }];
  }
  const back = /^POST \/corrections\/([^/]+)\/withdraw$/.exec(route);
  if (back) {
    need("editor");
    const batch = state.corrections.filter((known) => known.ulid === back[1]);
    if (batch.length === 0) throw new Refusal(404, `there is no correction ${back[1]}`);
    for (const correction of batch) correction.withdrawn = true;
    return [201, batch.length === 1 ? batch[0] : { corrections: batch }];
  }
  if (route === "POST /predict") {
    const label = pick(LABELS).id;
    const labels = [{ label, score: 0.81 }, { label: NEAR[label] || "society", score: 0.11 }, { label: "world", score: 0.03 }];
    return [200, { model_version: state.champion, predictions: body.texts.map(() => ({ ...labels[0], labels, abstained: false })) }];
  }
  if (route === "GET /models") return [200, { name: "news", champion: state.champion, challenger: state.champion === CANDIDATE ? null : CANDIDATE, previous: state.previous, versions: versions(), history: state.history }];
  if (route === "POST /models/promote") { need("operator"); expectChampion(body); return [200, changeChampion(body.version, state.champion, body.reason, identity)]; }
  if (route === "POST /models/rollback") { need("operator"); expectChampion(body); state.rollbacks += 1; return [200, changeChampion(state.previous, state.champion, body.reason, identity)]; }
  if (route === "GET /jobs") return [200, { configured: !dark.jobs, running: state.job, jobs: state.jobs }];
  if (route === "POST /jobs") { need("operator"); return [202, startJob()]; }
  if (route === "GET /dead-letters") {
    const match = (letter) => (!query.get("stage") || letter.stage === query.get("stage")) && (!query.get("reason") || letter.reason === query.get("reason"));
    return [200, { counts: LETTERS.map(([stage, reason], at) => ({ stage, reason, documents: letterCounts[at] })), samples: letters.filter(match).slice(0, limit) }];
  }
  throw new Refusal(404, "there is no such route");
}

const HEADERS = { "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin" };
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml" };
const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://stand-in");
  const json = (status, body, type = "application/json") => response.writeHead(status, { ...HEADERS, "Content-Type": type, "Cache-Control": "no-store" }).end(body === null ? "" : JSON.stringify(body));
  try {
    if (!url.pathname.startsWith("/api/")) {
      const path = normalize(url.pathname === "/" ? "/index.html" : url.pathname);
      const file = join(web, path);
      if (!file.startsWith(web) || !existsSync(file) || !statSync(file).isFile()) return void response.writeHead(404, HEADERS).end();
      return void response.writeHead(200, { ...HEADERS, "Content-Type": TYPES[extname(file)] || "text/plain; charset=utf-8", "Cache-Control": "no-cache" }).end(readFileSync(file));
    }
    const cookie = /session=([^;]+)/.exec(request.headers.cookie || "")?.[1];
    if (options.token && url.pathname === "/api/v1/login") {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      if (JSON.parse(Buffer.concat(chunks).toString()).token !== options.token) throw new Refusal(401, "this token is not known");
      response.setHeader("Set-Cookie", "session=ok; HttpOnly; SameSite=Strict; Path=/");
      return void json(204, null);
    }
    if (options.token && url.pathname === "/api/v1/logout") {
      response.setHeader("Set-Cookie", "session=; Max-Age=0; Path=/");
      return void json(204, null);
    }
    if (options.token && cookie !== "ok") throw new Refusal(401, "log in first");
    const identity = { name: options.token ? "ada" : "local", role: options.role, mode: options.token ? "token" : "none" };
    if (url.pathname === "/api/v1/events") {
      response.writeHead(200, { ...HEADERS, "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
      const stream = { response, identity };
      const last = Number(request.headers["last-event-id"]);
      if (request.headers["last-event-id"]) {
        const missed = state.docs.filter(({ seq }) => seq > last);
        if (missed.length > 0) send(stream, "documents", { documents: missed, skipped: 0 }, missed.at(-1).seq);
      }
      send(stream, "status", statusBody(identity));
      streams.add(stream);
      response.on("close", () => streams.delete(stream));
      return;
    }
    const report = /^\/api\/v1\/models\/versions\/(\w+)\/report$/.exec(url.pathname);
    if (report) return void response.writeHead(200, { ...HEADERS, "Content-Type": TYPES[".html"] }).end(`<!doctype html><title>stand-in</title><p>Stand-in: the report of ${report[1]} would be here.`);
    json(...(await answer(request, url, identity)));
  } catch (error) {
    const status = error instanceof Refusal ? error.status : 500;
    json(status, { type: "about:blank", title: String(status), status, detail: error.message }, "application/problem+json");
    if (status === 500) console.error(error);
  }
});
server.listen(Number(options.port), "127.0.0.1", () => {
  console.log("STAND-IN SERVER: no pipeline and no model run here; every number is made up.");
  console.log(`http://127.0.0.1:${server.address().port}`);
});
