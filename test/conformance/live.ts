// Runs the live cases: the real Envoy and isthmus answer the same bytes from the same bootstrap at the same time.
import { cases } from "./live/cases/all.ts";
import type { LiveCase } from "./live/case.ts";
import { isCoded, wholeBodies } from "./live/coded-bodies.ts";
import { exchange, type Seen } from "./live/exchange.ts";
import { exchangeFrames } from "./live/h2-exchange.ts";
import { startOrigins } from "./live/origins.ts";
import { type RunningProxy, startEnvoy, startIsthmus } from "./live/proxies.ts";
import { liveBootstrap } from "./live/resources.ts";

/** A case and what each proxy did, as normalised text. */
export interface LiveOutcome {
  readonly name: string;
  readonly envoy: string;
  readonly isthmus: string;
}

/** How long records of a case are waited for, and then for those that nobody expected. */
const recordsMs = 1000;
const unexpectedMs = 25;

/** A machine that stood still for a moment tells two proxies apart as well: what differs is asked again of fresh ones. */
const attempts = 3;

/**
 * Runs every case, or those whose name contains `only`.
 * @param expected names of cases that are known to differ, and not asked again
 */
export async function runLive(only = "", expected: ReadonlySet<string> = new Set()): Promise<readonly LiveOutcome[]> {
  const selected = cases.filter(({ name }) => name.includes(only));
  // Most of the time is spent waiting, so halves are asked side by side.
  const half = Math.ceil(selected.length / 2);
  let outcomes = (await Promise.all([selected.slice(0, half), selected.slice(half)].map(runOnce))).flat();
  for (let attempt = 1; attempt < attempts; attempt++) {
    const surprising = new Set(
      outcomes.filter(({ name, envoy, isthmus }) => envoy !== isthmus && !expected.has(name)).map(({ name }) => name),
    );
    if (surprising.size === 0) break;
    const again = new Map((await runOnce(cases.filter(({ name }) => surprising.has(name)))).map((outcome) => [outcome.name, outcome]));
    outcomes = outcomes.map((outcome) => again.get(outcome.name) ?? outcome);
  }
  return outcomes;
}

async function runOnce(selected: readonly LiveCase[]): Promise<readonly LiveOutcome[]> {
  if (selected.length === 0) return [];
  const origins = await startOrigins();
  const bootstrap = liveBootstrap(origins);
  const running: RunningProxy[] = [];
  try {
    for (const start of [startEnvoy, startIsthmus]) running.push(await start(bootstrap));
    const [envoy, isthmus] = await Promise.all(running.map((proxy) => runAll(proxy, selected)));
    return selected.map(({ name }, index) => ({ name, envoy: envoy![index]!, isthmus: isthmus![index]! }));
  } finally {
    for (const proxy of running) await proxy.stop();
    origins.close();
  }
}

async function runAll(proxy: RunningProxy, selected: readonly LiveCase[]): Promise<readonly string[]> {
  const results: string[] = [];
  for (const each of selected) {
    const before = (await proxy.log()).length;
    const counted = await statsOf(proxy, each.counts);
    const run = each.kind === "h2" ? exchangeFrames : exchange;
    const seen = await run(proxy.port(each.listener), each);
    const records = await recordsAfter(proxy, before, each.records);
    const stats = each.stats === undefined ? [] : [...(await proxy.stats(new RegExp(each.stats)))].sort();
    const counts = changes(counted, await statsOf(proxy, each.counts));
    results.push([describe(seen, records), ...stats, ...counts].join("\n"));
  }
  return results;
}

async function statsOf(proxy: RunningProxy, pattern: string | undefined): Promise<ReadonlyMap<string, number>> {
  if (pattern === undefined) return new Map();
  const lines = await proxy.stats(new RegExp(pattern));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(": ")), Number(line.slice(line.lastIndexOf(": ") + 2))]));
}

function changes(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): readonly string[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return names.flatMap((name) => {
    const change = (after.get(name) ?? 0) - (before.get(name) ?? 0);
    return change === 0 ? [] : [`${name} changes by ${change}`];
  });
}

async function recordsAfter(proxy: RunningProxy, before: number, expected: number): Promise<readonly string[]> {
  for (const deadline = Date.now() + recordsMs; Date.now() < deadline;) {
    if ((await proxy.log()).length - before >= expected) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await new Promise((resolve) => setTimeout(resolve, unexpectedMs));
  return (await proxy.log()).slice(before);
}

function describe({ received, ended }: Seen, records: readonly string[]): string {
  // An HTTP/2 connection that ends for an error may or may not say so first: Envoy often does not, which a client cannot count on.
  const told = ended === "closed" ? received.replace(/^stream 0\nGOAWAY [1-9]\d*\n?/, "") : received;
  // A server may reset a stream that it has answered whole while the request is still coming (RFC 9113 section 8.1).
  const answered = told.replaceAll("END_STREAM\nRST_STREAM 0", "END_STREAM");
  return [
    normalise(wholeBodies(answered).replaceAll("\r\n", "\n")),
    `connection ${ended}`,
    ...records.map((record) => `log ${sameJson(isCoded(told) ? record.replace(/ out=\d+/, " out=<coded>") : record)}`).sort(),
  ].join("\n");
}

// JSON has several spellings of one character.
const sameJson = (record: string): string => (record.startsWith("{") ? JSON.stringify(JSON.parse(record)) : record);

// What no two runs have in common: dates, durations, generated ids, ports, and cookies' hashes. Fields of different names
// stand in alphabetical order, as their order says nothing (RFC 9110 section 5.3); those of one name stay as they were.
function normalise(text: string): string {
  return text
    .replace(/^(date: ).*$/gim, "$1<date>")
    .replace(/^(x-envoy-upstream-service-time: )\d+$/gim, "$1<ms>")
    .replace(
      /^(x-envoy-expected-rq-timeout-ms: )(\d+)$/gim,
      (_, name: string, ms: string) => name + String(Math.ceil(Number(ms) / 100) * 100),
    )
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "<uuid>")
    .replace(/^(x-forwarded-port: )\d+$/gim, "$1<port>")
    .replace(/(127\.0\.0\.\d+:)\d+/g, "$1<port>")
    .replace(/stick="?[0-9a-f]{8,}"?/g, "stick=<hash>")
    .replace(/(?:^:?[!-9;-~]+: ?.*\n){2,}/gm, (lines) => sortFields(lines.trimEnd().split("\n")).join("\n") + "\n");
}

const fieldName = (line: string): string => line.slice(0, line.indexOf(":", 1)).toLowerCase();

function sortFields(lines: readonly string[]): readonly string[] {
  return [...lines].sort((left, right) => (fieldName(left) < fieldName(right) ? -1 : fieldName(left) > fieldName(right) ? 1 : 0));
}
