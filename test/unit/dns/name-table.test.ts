import assert from "node:assert/strict";
import { test } from "node:test";
import { Query, parseQuery } from "../../../src/dns/codec.ts";
import { NOT_FOUND, addressField, countNames, entryOf, field, findName, findWildcard } from "../../../src/dns/name-lookup.ts";
import { compileNameTable, type NameInfo, type NameTable } from "../../../src/dns/name-table.ts";
import { encodeQuestion, seeded } from "./messages.ts";

const options = {
  proxyDomain: "ns1.svc.cluster.local",
  proxyNamespace: "ns1",
  searchDomains: ["ns1.svc.cluster.local", "svc.cluster.local"],
};

function k8s(shortname: string, namespace: string, ...ips: string[]): NameInfo {
  return { ips, registry: "Kubernetes", shortname, namespace };
}

/** The first IPv4 address that `name` leads to, `-` when it is known without one, undefined when it is unknown. */
function lookUp(table: NameTable, name: string): string | undefined {
  const bytes = encodeQuestion(name, "A");
  const query = new Query();
  assert.equal(parseQuery(bytes, 0, bytes.length, query), "query");
  const exact = findName(table, query);
  const found = exact === NOT_FOUND ? findWildcard(table, query) : exact;
  if (found === NOT_FOUND) return undefined;
  const base = table.entries[entryOf(found) * field.stride + field.addresses]! * addressField.stride;
  if (table.addresses[base + addressField.count4] === 0) return "-";
  const at = table.addresses[base + addressField.at]!;
  return table.bytes.subarray(at, at + 4).join(".");
}

test("a service answers to its own, its short and its expanded names only where Istio lets it", () => {
  const table = compileNameTable(
    {
      table: {
        "a.ns1.svc.cluster.local": k8s("a", "ns1", "10.0.0.1"),
        "b.ns2.svc.cluster.local": k8s("b", "ns2", "10.0.0.2"),
        "c.ns1.svc.cluster.remote": k8s("c", "ns1", "10.0.0.3"),
        "d.ns1.svc.cluster.local.": k8s("d", "ns1", "10.0.0.4"),
        "ext.example.com": { ips: ["10.0.0.5"], registry: "External" },
      },
    },
    options,
  );
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["a.ns1.svc.cluster.local", "10.0.0.1"],
    ["A.NS1.svc.Cluster.local", "10.0.0.1"],
    ["a.ns1.svc.cluster", undefined],
    ["a.ns1.svc", "10.0.0.1"],
    ["a.ns1", "10.0.0.1"],
    ["a", "10.0.0.1"],
    ["a.ns1.ns1.svc.cluster.local", "10.0.0.1"],
    ["a.ns1.svc.ns1.svc.cluster.local", "10.0.0.1"],
    ["a.ns1.svc.cluster.local.ns1.svc.cluster.local", undefined],
    ["a.ns1.svc.cluster.local.svc.cluster.local", undefined],
    ["b", undefined],
    ["b.ns2", "10.0.0.2"],
    ["b.ns2.svc.cluster.local.ns1.svc.cluster.local", "10.0.0.2"],
    ["c.ns1.svc.cluster.remote", "10.0.0.3"],
    ["c.ns1", undefined],
    ["c", undefined],
    ["d", undefined],
    ["d.ns1.svc.cluster.local", undefined],
    ["ext.example.com", "10.0.0.5"],
    ["ext.example.com.ns1.svc.cluster.local", "10.0.0.5"],
    ["xext.example.com", undefined],
    ["example.com", undefined],
    ["", undefined],
  ];
  for (const [name, address] of cases) assert.equal(lookUp(table, name), address, name);
});

