import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  decodeRateLimitResponse,
  encodeRateLimitRequest,
  type DescriptorStatus,
  rateLimitHeaders,
} from "../../../../../src/filter/http/ratelimit/ratelimit-service.ts";
import { seededRandom } from "../../../../support/cluster-models.ts";
import { rateLimitRequestType, rateLimitResponseType } from "../../../../support/rate-limit-server.ts";

test("a request reads as it was meant", () => {
  const bytes = encodeRateLimitRequest("shop", [
    { entries: [{ key: "path", value: "/ä".normalize() }], limit: { requestsPerUnit: 7, unit: 2 } },
    { entries: [], limit: undefined },
  ]);
  assert.deepEqual(rateLimitRequestType.toObject(rateLimitRequestType.decode(bytes)), {
    domain: "shop",
    descriptors: [
      { entries: [{ key: "path", value: Buffer.from("/ä", "latin1").toString("utf8") }], limit: { requests_per_unit: 7, unit: 2 } },
      {},
    ],
  });
});

const answer = {
  overall_code: 2,
  statuses: [
    { code: 1, current_limit: { name: "ip", requests_per_unit: 10, unit: 1 }, limit_remaining: 9, duration_until_reset: { seconds: 3 } },
    { code: 2 },
  ],
  response_headers_to_add: [
    { key: "X-A", value: "1" },
    { key: "content-length", value: "7" },
    { key: "bad name", value: "1" },
    { key: "x-split", value: "a\r\nb: c" },
  ],
  request_headers_to_add: [{ key: "x-b", value: "2" }],
  raw_body: Buffer.from("no"),
};

test("an answer is read, without headers that nobody may set", () => {
  const bytes = Buffer.from(rateLimitResponseType.encode(rateLimitResponseType.fromObject(answer)).finish());
  assert.deepEqual(decodeRateLimitResponse(bytes), {
    overLimit: true,
    statuses: [
      { limit: { name: "ip", requestsPerUnit: 10, unit: 1 }, remaining: 9, resetSeconds: 3 },
      { limit: undefined, remaining: 0, resetSeconds: 0 },
    ],
    responseHeaders: [["x-a", "1"]],
    requestHeaders: [["x-b", "2"]],
    body: "no",
    metadata: undefined,
  });
});

test("damaged answers are read or refused, and never throw", () => {
  const random = seededRandom(9);
  const good = Buffer.from(rateLimitResponseType.encode(rateLimitResponseType.fromObject(answer)).finish());
  for (let round = 0; round < 2000; round++) {
    const bytes = Buffer.from(good.subarray(0, Math.floor(random() * (good.length + 1))));
    for (let n = 0; n < 3 && bytes.length > 0; n++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    decodeRateLimitResponse(bytes);
  }
  assert.equal(decodeRateLimitResponse(Buffer.from([0xff])), undefined);
});

suite("x-ratelimit headers", () => {
  const status = (requestsPerUnit: number, unit: number, remaining: number, name = ""): DescriptorStatus => ({
    limit: { name, requestsPerUnit, unit },
    remaining,
    resetSeconds: remaining + 1,
  });
  for (const [title, statuses, expected] of [
    ["nothing is said of no limit", [{ limit: undefined, remaining: 0, resetSeconds: 0 }], []],
    ["one limit", [status(10, 2, 4)], ["10, 10;w=60", "4", "5"]],
    ["the tightest of several", [status(10, 1, 4, "ip"), status(900, 3, 2)], ['900, 10;w=1;name="ip", 900;w=3600', "2", "3"]],
    ["a unit that is unknown has no window", [status(5, 0, 1)], ["5", "1", "2"]],
    ["months and years", [status(5, 5, 1), status(6, 6, 2)], ["5, 5;w=2592000, 6;w=31536000", "1", "2"]],
  ] as const) {
    test(title, () =>
      assert.deepEqual(
        rateLimitHeaders(statuses).map(([, value]) => value),
        expected,
      ),
    );
  }
});
