// Which stage holds the flow, as a finding that the page puts into words.

/**
 * @typedef {{kind: "sink", sink: string} | {kind: "stage", stage: string, busy: number, full: boolean}
 *   | {kind: "idle", stage: string, busy: number} | {kind: "none"}} Finding
 */

/**
 * The stages in the order in which documents pass them. Sinks work beside each other and come last, once for each name,
 * in whatever order the server lists them.
 * @param {import("./types.js").Stage[]} stages
 */
export function inOrder(stages) {
  const known = new Set();
  const once = stages.filter(({ name }) => !known.has(name) && known.add(name));
  return [...once.filter(({ name }) => !name.startsWith("sink")), ...once.filter(({ name }) => name.startsWith("sink"))];
}

/** Below this share of the time a busiest stage holds nothing up. */
const BUSY = 0.8;

/**
 * @param {import("./types.js").Stage[]} stages
 * @param {import("./types.js").Sink[]} sinks
 * @returns {Finding}
 */
export function bottleneck(stages, sinks) {
  const failing = sinks.find((sink) => sink.failing_since);
  // Stages that wait to hand on point at what follows them: the bottleneck is the first after the last of them.
  const lastBlocked = stages.findLastIndex((stage) => stage.blocked > 0.1);
  if (failing && (lastBlocked < 0 || lastBlocked >= stages.length - 2)) return { kind: "sink", sink: failing.name };
  if (stages.length === 0) return { kind: "none" };
  if (lastBlocked >= 0 && lastBlocked < stages.length - 1) {
    const stage = stages[lastBlocked + 1];
    return { kind: "stage", stage: stage.name, busy: stage.busy, full: true };
  }
  const busiest = stages.reduce((a, b) => (b.busy > a.busy ? b : a));
  const { name, busy } = busiest;
  return busy >= BUSY ? { kind: "stage", stage: name, busy, full: false } : { kind: "idle", stage: name, busy };
}
