import assert from "node:assert/strict";
import { test } from "node:test";
import type { LocalDescriptor, LocalRateLimitConfig } from "../../../../../src/envoy/http-filter/local-ratelimit.ts";
import { LocalLimiter } from "../../../../../src/filter/http/local-ratelimit/local-limiter.ts";
import { HandClock } from "../stand-ins.ts";

const bucket = (maxTokens: number): LocalDescriptor["tokenBucket"] => ({ maxTokens, tokensPerFill: maxTokens, fillIntervalMs: 60_000 });
const descriptor = (value: string, tokens: number): LocalDescriptor => ({ entries: [{ key: "user", value }], tokenBucket: bucket(tokens) });

interface Case {
  readonly name: string;
  readonly model: Partial<LocalRateLimitConfig>;
  /** What each request counts as; empty = nothing. */
  readonly asks: readonly string[];
  /** For each: whether it may go on, and `limit/remaining` of the bucket that speaks for it. */
  readonly answers: string;
}

const cases: readonly Case[] = [
  { name: "values have buckets of their own, others the shared one", model: { descriptors: [descriptor("a", 1), descriptor("b", 2)] },
    asks: ["a", "a", "b", "b", "b", "c", ""], answers: "yes 1/0, no 1/0, yes 2/1, yes 2/0, no 2/0, yes 9/5, yes 9/4" },
  { name: "every request takes a token of the shared bucket, too", model: { tokenBucket: bucket(2), descriptors: [descriptor("a", 5)] },
    asks: ["a", "a", "a", ""], answers: "yes 5/4, yes 5/3, no 2/0, no 2/0" },
  { name: "unless that is switched off", model: { tokenBucket: bucket(1), alwaysConsumeDefault: false, descriptors: [descriptor("a", 3)] },
    asks: ["a", "a", "", "", "a", "a"], answers: "yes 3/2, yes 3/1, yes 1/0, no 1/0, yes 3/0, no 3/0" },
  { name: "an open value stands for each that comes", model: { descriptors: [descriptor("", 1)] },
    asks: ["a", "b", "a"], answers: "yes 1/0, yes 1/0, no 1/0" },
  { name: "so many at most: the one longest unused starts anew", model: { maxDynamicDescriptors: 2, descriptors: [descriptor("", 1)] },
    asks: ["a", "b", "a", "c", "a", "b"], answers: "yes 1/0, yes 1/0, no 1/0, yes 1/0, no 1/0, yes 1/0" },
  { name: "a value that is named comes before an open one", model: { descriptors: [descriptor("", 1), descriptor("a", 2)] },
    asks: ["a", "a", "a", "b", "b"], answers: "yes 2/1, yes 2/0, no 2/0, yes 1/0, no 1/0" },
]; // prettier-ignore

for (const { name, model, asks, answers } of cases) {
  test(name, () => {
    const config = { tokenBucket: bucket(9), descriptors: [], alwaysConsumeDefault: true, maxDynamicDescriptors: 20, ...model };
    const limiter = new LocalLimiter(config as unknown as LocalRateLimitConfig, new HandClock());
    const given = asks.map((value) => {
      const descriptors = value === "" ? [] : [{ entries: [{ key: "user", value }], limit: undefined }];
      const { allowed, bucket: told } = limiter.take(descriptors);
      return `${allowed ? "yes" : "no"} ${told!.maxTokens}/${told!.remaining}`;
    });
    assert.equal(given.join(", "), answers);
  });
}

test("of several descriptors the slowest is asked first, and what comes after a refusal keeps its tokens", () => {
  const other: LocalDescriptor = { entries: [{ key: "all", value: "x" }], tokenBucket: bucket(2) };
  const model = { descriptors: [descriptor("a", 3), other], alwaysConsumeDefault: false, maxDynamicDescriptors: 20 };
  const limiter = new LocalLimiter(model as unknown as LocalRateLimitConfig, new HandClock());
  const both = [
    { entries: [{ key: "user", value: "a" }], limit: undefined },
    { entries: [{ key: "all", value: "x" }], limit: undefined },
  ];
  const left = [1, 2, 3].map(() => limiter.take(both)).map(({ allowed, bucket: told }) => [allowed, told!.maxTokens]);
  assert.deepEqual(left, [
    [true, 2],
    [true, 2],
    [false, 2],
  ]);
  assert.equal(limiter.take(both.slice(0, 1)).bucket!.remaining, 0);
  assert.equal(limiter.take(both.slice(0, 1)).allowed, false);
});
