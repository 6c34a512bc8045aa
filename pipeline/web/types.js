// The shapes of the HTTP contract, for the type checker. This module has no code.

/** @typedef {{id: string, names: Record<string, string>}} Label */
/** @typedef {{label: string, score: number}} Scored */
/** @typedef {"desk"|"uncertain"|"disagreement"|"abstained"|"audit"|"alike"} Queue */
/**
 * @typedef {{ulid: string, key: string, id?: string|null, title?: string|null, label: string, predicted?: string|null,
 *   by?: string|null, at: string, queue: Queue, withdrawn: boolean}} Correction
 */
/**
 * A labelled story. In an audit of the review queue the model's fields are absent.
 * @typedef {{key: string, topic: string, partition: number, offset: number, seq: number, id: string|null,
 *   source: string|null, url: string|null, language: string|null, title: string|null, excerpt: string,
 *   published_at: string|null, received_at: string, label?: string, score?: number, margin?: number,
 *   labels?: Scored[], abstained?: boolean, model_version?: string, near_duplicates?: number,
 *   correction?: Correction|null}} Doc
 */
/** @typedef {{key: string, title: string|null, label?: string, why: string, similarity: number}} Alike */
/** A story as it is read. For an audit it comes without what the model and other people said. */
/** @typedef {Doc & {body: string|null, alike?: Alike[], corrections?: Correction[]}} FullDoc */
/** @typedef {{text: string, start: number, end: number, effect: number}} Piece */
/** @typedef {{method: string, label: string, score: number, pieces: Piece[], complete?: boolean}} Explanation */
/** @typedef {{name: string, busy: number, blocked: number, idle: number, queue: number|null, documents: number}} Stage */
/**
 * @typedef {{topic: string, partition: number, position: number, end: number|null, lag_documents: number|null,
 *   lag_seconds: number|null}} Partition
 */
/**
 * @typedef {{name: string, commits: number, failures: number, pending_documents: number, last_commit_at: string|null,
 *   failing_since: string|null, last_error: string|null}} Sink
 */
/** @typedef {{signal: string, index: number|null, drifting: boolean}} Drift */
/**
 * @typedef {{name: string, version: string, started_at: string, now: string,
 *   identity: {name: string, role: "viewer"|"editor"|"operator", mode?: "none"|"token"|"proxy"},
 *   model: {name: string, version: string, alias: string|null, device: string}|null,
 *   labels: Label[],
 *   documents: {received: number, labelled: number, abstained: number, dead_letters: number, deletions: number},
 *   docs_per_s: number|null, latency_ms: {p50: number|null, p99: number|null},
 *   stages: Stage[], memory: {used_bytes: number, budget_bytes: number}, partitions: Partition[], sinks: Sink[],
 *   drift: Drift[], label_mix: {label: string, documents: number}[], scores: number[],
 *   dead_letters: {stage: string, reason: string, documents: number}[], audits?: Audits|null,
 *   shadow: {compared: number, disagreeing: number, dropped: number}|null,
 *   serving: {swaps: number, rollbacks: number, reload_failures: number, last_rollback?: string,
 *     last_reload_failure?: string},
 *   health: {live: boolean, ready: boolean, degraded: string[]},
 *   dark: Record<string, string>}} Status
 */
/** @typedef {{document: Doc, queue: Queue}} ReviewItem */
/** @typedef {{answered: number, right: number, low: number|null, high: number|null}} Audits */
/**
 * @typedef {{version: string, created_at: string, aliases: string[], accuracy: number|null, macro_f1: number|null,
 *   test_rows: number|null, origin: string|null, has_report: boolean, problem?: string|null}} Version
 */
/**
 * @typedef {{name: string, champion: string|null, challenger: string|null, previous: string|null, versions: Version[],
 *   history: {at: string, alias: string, from: string|null, to: string|null, by: string|null, reason: string|null}[]}} Models
 */
/**
 * @typedef {{id: string, state: string, started_at: string, reason?: string|null,
 *   ended_at: string|null, stage: string, progress: number|null, verdict: string|null,
 *   gates: {name: string, passed: boolean, detail: string}[], version: string|null, log: string[]}} Job
 */
/** @typedef {{configured: boolean, running: Job|null, jobs: Job[]}} Jobs */
/**
 * @typedef {{key: string, stage: string, reason: string, detail: string, at: string, text: string|null,
 *   hex: string|null, bytes: number}} DeadLetter
 */

export {};