test("a name that ends in a search domain is known under it too where that is wanted", () => {
  const names = { table: { "a.ns1.svc.cluster.local": k8s("a", "ns1", "10.0.0.1") } };
  const table = compileNameTable(names, { ...options, expandFullNames: true });
  for (const [name, address] of [
    ["a.ns1.svc.cluster.local.ns1.svc.cluster.local", "10.0.0.1"],
    ["a.ns1.svc.cluster.local.svc.cluster.local", "10.0.0.1"],
    ["b.ns1.svc.cluster.local.svc.cluster.local", undefined],
    ["a.ns1.svc.cluster.local.xsvc.cluster.local", undefined],
    ["a.ns1.svc.cluster.localsvc.cluster.local", undefined],
    ["svc.cluster.local.svc.cluster.local", undefined],
  ] as const) {
    assert.equal(lookUp(table, name), address, name);
  }
});

test("names are known under every search domain, and no expansion by a later one hides what is known", () => {
  const table = compileNameTable(
    {
      table: {
        "a.ns1.svc.cluster.local": k8s("a", "ns1", "10.0.0.1"),
        "ext.example.com": { ips: ["10.0.0.5"] },
        "*.wild.example.com": { ips: ["10.0.0.6"] },
        "ext.example.com.corp.example": { ips: ["10.0.0.7"] },
        "a.corp.example": { ips: ["10.0.0.8"] },
      },
    },
    { ...options, searchDomains: ["ns1.svc.cluster.local", "svc.cluster.local.", "Corp.Example", "other.example"] },
  );
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["ext.example.com.ns1.svc.cluster.local", "10.0.0.5"],
    ["ext.example.com.svc.cluster.local", "10.0.0.5"],
    ["ext.example.com.corp.example", "10.0.0.7"],
    ["ext.example.com.other.example", "10.0.0.5"],
    ["x.wild.example.com.corp.example", "10.0.0.6"],
    ["a.ns1.svc.cluster.local", "10.0.0.1"],
    ["a.corp.example", "10.0.0.8"],
    ["a.ns1.corp.example", "10.0.0.1"],
    ["ext.example.com.svc.cluster.local.corp.example", undefined],
  ];
  for (const [name, address] of cases) assert.equal(lookUp(table, name), address, name);
});

test("hosts without a usable address are not in the table, so that they are forwarded", () => {
  const table = compileNameTable(
    {
      table: {
        "none.example.com": {},
        "cidr.example.com": { ips: ["10.0.0.0/8"] },
        "junk.example.com": { ips: ["not an address", "256.1.1.1"] },
        "partly.example.com": { ips: ["10.0.0.0/8", "10.1.1.1"] },
        "six.example.com": { ips: ["2001:db8::1"] },
      },
    },
    options,
  );
  assert.equal(lookUp(table, "none.example.com"), undefined);
  assert.equal(lookUp(table, "cidr.example.com"), undefined);
  assert.equal(lookUp(table, "junk.example.com"), undefined);
  assert.equal(lookUp(table, "partly.example.com"), "10.1.1.1");
  assert.equal(lookUp(table, "six.example.com"), "-");
});

test("names that have no wire form are left out without harm to the others", () => {
  const table = compileNameTable(
    {
      table: {
        [`${"x".repeat(64)}.com`]: { ips: ["1.1.1.1"] },
        "a..b": { ips: ["1.1.1.2"] },
        "": { ips: ["1.1.1.3"] },
        "ok.com": { ips: ["1.1.1.4"] },
      },
    },
    options,
  );
  assert.equal(lookUp(table, "ok.com"), "1.1.1.4");
  assert.equal(lookUp(table, ""), undefined);
});

test("the most specific wildcard wins, an exact name beats it, and the parent itself does not match", () => {
  const table = compileNameTable(
    {
      table: {
        "*.example.com": { ips: ["10.0.0.1"] },
        "*.b.example.com": { ips: ["10.0.0.2"] },
        "x.b.example.com": { ips: ["10.0.0.3"] },
        "*": { ips: ["10.0.0.9"] },
      },
    },
    options,
  );
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["a.example.com", "10.0.0.1"],
    ["b.example.com", "10.0.0.1"],
    ["y.z.example.com", "10.0.0.1"],
    ["a.b.example.com", "10.0.0.2"],
    ["a.b.b.example.com", "10.0.0.2"],
    ["x.b.example.com", "10.0.0.3"],
    ["y.x.b.example.com", "10.0.0.2"],
    ["example.com", undefined],
    ["com", undefined],
  ];
  for (const [name, address] of cases) assert.equal(lookUp(table, name), address, name);
});

