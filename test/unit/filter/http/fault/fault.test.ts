import assert from "node:assert/strict";
import { test } from "node:test";
import type { FaultConfig } from "../../../../../src/envoy/http-filter/fault.ts";
import { fault } from "../../../../../src/filter/http/fault/fault.ts";
import { flag } from "../../../../../src/telemetry/response-flag.ts";
import type { Asked } from "../stand-ins.ts";
import { filterUnderTest, streamFor } from "../stand-ins.ts";

const none: FaultConfig = { upstreamCluster: "", headers: [], downstreamNodes: [] };
const abort = (code: number, kind: "http" | "grpc" = "http", share = 1): FaultConfig["abort"] & object => ({
  status: { kind, code },
  share: { numerator: share * 100, denominator: 100 },
});

function run(config: Partial<FaultConfig>, asked: Asked = {}, random = () => 0) {
  const made = filterUnderTest(fault, none, { random });
  const recorded = streamFor({ ...asked, config: { ...none, ...config } });
  return { ...made, recorded, status: made.filter.onRequestHeaders!(recorded.stream, true, 0) };
}

test("an abort answers with its status", () => {
  const { recorded, status, stats } = run({ abort: abort(555) });
  assert.equal(status, "stop");
  assert.deepEqual(recorded.reply, { status: 555, body: "fault filter abort", details: "fault_filter_abort", flags: flag.FI });
  assert.equal(stats.get("http.test.fault.aborts_injected"), 1);
});

test("an abort by gRPC status is a 200 for other clients", () => {
  const { recorded } = run({ abort: abort(8, "grpc") });
  assert.deepEqual([recorded.reply?.status, recorded.reply?.grpcStatus], [200, 8]);
});

test("a delay holds the request, then lets it go on", () => {
  const { recorded, status, clock, stats, filter } = run({ delay: { fixedDelayMs: 400, share: { numerator: 1, denominator: 1 } } });
  assert.equal(status, "stop");
  assert.equal(recorded.stream.info.flags, flag.DI);
  clock.advance(399);
  assert.equal(recorded.continued, 0);
  assert.equal(stats.get("http.test.fault.active_faults"), 1);
  clock.advance(1);
  assert.equal(recorded.continued, 1);
  filter.onComplete!(recorded.stream, 0);
  assert.equal(stats.get("http.test.fault.active_faults"), 0);
});

test("a delayed request may be aborted as well", () => {
  const { recorded, clock } = run({ delay: { fixedDelayMs: 10, share: { numerator: 1, denominator: 1 } }, abort: abort(503) });
  clock.advance(9);
  assert.equal(recorded.reply === undefined, true);
  clock.advance(1);
  assert.deepEqual([recorded.reply?.status, recorded.continued], [503, 0]);
});

test("a stream that ends while delayed lets go of its timer", () => {
  const { recorded, clock, filter, stats } = run({ delay: { fixedDelayMs: 10, share: { numerator: 1, denominator: 1 } } });
  filter.onComplete!(recorded.stream, 0);
  assert.deepEqual([clock.pending.length, stats.get("http.test.fault.active_faults")], [0, 0]);
});

const conditions: readonly (readonly [title: string, config: Partial<FaultConfig>, asked: Asked, hit: boolean])[] = [
  ["the cluster", { upstreamCluster: "a" }, { cluster: "a" }, true],
  ["another cluster", { upstreamCluster: "a" }, { cluster: "b" }, false],
  ["no route", { upstreamCluster: "a" }, { route: "direct_response" }, false],
  ["the node", { downstreamNodes: ["n"] }, { fields: [["x-envoy-downstream-service-node", "n"]] }, true],
  ["no node", { downstreamNodes: ["n"] }, {}, false],
  [
    "a header",
    { headers: [{ name: "x", match: { kind: "present", present: true }, invertMatch: false, treatMissingHeaderAsEmpty: false }] },
    { fields: [["x", ""]] },
    true,
  ],
  [
    "no header",
    { headers: [{ name: "x", match: { kind: "present", present: true }, invertMatch: false, treatMissingHeaderAsEmpty: false }] },
    {},
    false,
  ],
];

for (const [title, config, asked, hit] of conditions) {
  test(`with a condition on ${title}: ${hit ? "fault" : "no fault"}`, () => {
    assert.equal(run({ abort: abort(500), ...config }, asked).status, hit ? "stop" : "continue");
  });
}

test("a share of requests is hit", () => {
  assert.equal(run({ abort: abort(500, "http", 0.5) }, {}, () => 0.49).status, "stop");
  assert.equal(run({ abort: abort(500, "http", 0.5) }, {}, () => 0.5).status, "continue");
  assert.equal(run({ abort: abort(500, "http", 0) }).status, "continue");
});

test("beyond max_active_faults requests go on unharmed", () => {
  const { filter, stats } = filterUnderTest(fault, {
    ...none,
    delay: { fixedDelayMs: 1, share: { numerator: 1, denominator: 1 } },
    maxActiveFaults: 1,
  });
  const first = streamFor();
  const second = streamFor();
  assert.equal(filter.onRequestHeaders!(first.stream, true, 0), "stop");
  assert.equal(filter.onRequestHeaders!(second.stream, true, 0), "continue");
  assert.equal(stats.get("http.test.fault.faults_overflow"), 1);
  filter.onComplete!(first.stream, 0);
  assert.equal(filter.onRequestHeaders!(second.stream, true, 0), "stop");
});
