import assert from "node:assert/strict";
import { test } from "node:test";
import { createClientFinder } from "../../../src/http/client-address.ts";

const peer = { ip: "9.9.9.9", port: 1234 };
const internalRanges = [{ addressPrefix: "10.0.0.0", prefixLen: 8 }];

// use_remote_address, xff_num_trusted_hops, x-forwarded-for, address named by it, internal.
const cases: readonly (readonly [boolean, number, string | undefined, string | undefined, boolean])[] = [
  [false, 0, undefined, undefined, false],
  [false, 0, "", undefined, false],
  [false, 0, "10.1.1.1", "10.1.1.1", true],
  [false, 0, "11.1.1.1", "11.1.1.1", false],
  [false, 0, "10.1.1.1, 10.2.2.2", "10.2.2.2", false],
  [false, 1, "11.1.1.1, 10.2.2.2", "11.1.1.1", false],
  [false, 1, "10.1.1.1,10.2.2.2", "10.1.1.1", false],
  [false, 1, "10.1.1.1", undefined, false],
  [false, 0, "10.1.1.1, nobody", undefined, false],
  [false, 0, "10.1.1.1:80", undefined, false],
  [false, 0, "fd00::1", "fd00::1", false],
  [true, 0, "10.1.1.1", undefined, false],
  [true, 1, "11.1.1.1,10.1.1.1", "10.1.1.1", false],
  [true, 2, "11.1.1.1,10.1.1.1", "11.1.1.1", false],
  [true, 3, "11.1.1.1,10.1.1.1", undefined, false],
];
for (const [useRemoteAddress, xffNumTrustedHops, forwardedFor, address, internal] of cases) {
  const by = useRemoteAddress ? "the peer" : "x-forwarded-for";
  test(`by ${by} behind ${xffNumTrustedHops} hops, "${forwardedFor}" names ${address ?? "nobody"}${internal ? ", who is internal" : ""}`, () => {
    const found = createClientFinder({ useRemoteAddress, xffNumTrustedHops, internalRanges })(forwardedFor, peer);
    assert.deepEqual(found, { forwarded: address === undefined ? undefined : { ip: address, port: 0 }, internal });
  });
}

test("the peer itself is internal when nobody stands before it", () => {
  const find = createClientFinder({ useRemoteAddress: true, xffNumTrustedHops: 0, internalRanges });
  assert.equal(find(undefined, { ip: "10.3.3.3", port: 1 }).internal, true);
  assert.equal(find("1.1.1.1", { ip: "10.3.3.3", port: 1 }).internal, false);
});

test("nobody is internal without ranges", () => {
  const find = createClientFinder({ useRemoteAddress: false, xffNumTrustedHops: 0, internalRanges: [] });
  assert.equal(find("10.1.1.1", peer).internal, false);
});
