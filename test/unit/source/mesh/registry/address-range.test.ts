import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type AddressRanges, defaultRanges, layOutSlots, rangeProblem } from "../../../../../src/source/mesh/registry/address-range.ts";

const v6 = defaultRanges.v6;

suite("slots of an address range", () => {
  for (const v4 of ["240.240.0.0/16", "10.0.0.0/15", "10.1.0.0/23", "10.1.2.0/24", "10.1.2.64/28", "10.1.2.4/30"]) {
    for (const order of ["blocks", "plain"] as const) {
      test(`${v4}, ${order}: every slot has an address of its own, and is found by it`, () => {
        const slots = layOutSlots({ v4, v6 }, order);
        const seen = new Set<string>();
        for (let slot = 0; slot < slots.count; slot++) {
          const { v4: four, v6: six } = slots.at(slot);
          seen.add(four).add(six);
          if (order === "blocks" && v4.endsWith("/16")) assert.doesNotMatch(four, /\.(0|255)$/);
          assert.deepEqual([slots.slotOf(four), slots.slotOf(six)], [slot, slot]);
        }
        assert.equal(seen.size, 2 * slots.count);
      });
    }
  }

  test("a range is as large as its usable addresses", () => {
    const counts = ["240.240.0.0/16", "10.0.0.0/24", "10.0.0.0/30"].map((v4) => layOutSlots({ v4, v6 }, "blocks").count);
    assert.deepEqual(counts, [65_024, 254, 2]);
    assert.equal(layOutSlots(defaultRanges, "plain").count, 65_534);
  });

  test("the range is where its prefix says, host bits or not", () => {
    assert.deepEqual(layOutSlots({ v4: "10.1.2.3/16", v6: "fd00:1::5/64" }, "plain").at(257), { v4: "10.1.1.2", v6: "fd00:1::102" });
    assert.deepEqual(layOutSlots({ v4: "10.1.0.0/16", v6: "fd00:0:0:1::/64" }, "blocks").at(0), {
      v4: "10.1.0.1",
      v6: "fd00::1:0:0:f0f0:1",
    });
  });

  test("other addresses have no slot", () => {
    const slots = layOutSlots(defaultRanges, "blocks");
    const strangers = [
      "240.239.255.254",
      "240.241.0.1",
      "240.240.3.0",
      "240.240.3.255",
      "2001:2::1",
      "2001:2::f0f0:100",
      "::1",
      "name",
      "1.2.3.0/24",
    ];
    for (const address of strangers) assert.equal(slots.slotOf(address), undefined, address);
  });

  test("an address is found in any notation", () => {
    const slots = layOutSlots(defaultRanges, "blocks");
    for (const address of ["2001:2::f0f0:102", "2001:0002:0:0:0:0:F0F0:0102", "2001:2::240.240.1.2"])
      assert.equal(slots.slotOf(address), 256, address);
  });
});

suite("a range that cannot be used", () => {
  const cases: readonly (readonly [string, 4 | 6, RegExp | undefined])[] = [
    ["240.240.0.0/16", 4, undefined],
    ["2001:2::/48", 6, undefined],
    ["10.0.0.0/30", 4, undefined],
    ["fd00::/96", 6, undefined],
    ["10.0.0.0/31", 4, /too small/],
    ["fd00::/97", 6, /too small/],
    ["0.0.0.0/4", 4, /too large/],
    ["10.0.0.0", 4, /no IPv4 range/],
    ["10.0.0.0/", 4, /no IPv4 range/],
    ["10.0.0.0/1x", 4, /no IPv4 range/],
    ["10.0.0/16", 4, /no IPv4 range/],
    ["10.0.0.0/16/3", 4, /no IPv4 range/],
    ["2001:2::/48", 4, /no IPv4 range/],
    ["10.0.0.0/16", 6, /no IPv6 range/],
    ["", 6, /no IPv6 range/],
  ];
  for (const [range, family, expected] of cases) {
    test(`${JSON.stringify(range)} as IPv${family} is ${expected === undefined ? "fine" : "refused"}`, () => {
      const problem = rangeProblem(range, family);
      if (expected === undefined) assert.equal(problem, undefined);
      else assert.match(problem ?? "", expected);
    });
  }

  test("whatever is accepted can be laid out", () => {
    const accepted = (ranges: AddressRanges): boolean =>
      rangeProblem(ranges.v4, 4) === undefined && rangeProblem(ranges.v6, 6) === undefined;
    for (let length = 0; length <= 130; length++) {
      const ranges = { v4: `10.20.30.40/${length % 34}`, v6: `2001:db8::/${length}` };
      if (!accepted(ranges)) continue;
      const slots = layOutSlots(ranges, "blocks");
      for (const slot of [0, slots.count - 1]) assert.equal(slots.slotOf(slots.at(slot).v6), slot, JSON.stringify(ranges));
    }
  });
});
