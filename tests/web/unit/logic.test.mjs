import "./browser.mjs";
import assert from "node:assert/strict";
import { test } from "node:test";

const { Decisions } = await import("../../../pipeline/web/decisions.js");
const { EMPTY, NO_FILTER, admits, arrive, firstPage, nextPage, release } = await import("../../../pipeline/web/feed.js");
const { bottleneck, inOrder } = await import("../../../pipeline/web/flowwords.js");
const { labelName, ordered, search } = await import("../../../pipeline/web/labels.js");
const { parse, href } = await import("../../../pipeline/web/route.js");
const { parser } = await import("../../../pipeline/web/stream.js");
const { ulid } = await import("../../../pipeline/web/ulid.js");
const { fold } = await import("../../../pipeline/web/text.js");

const story = (key, more = {}) => ({ key, title: "t " + key, excerpt: "", label: "sports", score: 0.9, ...more });
const keys = (list) => list.map(({ key }) => key).join("");

test("the list stays while it is held, and new stories wait on top of each other", () => {
  let feed = firstPage(EMPTY, { documents: [story("b"), story("a")], next: "2", total: 9 });
  feed = arrive(feed, [story("c"), story("d"), story("a")], true);
  assert.equal(keys(feed.shown), "ba");
  assert.equal(keys(feed.waiting), "dc");
  assert.equal(feed.total, 11);
  feed = release(feed);
  assert.equal(keys(feed.shown), "dcba");
  assert.equal(feed.waiting.length, 0);
  assert.equal(keys(arrive(feed, [story("e")], false).shown), "edcba");
  assert.equal(keys(nextPage(feed, { documents: [story("a"), story("z")], next: null }).shown), "dcbaz");
});

test("stories that the stream brought before the first page stay, once", () => {
  const early = arrive(EMPTY, [story("b"), story("c")], false);
  assert.equal(keys(firstPage(early, { documents: [story("b"), story("a")], next: null, total: 2 }).shown), "cba");
});

test("when too many wait, the older ones of the list go rather than leave a hole", () => {
  const many = Array.from({ length: 1000 }, (_, at) => story(String(at)));
  let feed = arrive(firstPage(EMPTY, { documents: [story("old")], next: "x", total: 1 }), many, true);
  assert.equal(feed.waiting.length + feed.missed, 1000);
  feed = release(feed);
  assert.equal(feed.shown[0].key, "999");
  assert.ok(!feed.shown.some(({ key }) => key === "old"));
});

test("the filter of the page is that of the server", () => {
  const one = story("a", { title: "ＦＩＦＡ决赛", source: "x", language: "zh", abstained: true });
  const wanted = (filter) => admits({ ...NO_FILTER, ...filter }, one, fold);
  assert.ok(wanted({}) && wanted({ q: "fifa" }) && wanted({ label: "sports", source: "x", language: "zh", abstained: "true", max_score: "0.9" }));
  for (const filter of [{ label: "tech" }, { source: "y" }, { language: "en" }, { max_score: "0.5" }, { corrected: "true" }, { q: "nba" }]) {
    assert.ok(!wanted(filter), JSON.stringify(filter));
  }
});

const decide = (decisions, key = "a") => decisions.decide({ keys: [key], label: "tech", queue: "desk", title: key, from: "sports" });
const sleep = (time) => new Promise((done) => setTimeout(done, time));

test("a decision that is taken back in time sends nothing", async () => {
  const sent = [];
  const decisions = new Decisions({ correct: async (decision) => { sent.push(decision.ulid); return [{ ulid: decision.ulid }]; }, withdraw: async (name) => sent.push("-" + name), wait: 20 });
  decide(decisions);
  await decisions.undo();
  await sleep(40);
  assert.deepEqual(sent, []);
  const kept = decide(decisions);
  await sleep(40);
  assert.deepEqual(sent, [kept.ulid]);
  assert.equal(decisions.about("a").state, "sent");
  await decisions.undo();
  assert.deepEqual(sent, [kept.ulid, "-" + kept.ulid]);
  assert.equal(decisions.about("a"), null);
  assert.ok(decisions.tookBack("a"));
  assert.equal(await decisions.undo(), null);
});

