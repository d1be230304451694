import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type AutoAllocateSettings, defaultAutoAllocate } from "../../../../../src/source/mesh/auto-allocate.ts";
import type { ServiceEntrySpec } from "../../../../../src/source/mesh/istio/service-entry.ts";
import { byAge, emptyMeshView, type MeshView } from "../../../../../src/source/mesh/mesh-view.ts";
import type { MeshObject } from "../../../../../src/source/mesh/object/mesh-object.ts";
import { allocateAddresses } from "../../../../../src/source/mesh/registry/virtual-addresses.ts";

type Entry = MeshObject<ServiceEntrySpec>;

interface EntryOptions {
  readonly namespace?: string;
  readonly name?: string;
  readonly createdAt?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly spec?: Partial<ServiceEntrySpec>;
}

function entry(host: string, options: EntryOptions = {}): Entry {
  const spec: ServiceEntrySpec = {
    hosts: [host],
    addresses: [],
    ports: [],
    meshExternal: true,
    resolution: "STATIC",
    endpoints: [],
    exportTo: [],
    subjectAltNames: [],
    allocated: [],
    ...options.spec,
  };
  return {
    meta: {
      kind: "ServiceEntry",
      name: options.name ?? host,
      namespace: options.namespace ?? "default",
      labels: options.labels ?? {},
      annotations: {},
      createdAt: options.createdAt ?? 0,
      source: { file: "entries.yaml", line: 1, column: 1 },
    },
    spec,
  };
}

function meshOf(entries: readonly Entry[], settings: Partial<AutoAllocateSettings> = {}): MeshView {
  const config = { ...emptyMeshView.config, autoAllocate: { ...defaultAutoAllocate, ...settings } };
  return { ...emptyMeshView, config, serviceEntries: entries.toSorted(byAge) };
}

function addressesOf(entries: readonly Entry[], settings: Partial<AutoAllocateSettings> = {}): ReadonlyMap<string, readonly string[]> {
  const allocated = allocateAddresses(meshOf(entries, settings));
  return new Map(
    entries.flatMap((each) => each.spec.hosts.map((host) => [`${each.meta.namespace}/${host}`, allocated.of(each, host)] as const)),
  );
}

const addressOf = (host: string, options: EntryOptions = {}, settings: Partial<AutoAllocateSettings> = {}): readonly string[] =>
  addressesOf([entry(host, options)], settings).get(`${options.namespace ?? "default"}/${host}`) ?? [];

const names = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `service-${index}.example.com`);
const moved = (before: ReadonlyMap<string, readonly string[]>, after: ReadonlyMap<string, readonly string[]>): readonly string[] =>
  [...before].filter(([host, addresses]) => after.has(host) && after.get(host)?.[0] !== addresses[0]).map(([host]) => host);

suite("a host without addresses", () => {
  // What Istio's legacy allocator was seen to hand out.
  const seen: readonly (readonly [string, string, string])[] = [
    ["default", "mymongodb.somedomain", "240.240.188.54"],
    ["default", "api.example.com", "240.240.131.162"],
    ["default", "multi.example.com", "240.240.211.231"],
    ["default", "db-a.internal", "240.240.242.121"],
    ["default", "db-b.internal", "240.240.161.35"],
    ["apps", "two.internal", "240.240.30.130"],
  ];
  for (const [namespace, host, expected] of seen)
    test(`${namespace}/${host} is ${expected}`, () => assert.equal(addressOf(host, { namespace })[0], expected));

  test("has the same last bits in IPv6", () => {
    assert.deepEqual(addressOf("mymongodb.somedomain"), ["240.240.188.54", "2001:2::f0f0:bc36"]);
    assert.deepEqual(addressOf("sans.example.com", { namespace: "apps" }), ["240.240.6.129", "2001:2::f0f0:681"]);
  });

  const none: readonly (readonly [string, string, EntryOptions])[] = [
    ["with an address of its own", "a.b", { spec: { addresses: ["192.0.2.1"] } }],
    ["without resolution", "a.b", { spec: { resolution: "NONE" } }],
    ["that is a wildcard", "*.b", {}],
    ["that opted out", "a.b", { labels: { "networking.istio.io/enable-autoallocate-ip": "false" } }],
    [
      "that opted out, whatever its status says",
      "a.b",
      { labels: { "networking.istio.io/enable-autoallocate-ip": "false" }, spec: { allocated: [{ host: "a.b", address: "240.240.9.9" }] } },
    ],
  ];
  for (const [title, host, options] of none) test(`${title} is given none`, () => assert.deepEqual(addressOf(host, options), []));

  test("keeps what its status says, and nobody else is given that", () => {
    const [taken = ""] = addressOf("a.example.com");
    const holder = entry("holder.example.com", { spec: { allocated: [{ host: "holder.example.com", address: taken }] } });
    const addresses = addressesOf([entry("a.example.com"), holder]);
    assert.deepEqual(addresses.get("default/holder.example.com"), [taken]);
    assert.notEqual(addresses.get("default/a.example.com")?.[0], taken);
  });

  test("is not given an address that another entry or a Service has", () => {
    const [taken = ""] = addressOf("a.example.com");
    const addresses = addressesOf([entry("a.example.com"), entry("fixed.example.com", { spec: { addresses: [taken] } })]);
    assert.notEqual(addresses.get("default/a.example.com")?.[0], taken);
  });

  test("has one address in all entries of its namespace, another one elsewhere", () => {
    const [first, second, other] = ["a", "b", "c"].map((name) =>
      entry("two.internal", { name, namespace: name === "c" ? "other" : "apps" }),
    );
    assert.ok(first !== undefined && second !== undefined && other !== undefined);
    const allocated = allocateAddresses(meshOf([first, second, other]));
    assert.deepEqual(allocated.of(first, "two.internal"), allocated.of(second, "two.internal"));
    assert.notDeepEqual(allocated.of(first, "two.internal"), allocated.of(other, "two.internal"));
  });
});

