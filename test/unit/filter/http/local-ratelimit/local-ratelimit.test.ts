import assert from "node:assert/strict";
import { test } from "node:test";
import type { LocalRateLimitConfig } from "../../../../../src/envoy/http-filter/local-ratelimit.ts";
import { localRateLimit } from "../../../../../src/filter/http/local-ratelimit/local-ratelimit.ts";
import { TokenBucket } from "../../../../../src/filter/http/local-ratelimit/token-bucket.ts";
import { flag } from "../../../../../src/telemetry/response-flag.ts";
import { filterUnderTest, HandClock, respond, streamFor } from "../stand-ins.ts";

const off: LocalRateLimitConfig = {
  statPrefix: "rl",
  status: 429,
  descriptors: [],
  rateLimits: [],
  stage: 0,
  virtualHost: "override",
  alwaysConsumeDefault: true,
  maxDynamicDescriptors: 20,
  enabledFraction: 0,
  enforcedFraction: 0,
  requestHeadersToAddWhenNotEnforced: [],
  responseHeadersToAdd: [],
  xRateLimitHeaders: false,
  perConnection: false,
  asResourceExhausted: false,
};
const one: LocalRateLimitConfig = {
  ...off,
  tokenBucket: { maxTokens: 1, tokensPerFill: 1, fillIntervalMs: 600_000 },
  enabledFraction: 1,
  enforcedFraction: 1,
  xRateLimitHeaders: true,
  responseHeadersToAdd: [{ key: "x-rl", value: "1", appendAction: "APPEND_IF_EXISTS_OR_ADD", keepEmptyValue: false }],
};

test("the first request passes and the second is refused, both told about the limit", () => {
  const { filter, clock, stats } = filterUnderTest(localRateLimit, off);
  const first = streamFor({ config: one });
  assert.equal(filter.onRequestHeaders!(first.stream, true, 0), "continue");
  assert.deepEqual(respond(filter, first.stream), ["x-ratelimit-limit: 1", "x-ratelimit-remaining: 0", "x-ratelimit-reset: 600"]);
  clock.advance(31_200);
  const second = streamFor({ config: one });
  assert.equal(filter.onRequestHeaders!(second.stream, true, 0), "stop");
  assert.deepEqual(second.reply, {
    status: 429,
    body: "local_rate_limited",
    details: "local_rate_limited",
    flags: flag.RL,
    headers: [["x-rl", "1"]],
    grpcStatus: 14,
  });
  assert.deepEqual(respond(filter, second.stream), ["x-ratelimit-limit: 1", "x-ratelimit-remaining: 0", "x-ratelimit-reset: 569"]);
  const scope = "rl.http_local_rate_limit.";
  assert.deepEqual(
    [stats.get(`${scope}enabled`), stats.get(`${scope}ok`), stats.get(`${scope}rate_limited`), stats.get(`${scope}enforced`)],
    [2, 1, 1, 1],
  );
});

test("tokens come back with time", () => {
  const { filter, clock } = filterUnderTest(localRateLimit, one);
  const ask = (): string => filter.onRequestHeaders!(streamFor().stream, true, 0);
  assert.deepEqual([ask(), ask()], ["continue", "stop"]);
  clock.advance(600_000);
  assert.deepEqual([ask(), ask()], ["continue", "stop"]);
});

test("a limit that is not enforced only marks the request", () => {
  const header = { key: "x-over", value: "%PROTOCOL%", appendAction: "APPEND_IF_EXISTS_OR_ADD", keepEmptyValue: false } as const;
  const { filter, stats } = filterUnderTest(localRateLimit, { ...one, enforcedFraction: 0, requestHeadersToAddWhenNotEnforced: [header] });
  filter.onRequestHeaders!(streamFor().stream, true, 0);
  const over = streamFor();
  assert.equal(filter.onRequestHeaders!(over.stream, true, 0), "continue");
  assert.equal(over.stream.headers.get("x-over"), "HTTP/1.1");
  assert.equal(stats.get("rl.http_local_rate_limit.rate_limited"), 1);
});

test("a bucket for each connection", () => {
  const { filter } = filterUnderTest(localRateLimit, { ...one, perConnection: true });
  const same = streamFor();
  assert.equal(filter.onRequestHeaders!(same.stream, true, 0), "continue");
  assert.equal(filter.onRequestHeaders!(same.stream, true, 0), "stop");
  assert.equal(filter.onRequestHeaders!(streamFor().stream, true, 0), "continue");
});

test("gRPC clients may be told RESOURCE_EXHAUSTED", () => {
  const { filter } = filterUnderTest(localRateLimit, { ...one, asResourceExhausted: true });
  filter.onRequestHeaders!(streamFor().stream, true, 0);
  const refused = streamFor();
  filter.onRequestHeaders!(refused.stream, true, 0);
  assert.equal(refused.reply?.grpcStatus, 8);
});

test("without a bucket or a share nothing is limited", () => {
  for (const config of [off, { ...one, enabledFraction: 0 }]) {
    const { filter } = filterUnderTest(localRateLimit, config);
    for (let i = 0; i < 3; i++) assert.equal(filter.onRequestHeaders!(streamFor().stream, true, 0), "continue");
    assert.deepEqual(respond(filter, streamFor().stream), []);
  }
});

test("a bucket fills at its rate and no further than it holds", () => {
  const clock = new HandClock();
  const bucket = new TokenBucket({ maxTokens: 3, tokensPerFill: 2, fillIntervalMs: 1000 }, clock);
  for (let i = 0; i < 3; i++) assert.equal(bucket.take(), true);
  assert.deepEqual([bucket.take(), bucket.remaining, bucket.resetSeconds], [false, 0, 1]);
  clock.advance(500);
  assert.deepEqual([bucket.remaining, bucket.resetSeconds], [1, 0]);
  clock.advance(60_000);
  assert.equal(bucket.remaining, 3);
});
