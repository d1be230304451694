// A mesh directory as a source: strict at the start, forgiving later, never less than what was in force.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { LoadedConfig, LoadResult } from "../../../src/proxy/config-source.ts";
import { filterSupport } from "../../../src/filter/registry.ts";
import { createMeshSource } from "../../../src/proxy/mesh-source.ts";
import { buildSnapshot } from "../../../src/snapshot/snapshot.ts";
import { makeCa } from "../../support/certs.ts";
import type { ResolvedAddress } from "../../../src/upstream/discovery/host-lookup.ts";
import { manualClock } from "../../support/manual-clock.ts";

const sample = fileURLToPath(new URL("../../../config/mesh/crossing", import.meta.url));
const node = "sidecar~127.10.1.10~sleep.default~default.svc.cluster.local";

function copy(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "mesh-source-"));
  t.after(() => rmSync(folder, { recursive: true }));
  cpSync(sample, folder, { recursive: true });
  return folder;
}

function source(folder: string, id = node): { load(previous: LoadedConfig | undefined): Promise<LoadResult> } {
  return createMeshSource({ folder, flags: { node: id, cluster: "cluster1", network: "network1" }, nodeFile: undefined, environment: {} });
}

async function good(load: Promise<LoadResult>): Promise<LoadedConfig> {
  const result = await load;
  assert.ok(result.ok, JSON.stringify(result));
  return result.config;
}