test("a second thought replaces the first, a flush sends at once, a failure can be tried again", async () => {
  const sent = [];
  let works = true;
  const decisions = new Decisions({ correct: async ({ ulid: name, label }, keepalive) => { if (!works) throw new Error("no"); sent.push([label, keepalive]); return [{ ulid: name }]; }, withdraw: async () => undefined, wait: 30 });
  decide(decisions);
  decisions.decide({ keys: ["a"], label: "world", queue: "desk", title: "a", from: "sports" });
  decisions.flush();
  await sleep(50);
  assert.deepEqual(sent, [["world", true]]);
  works = false;
  const failed = decide(decisions, "b");
  await sleep(50);
  assert.equal(failed.state, "failed");
  assert.equal(failed.error, "no");
  works = true;
  await decisions.send(failed, false);
  assert.equal(failed.state, "sent");
  assert.equal(sent.length, 2);
});

test("alike stories are withdrawn all together", async () => {
  const withdrawn = [];
  const decisions = new Decisions({ correct: async () => [{ ulid: "1" }, { ulid: "2" }], withdraw: async (name) => withdrawn.push(name), wait: 1 });
  decisions.decide({ keys: ["a", "b"], label: "tech", queue: "alike", title: "a", from: "sports" });
  await sleep(20);
  await decisions.undo();
  assert.deepEqual(withdrawn, ["1", "2"]);
});

const LABELS = [{ id: "finance", names: { zh: "财经", en: "Finance" } }, { id: "stock", names: { zh: "股票", en: "Stock market" } }, { id: "sports", names: {} }];

test("labels are found by id and by every name, and ordered by probability", () => {
  assert.deepEqual(search(LABELS, "股").map(({ id }) => id), ["stock"]);
  assert.deepEqual(search(LABELS, "S").map(({ id }) => id), ["stock", "sports"]);
  assert.deepEqual(search(LABELS, "market").map(({ id }) => id), ["stock"]);
  assert.deepEqual(search(LABELS, "xyz"), []);
  assert.equal(search(LABELS, " ").length, 3);
  assert.deepEqual(ordered(LABELS, [{ label: "sports", score: 0.9 }]).map(({ id }) => id), ["sports", "finance", "stock"]);
  assert.deepEqual(ordered(LABELS, undefined).map(({ score }) => score), [null, null, null]);
  assert.equal(labelName(LABELS, "sports", "zh"), "sports");
  assert.equal(labelName(LABELS, "stock", "zh"), "股票");
});

test("the bottleneck is the first stage after those that wait to hand on", () => {
  const stage = (name, busy, blocked) => ({ name, busy, blocked, idle: 1 - busy - blocked, queue: 0, documents: 0 });
  const calm = { name: "files", failing_since: null };
  assert.deepEqual(bottleneck([stage("source", 0.2, 0.5), stage("model", 0.95, 0), stage("sink", 0.1, 0)], [calm]), { kind: "stage", stage: "model", busy: 0.95, full: true });
  assert.equal(bottleneck([stage("source", 0.2, 0), stage("model", 0.4, 0)], [calm]).kind, "idle");
  assert.deepEqual(bottleneck([stage("source", 0.2, 0.6), stage("write", 0, 0.9), stage("sink", 0.1, 0)], [{ name: "delta", failing_since: "t" }]), { kind: "sink", sink: "delta" });
  assert.equal(bottleneck([], []).kind, "none");
});

test("the stream may be cut anywhere", () => {
  const text = 'id: 7\nevent: documents\ndata: {"a":\ndata: 1}\n\n: comment\r\n\r\ndata: x\r\n\r\nevent: status\r\ndata: y\n\n';
  const whole = [];
  parser((frame) => whole.push(frame))(text);
  assert.deepEqual(whole.map(({ event, data }) => [event, data]), [["documents", '{"a":\n1}'], ["message", "x"], ["status", "y"]]);
  assert.equal(whole[0].id, "7");
  const pieces = [];
  const feed = parser((frame) => pieces.push(frame));
  for (const character of text) feed(character);
  assert.deepEqual(pieces, whole);
});

test("addresses of screens go there and back", () => {
  assert.deepEqual(parse(""), { screen: "desk", params: {} });
  assert.deepEqual(parse(href("desk", { q: "股市 & co", label: "" })), { screen: "desk", params: { q: "股市 & co" } });
});

test("a ULID has its time in front, and differs from the next", () => {
  assert.match(ulid(), /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/);
  assert.equal(ulid(1469918176385).slice(0, 10), "01ARYZ6S41");
  assert.notEqual(ulid(1), ulid(1));
});

test("sinks come last and once, wherever the server lists them", () => {
  assert.deepEqual(inOrder(["source", "sink", "sink", "model", "write"].map((name) => ({ name }))).map(({ name }) => name), ["source", "model", "write", "sink"]);
});
