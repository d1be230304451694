// Names looked up as text are answered as on the wire: exact, by CNAME, by wildcard, or not at all.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { lookUpName, tableNames } from "../../../src/dns/lookup.ts";
import { compileNameTable } from "../../../src/dns/name-table.ts";

const table = compileNameTable(
  {
    table: {
      "books.shop.svc.cluster.local": { ips: ["10.0.0.1", "2001:db8::1"], registry: "Kubernetes", shortname: "books", namespace: "shop" },
      "*.wild.example": { ips: ["10.0.0.2"], registry: "External" },
    },
  },
  { proxyDomain: "shop.svc.cluster.local", proxyNamespace: "shop", searchDomains: ["shop.svc.cluster.local"] },
);

suite("lookUpName", () => {
  for (const [name, expected] of [
    ["books.shop.svc.cluster.local", { owner: "books.shop.svc.cluster.local", wildcard: false, addresses: ["10.0.0.1", "2001:db8::1"] }],
    ["BOOKS", { owner: "books", wildcard: false, addresses: ["10.0.0.1", "2001:db8::1"] }],
    ["books.shop.", { owner: "books.shop", wildcard: false, addresses: ["10.0.0.1", "2001:db8::1"] }],
    ["a.b.wild.example", { owner: "*.wild.example", wildcard: true, addresses: ["10.0.0.2"] }],
    ["wild.example", undefined],
    ["nobody", undefined],
    ["", undefined],
    [`${"a".repeat(64)}.example`, undefined],
  ] as const) {
    test(name === "" ? "the root" : name.slice(0, 40), () => assert.deepEqual(lookUpName(table, name), expected));
  }

  test("a name behind a search domain is a CNAME of the name before it", () => {
    assert.equal(lookUpName(table, "a.wild.example.shop.svc.cluster.local")?.owner, "*.wild.example");
  });

  test("every name of the table", () => {
    assert.ok(tableNames(table).includes("books.shop"));
    assert.equal(tableNames(table).length, table.size);
  });
});