suite("10,000 hosts without addresses", () => {
  const entries = names(10_000).map((name) => entry(name));
  const addresses = addressesOf(entries);

  test("have an address each", () => {
    for (const family of [0, 1]) assert.equal(new Set([...addresses.values()].map((pair) => pair[family])).size, 10_000);
    assert.deepEqual(allocateAddresses(meshOf(entries)).unserved, []);
  });

  test("have the same ones in whatever order they are read", () => {
    const turned = [...entries.slice(3000), ...entries.slice(0, 3000).toReversed()];
    const allocated = allocateAddresses({ ...meshOf([]), serviceEntries: turned });
    for (const each of turned) assert.deepEqual(allocated.of(each, each.meta.name), addresses.get(`default/${each.meta.name}`));
  });

  test("keep theirs when one comes or goes, but for those whose probes meet its slot", () => {
    let changes = 0;
    for (let index = 0; index < 40; index++) {
      const without = addressesOf(entries.toSpliced(index * 241, 1));
      changes += moved(addresses, without).length;
    }
    // A sixth of the range is full, so about one change in thirteen meets a host that has to give way.
    assert.ok(changes > 0 && changes < 15, `${changes} of 40 removals moved another host`);
  });
});

suite("hosts with creationTimestamps", () => {
  const aged = names(5000).map((name, index) => entry(name, { createdAt: 1_700_000_000_000 + index }));

  test("never move because of newer ones", () => {
    for (const count of [10, 500, 2500, 4999]) assert.deepEqual(moved(addressesOf(aged.slice(0, count)), addressesOf(aged)), []);
  });

  test("never move when newer ones go", () => {
    assert.deepEqual(moved(addressesOf(aged), addressesOf(aged.slice(0, 4000))), []);
  });
});

suite("a range that is too small", () => {
  test("serves whom it can, says who is left, and serves nobody twice", () => {
    const entries = names(20).map((name) => entry(name));
    const allocated = allocateAddresses(meshOf(entries, { ranges: { v4: "10.9.8.0/28", v6: "fd00::/64" } }));
    const served = entries.flatMap((each) => allocated.of(each, each.meta.name).slice(0, 1));
    assert.equal(allocated.capacity, 14);
    assert.equal(new Set(served).size, 14);
    assert.equal(allocated.unserved.length, 6);
    for (const address of served) assert.match(address, /^10\.9\.8\.([1-9]|1[0-4])$/);
  });

  test("can be filled to the last address", () => {
    const settings = { ranges: { v4: "10.9.8.0/23", v6: "fd00::/64" } };
    const all = addressesOf(
      names(508).map((name) => entry(name)),
      settings,
    );
    assert.equal(new Set([...all.values()].map(([v4]) => v4)).size, 508);
  });
});

suite("in sequence", () => {
  test("addresses follow the age of the entries, then their names, around those that are taken", () => {
    const entries = [
      entry("c.example.com", { name: "c", createdAt: 1 }),
      entry("b.example.com", { name: "b", createdAt: 2 }),
      entry("a.example.com", { name: "a", createdAt: 2, spec: { hosts: ["a.example.com", "z.example.com"] } }),
      entry("held.example.com", { name: "d", createdAt: 3, spec: { allocated: [{ host: "held.example.com", address: "240.240.0.2" }] } }),
    ];
    assert.deepEqual(Object.fromEntries(addressesOf(entries, { order: "sequence" })), {
      "default/c.example.com": ["240.240.0.1", "2001:2::1"],
      "default/b.example.com": ["240.240.0.5", "2001:2::5"],
      "default/a.example.com": ["240.240.0.3", "2001:2::3"],
      "default/z.example.com": ["240.240.0.4", "2001:2::4"],
      "default/held.example.com": ["240.240.0.2"],
    });
  });
});
