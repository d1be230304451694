// Which listener takes a connection with a restored destination.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { RedirectTable } from "../../../src/listener/redirect-table.ts";
import type { ActiveListener } from "../../../src/listener/active-listener.ts";
import { listener } from "../../support/listener-models.ts";

const at = (name: string, address: string, port: number): ActiveListener =>
  ({ model: listener(name, [], { addresses: [{ address, port }] }) }) as unknown as ActiveListener;

suite("redirect table", () => {
  const table = new RedirectTable([at("exact", "10.0.0.1", 80), at("v4", "0.0.0.0", 80), at("v6", "::", 80), at("v6exact", "fd00::1", 80)]);
  const cases: readonly (readonly [string, number, string | undefined])[] = [
    ["10.0.0.1", 80, "exact"],
    ["10.0.0.2", 80, "v4"],
    ["fd00::1", 80, "v6exact"],
    ["fd00::2", 80, "v6"],
    ["10.0.0.1", 81, undefined],
  ];
  test("a listener with an address of each family takes both", () => {
    const both = { model: listener("both", [], { addresses: ["10.0.0.9", "fd00::9"].map((address) => ({ address, port: 80 })) }) };
    const dual = new RedirectTable([both as unknown as ActiveListener]);
    for (const ip of ["10.0.0.9", "fd00::9"]) assert.equal(dual.find(ip, 80)?.model.name, "both");
  });

  for (const [ip, port, expected] of cases) {
    test(`${ip} port ${port} goes to ${expected ?? "nobody"}`, () => assert.equal(table.find(ip, port)?.model.name, expected));
  }
});