test("alternative hosts are known under both spellings of their field", () => {
  for (const spelling of ["alt_hosts", "altHosts"]) {
    const info = { ...k8s("a", "ns1", "10.0.0.1"), [spelling]: ["a.ns1.svc.clusterset.local"] };
    const table = compileNameTable({ table: { "a.ns1.svc.cluster.local": info } }, options);
    assert.equal(lookUp(table, "a.ns1.svc.clusterset.local"), "10.0.0.1", spelling);
  }
});

test("a full name keeps its addresses when another host's short form is the same", () => {
  const hosts: readonly (readonly [string, NameInfo])[] = [
    ["web-0.web", { ips: ["10.0.0.1"], registry: "External" }],
    ["web-0.web.ns1.svc.cluster.local", k8s("web-0.web", "ns1", "10.0.0.2")],
  ];
  for (const order of [hosts, hosts.toReversed()]) {
    const table = compileNameTable({ table: Object.fromEntries(order) }, options);
    assert.equal(lookUp(table, "web-0.web"), "10.0.0.1");
    assert.equal(lookUp(table, "web-0.web.ns1"), "10.0.0.2");
  }
});

test("without search domains nothing is expanded", () => {
  const table = compileNameTable({ table: { "ext.example.com": { ips: ["10.0.0.5"] } } }, { ...options, searchDomains: [] });
  assert.equal(table.size, 1);
});

test("every one of many names is found, and none that was not put in", () => {
  const hosts: Record<string, NameInfo> = {};
  for (let i = 0; i < 3000; i++) hosts[`host-${i}.example.com`] = { ips: [`10.${i >> 8}.${i & 255}.1`] };
  const table = compileNameTable({ table: hosts }, { ...options, searchDomains: [] });
  assert.equal(table.size, 3000);
  for (let i = 0; i < 3000; i++) assert.equal(lookUp(table, `host-${i}.example.com`), `10.${i >> 8}.${i & 255}.1`);
  for (let i = 3000; i < 6000; i++) assert.equal(lookUp(table, `host-${i}.example.com`), undefined);
});

test("a table is memory that threads share, not copy", () => {
  const table = compileNameTable({ table: { "a.example.com": { ips: ["10.0.0.1"] } } }, options);
  const posted = structuredClone(table);
  assert.equal(lookUp(posted, "a.example.com"), "10.0.0.1");
  for (const part of ["slots", "entries", "addresses", "searches", "bytes"] as const) {
    assert.ok(posted[part].buffer instanceof SharedArrayBuffer, part);
  }
});

test("an empty table knows nothing", () => {
  for (const nds of [{}, { table: {} }]) assert.equal(lookUp(compileNameTable(nds, options), "a.example.com"), undefined);
});

test("an expansion by the first search domain beats a known name that is of another host, by a later one it does not", () => {
  const hosts = { "a.ns1.svc.cluster.local": k8s("a", "ns1", "10.0.0.1"), "a.corp.example": { ips: ["10.0.0.8"] } };
  const ask = (searchDomains: readonly string[], name: string): string | undefined =>
    lookUp(compileNameTable({ table: hosts }, { ...options, searchDomains }), name);
  assert.equal(ask(["corp.example"], "a.corp.example"), "10.0.0.1");
  assert.equal(ask(["other.example", "corp.example"], "a.corp.example"), "10.0.0.8");
  assert.equal(ask(["ns1.svc.cluster.local"], "a.ns1.svc.cluster.local"), "10.0.0.1");
});

