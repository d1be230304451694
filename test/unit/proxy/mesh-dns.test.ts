// The DNS responder as a proxy starts it: names of the node's own point of view, replaced by the next load.
import assert from "node:assert/strict";
import { Resolver } from "node:dns/promises";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { defaultForwardSettings } from "../../../src/dns/forward/settings.ts";
import type { NameTableJson } from "../../../src/dns/name-table.ts";
import type { LoadedConfig } from "../../../src/proxy/config-source.ts";
import { startMeshDns } from "../../../src/proxy/mesh-dns.ts";
import type { Logger } from "../../../src/telemetry/logger.ts";
import { StatsSlab } from "../../../src/telemetry/stats-slab.ts";

const quiet: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, child: () => quiet };

function config(nameTable: NameTableJson | undefined): LoadedConfig {
  return {
    node: {
      id: "sidecar~10.0.0.1~sleep-1.default~default.svc.cluster.local",
      cluster: "",
      locality: { region: "", zone: "", subZone: "" },
      metadata: {},
    },
    admin: undefined,
    resources: { listeners: [], clusters: [], routes: [], endpoints: [], secrets: [] },
    rejected: [],
    locate: ({ message }) => message,
    bootstrap: undefined,
    json: { listeners: [], clusters: [], routes: [], endpoints: [] },
    nameTable,
    issues: [],
    unfinished: false,
    paths: [],
  };
}

const service = (name: string, ip: string): NameTableJson => ({
  table: { [`${name}.default.svc.cluster.local`]: { ips: [ip], registry: "Kubernetes", shortname: name, namespace: "default" } },
});

suite("mesh DNS", () => {
  test("answers short names of the node's namespace, and the names of the latest load", async (t) => {
    const dns = await startMeshDns({
      address: { address: "127.0.0.1", port: 0 },
      forward: [],
      config: config(service("httpbin", "10.96.2.80")),
      stats: new StatsSlab(() => undefined).root,
      clock: systemClock,
      logger: quiet,
      resolvConf: "/nonexistent/resolv.conf",
    });
    t.after(() => dns.close());
    const resolver = new Resolver({ timeout: 2000, tries: 1 });
    resolver.setServers([`${dns.address.address}:${dns.address.port}`]);
    assert.deepEqual(await resolver.resolve4("httpbin"), ["10.96.2.80"]);
    dns.setNames(config(service("other", "10.96.2.81")));
    assert.deepEqual(await resolver.resolve4("other.default"), ["10.96.2.81"]);
    // No server to forward to: the name is gone.
    await assert.rejects(resolver.resolve4("httpbin"));
    // The same names from another namespace: the bare name is not known there, the full one is.
    const same = config(service("other", "10.96.2.81"));
    dns.setNames({ ...same, node: { ...same.node, metadata: { NAMESPACE: "shop" } } });
    assert.deepEqual(await resolver.resolve4("other.default"), ["10.96.2.81"]);
    await assert.rejects(resolver.resolve4("other"));
  });

  test("hosts that are handed over again are not looked at, and what changed is seen all the same", async (t) => {
    const counted = { reads: 0 };
    const kept = Object.defineProperty({ registry: "External" }, "ips", {
      enumerable: true,
      get: () => {
        counted.reads++;
        return ["10.96.2.80"];
      },
    });
    const load = (rest: NameTableJson["table"], ports?: LoadedConfig["servicePorts"]): LoadedConfig => ({
      ...config({ table: { "kept.example": kept, ...rest } }),
      ...(ports === undefined ? {} : { servicePorts: ports }),
    });
    const dns = await startMeshDns({
      address: { address: "127.0.0.1", port: 0 },
      forward: [],
      config: load({ "other.example": { ips: ["10.0.0.1"] } }),
      stats: new StatsSlab(() => undefined).root,
      clock: systemClock,
      logger: quiet,
      resolvConf: "/nonexistent/resolv.conf",
    });
    t.after(() => dns.close());
    const resolver = new Resolver({ timeout: 2000, tries: 1 });
    resolver.setServers([`${dns.address.address}:${dns.address.port}`]);
    const { reads } = counted;
    dns.setNames(load({ "other.example": { ips: ["10.0.0.1"] } }));
    assert.equal(counted.reads, reads);
    dns.setNames(load({ "other.example": { ips: ["10.0.0.2"] } }));
    assert.ok(counted.reads > reads);
    assert.deepEqual(await resolver.resolve4("other.example"), ["10.0.0.2"]);
    dns.setNames(load({ "another.example": { ips: ["10.0.0.2"] } }));
    assert.deepEqual(await resolver.resolve4("another.example"), ["10.0.0.2"]);
    dns.setNames(load({ "another.example": { ips: ["10.0.0.2"] } }, { "kept.example": [{ name: "http", protocol: "tcp", port: 80 }] }));
    assert.equal((await resolver.resolveSrv("_http._tcp.kept.example"))[0]?.port, 80);
    dns.setNames(load({}));
    await assert.rejects(resolver.resolve4("another.example"));
    assert.deepEqual(await resolver.resolve4("kept.example"), ["10.96.2.80"]);
  });

  for (const search of ["all", "first"] as const) {
    test(`settings reach the responder, and the view tells them: search ${search}`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), "mesh-dns-"));
      t.after(() => rmSync(folder, { recursive: true }));
      writeFileSync(join(folder, "resolv.conf"), "search one.example two.example\nnameserver 127.0.0.1\n");
      const dns = await startMeshDns({
        address: { address: "127.0.0.1", port: 0 },
        forward: [],
        config: {
          ...config(service("httpbin", "10.96.2.80")),
          servicePorts: { "httpbin.default.svc.cluster.local": [{ name: "http", protocol: "tcp", port: 8000 }] },
        },
        settings: { search, answers: { ttlS: 5 }, cache: "none", forward: { retries: 3 } },
        stats: new StatsSlab(() => undefined).root,
        clock: systemClock,
        logger: quiet,
        resolvConf: join(folder, "resolv.conf"),
      });
      t.after(() => dns.close());
      const resolver = new Resolver({ timeout: 2000, tries: 1 });
      resolver.setServers([`${dns.address.address}:${dns.address.port}`]);
      assert.deepEqual(await resolver.resolve4("httpbin.default", { ttl: true }), [{ address: "10.96.2.80", ttl: 5 }]);
      assert.deepEqual(await resolver.resolve4("httpbin.default.one.example"), ["10.96.2.80"]);
      assert.deepEqual(await resolver.resolveSrv("_http._tcp.httpbin"), [
        { name: "httpbin.default.svc.cluster.local", port: 8000, priority: 0, weight: 100, type: "SRV" },
      ]);
      const second = resolver.resolve4("httpbin.default.two.example");
      if (search === "all") assert.deepEqual(await second, ["10.96.2.80"]);
      else await assert.rejects(second);

      const view = dns.view();
      assert.deepEqual(view.search, search === "all" ? ["one.example", "two.example"] : ["one.example"]);
      assert.deepEqual(Object.keys(view.table), ["httpbin.default.svc.cluster.local"]);
      assert.deepEqual(Object.keys(view.ports), ["httpbin.default.svc.cluster.local"]);
      assert.equal(view.names, 4 * (1 + view.search.length));
      assert.deepEqual(
        [view.listener.port, view.upstream],
        [dns.address.port, { servers: [], settings: { ...defaultForwardSettings, retries: 3 }, cache: undefined }],
      );
      dns.setNames(config(undefined));
      assert.deepEqual([dns.view().table, dns.view().names], [{}, 0]);
    });
  }
});