suite("mesh source", () => {
  test("yields decoded resources, their JSON, and what to watch", async (t) => {
    const folder = copy(t);
    const config = await good(source(folder).load(undefined));
    const names = config.resources.clusters.map(({ name }) => name);
    assert.ok(names.includes("outbound|8000||httpbin.default.svc.cluster.local"), names.join(" "));
    assert.deepEqual(
      config.json.clusters.map((json) => (json as { name: string }).name),
      names,
    );
    assert.equal(config.node.id, node);
    assert.deepEqual(config.paths, [folder]);
    assert.deepEqual(
      config.issues.filter((issue) => issue.severity === "error"),
      [],
    );
  });

  test("routes to a port that a destination has not are no news, routes to a subset that it has not are", async () => {
    const folder = fileURLToPath(new URL("../../golden/mesh/implied-ports/mesh", import.meta.url));
    const options = { folder, flags: { node: "caller" }, nodeFile: undefined, environment: {} };
    const { resources, meantAbsent } = await good(createMeshSource(options).load(undefined));
    assert.ok(meantAbsent);
    const { issues } = buildSnapshot(resources, { ...filterSupport, meantAbsent });
    const missing = issues.flatMap(({ message }) => /goes to cluster (\S+), which does not exist \(yet\)/.exec(message)?.[1] ?? []);
    assert.deepEqual(missing, ["outbound|80|gone|three.shop.svc.cluster.local", "outbound|8080|gone|three.shop.svc.cluster.local"]);
    assert.equal(buildSnapshot(resources, filterSupport).issues.length, issues.length + 5);
  });

  test("a broken file refuses the start and says where", async (t) => {
    const folder = copy(t);
    writeFileSync(join(folder, "istio", "broken.yaml"), "a: [\n");
    const result = await source(folder).load(undefined);
    assert.ok(!result.ok);
    assert.match(result.issues[0]?.text ?? "", /broken\.yaml:\d+:\d+ error /);
    assert.deepEqual(result.paths, [folder]);
  });

  test("a broken file later leaves what it said before in force, and the rest changes", async (t) => {
    const folder = copy(t);
    const mesh = source(folder);
    const before = await good(mesh.load(undefined));
    const gateway = readdirSync(join(folder, "istio")).find((name) => name.endsWith(".yaml")) ?? "";
    writeFileSync(join(folder, "istio", gateway), "a: [\n");
    const after = await good(mesh.load(before));
    assert.ok(after.issues.some(({ severity, text }) => severity === "error" && text.includes(gateway)));
    assert.deepEqual(
      after.resources.clusters.map(({ name }) => name),
      before.resources.clusters.map(({ name }) => name),
    );
  });

  test("a node that is none, and a node file that is missing, are said", async (t) => {
    const wrong = await source(copy(t), "sidecar~x").load(undefined);
    assert.ok(!wrong.ok);
    assert.match(wrong.issues[0]?.text ?? "", /no node id/);
    const missing = await createMeshSource({ folder: sample, flags: {}, nodeFile: "/nonexistent/node.json", environment: {} }).load(
      undefined,
    );
    assert.ok(!missing.ok);
    assert.match(missing.issues[0]?.text ?? "", /node\.json: cannot be read/);
  });

  test("certificates from files and Secrets reach a gateway as secrets and are in no dump; a bad file takes only itself away", async (t) => {
    const folder = copy(t);
    const ca = makeCa();
    const [chain, key] = [join(folder, "..chain.pem"), join(folder, "..key.pem")];
    const issued = ca.issue({ dns: ["a.example.com"] });
    writeFileSync(chain, issued.chain);
    writeFileSync(key, issued.key);
    const server = (number: number, tls: object): object => ({ port: { number, name: `p${number}`, protocol: "TLS" }, hosts: ["*"], tls });
    const gateway = {
      apiVersion: "networking.istio.io/v1",
      kind: "Gateway",
      metadata: { name: "edge" },
      spec: {
        selector: { app: "edge" },
        servers: [
          server(444, { mode: "SIMPLE", serverCertificate: chain, privateKey: key }),
          server(445, { mode: "MUTUAL", credentialName: "a" }),
          server(446, { mode: "SIMPLE", credentialName: "gone" }),
        ],
      },
    };
    const secret = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "a", namespace: "default" },
      stringData: { cert: issued.chain, key: issued.key, cacert: ca.cert },
    };
    writeFileSync(join(folder, "istio", "edge.json"), JSON.stringify(gateway));
    writeFileSync(join(folder, "k8s", "cluster1.yaml"), `---\n${JSON.stringify(secret)}\n`, { flag: "a" });
    const edge = createMeshSource({
      folder,
      flags: { node: "router~127.0.0.9~edge.default~default.svc.cluster.local", cluster: "cluster1", labels: "app=edge" },
      nodeFile: undefined,
      environment: {},
    });
    const first = await good(edge.load(undefined));
    assert.deepEqual(
      first.resources.secrets.map(({ name }) => name),
      [`file-cert:${chain}~${key}`, "kubernetes://a", "kubernetes://a-cacert"],
    );
    assert.ok(first.paths.includes(chain) && first.paths.includes(key));
    assert.match(
      first.issues.map(({ severity, text }) => `${severity} ${text}`).join("\n"),
      /warning .*edge\.json:1:\d+ .*names Secret gone/,
    );
    assert.doesNotMatch(JSON.stringify([first.json, first.issues]), /PRIVATE KEY/);
    writeFileSync(key, "no key");
    const second = await good(edge.load(first));
    assert.deepEqual(
      second.resources.secrets.map(({ name }) => name),
      ["kubernetes://a", "kubernetes://a-cacert"],
    );
    assert.deepEqual(second.rejected, [{ kind: "secrets", name: `file-cert:${chain}~${key}` }]);
    assert.doesNotMatch(JSON.stringify(second.issues), /no key/);
  });

  test("host names of gateways are resolved: endpoints behind them are their addresses, and a change asks for another load", async (t) => {
    const folder = copy(t);
    const cluster = join(folder, "k8s", "cluster2.yaml");
    writeFileSync(cluster, readFileSync(cluster, "utf8").replace("{ip: 127.99.0.2}", "{hostname: gateway.example}"));
    const clock = manualClock();
    let address = "192.0.2.1";
    const lookup = (): Promise<readonly ResolvedAddress[]> => Promise.resolve([{ address, ttlSeconds: 60 }]);
    const options = { folder, flags: { node, cluster: "cluster1", network: "network1" }, nodeFile: undefined, environment: {} };
    const mesh = createMeshSource(options, { lookup, clock });
    const changed = new Promise<void>((resolve) => mesh.onChange?.(resolve));
    const first = await good(mesh.load(undefined));
    assert.match(JSON.stringify(first.json.endpoints), /"192\.0\.2\.1","port_value":15443/);
    address = "192.0.2.2";
    clock.advance(60_000);
    await changed;
    assert.match(JSON.stringify((await good(mesh.load(first))).json.endpoints), /"192\.0\.2\.2","port_value":15443/);
    mesh.close?.();
    assert.equal(clock.pending(), 0);
  });
});