test("a wildcard under a search domain is as specific as its whole name", () => {
  const hosts = { "*.corp.example": { ips: ["10.0.0.1"] }, "*.x": { ips: ["10.0.0.2"] }, "*": { ips: ["10.0.0.3"] } };
  const table = compileNameTable({ table: hosts }, { ...options, searchDomains: ["corp.example", "other.example"] });
  for (const [name, address] of [
    ["y.corp.example", "10.0.0.3"],
    ["y.x.corp.example", "10.0.0.2"],
    ["x.corp.example", "10.0.0.3"],
    ["y.z.x.other.example", "10.0.0.2"],
    ["y.other.example", "10.0.0.3"],
    ["other.example", undefined],
    ["y.x", "10.0.0.2"],
  ] as const) {
    assert.equal(lookUp(table, name), address, name);
  }
});

test("pods that only SRV records name are not known under search domains, nor are names that end as one does", () => {
  const ports = {
    "web.ns1.svc.cluster.local": [
      { name: "http", protocol: "tcp", port: 80, endpoints: [{ host: "pod.example", address: "10.0.0.9", port: 80 }] } as const,
    ],
  };
  const hosts = { "web.ns1.svc.cluster.local": k8s("web", "ns1", "10.0.0.1"), "a.ncorp.example": { ips: ["10.0.0.2"] } };
  const table = compileNameTable({ table: hosts }, { ...options, searchDomains: ["corp.example", "cluster.local"] }, ports);
  for (const [name, address] of [
    ["pod.example", "10.0.0.9"],
    ["pod.example.corp.example", undefined],
    ["web.corp.example", "10.0.0.1"],
    ["a.ncorp.example", "10.0.0.2"],
    ["a.ncorp.example.corp.example", undefined],
    ["a.ncorp.example.cluster.local", "10.0.0.2"],
    ["corp.example", undefined],
  ] as const) {
    assert.equal(lookUp(table, name), address, name);
  }
});

test("what is stored are the names themselves; those under search domains are only counted", () => {
  const hosts = { "a.ns2.svc.cluster.local": k8s("a", "ns2", "10.0.0.1"), "ext.example.com": { ips: ["10.0.0.5"] } };
  const table = compileNameTable({ table: hosts }, { ...options, searchDomains: ["corp.example", "example.com", "corp.example."] });
  assert.equal(table.size, 4);
  // All four under the first domain, and three under the second, in which the fourth ends.
  assert.equal(countNames(table), 4 + 4 + 3);
});

/** Every name of a table and what it is a CNAME of, by the rule as Istio has it: each name stored under each search domain. */
function expansions(names: ReadonlyMap<string, number>, searches: readonly string[]): Map<string, number> {
  const all = new Map(names);
  searches.forEach((search, position) => {
    for (const [name, host] of names) {
      const expanded = `${name}.${search}`;
      if (!name.endsWith(search) && (position === 0 || !all.has(expanded))) all.set(expanded, host);
    }
  });
  return all;
}

test("any table answers the same as one in which every name is stored under every search domain", () => {
  const random = seeded(20261124);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const labels = ["a", "b", "xa", "svc", "xsvc", "local"];
  const name = (most: number): string => Array.from({ length: 1 + Math.floor(random() * most) }, () => pick(labels)).join(".");
  let expanded = 0;
  for (let round = 0; round < 400; round++) {
    const searchDomains = [...new Set(Array.from({ length: 1 + Math.floor(random() * 3) }, () => name(2)))];
    const names = new Map(Array.from({ length: 6 }, (_, i) => [name(3), i]));
    const hosts = Object.fromEntries([...names].map(([host, i]) => [host, { ips: [`10.0.0.${i}`] }]));
    const table = compileNameTable({ table: hosts }, { ...options, searchDomains });
    const all = expansions(names, searchDomains);
    assert.equal(countNames(table), all.size);
    for (const asked of [
      ...all.keys(),
      ...Array.from({ length: 20 }, () => `${pick([...names.keys(), name(2)])}.${pick(searchDomains)}`),
    ]) {
      const host = all.get(asked);
      assert.equal(lookUp(table, asked), host === undefined ? undefined : `10.0.0.${host}`, `${asked} with ${searchDomains.join()}`);
      if (host !== undefined && !names.has(asked)) expanded++;
    }
  }
  assert.ok(expanded > 1000, String(expanded));
});
