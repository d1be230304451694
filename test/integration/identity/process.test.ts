// `isthmus run` as processes: flags of the workload's certificate, refusals in the process log, and no private key anywhere.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { endpoints } from "../../../src/admin/endpoints.ts";
import {
  makeIntermediate,
  makeRoot,
  makeWorkload,
  pemOf,
  placeAuthority,
  placeWorkload,
  temporaryFolder,
} from "../../support/identity/authorities.ts";
import { endBootstrap, until } from "../../support/identity/mtls-pair.ts";
import { certificateSecret, rootsSecret, startSdsServer } from "../../support/identity/sds-server.ts";
import { isthmus, isthmusWith, startEcho, startProxyProcess, type RunningProxy } from "../run-process.ts";

const account = (name: string): string => `spiffe://cluster.local/ns/default/sa/${name}`;

interface Started extends RunningProxy {
  readonly accessFile: string;
}

async function start(t: TestContext, role: "client" | "server", upstream: number, flags: readonly string[], more = {}): Promise<Started> {
  const folder = temporaryFolder(t);
  const [file, accessFile] = [join(folder, "bootstrap.json"), join(folder, "access.log")];
  // A port that is written down, since explain goes by what is written.
  const bootstrap = endBootstrap(role, upstream, more, accessFile).replace('"port_value":0', `"port_value":${await freePort()}`);
  writeFileSync(file, bootstrap);
  const running = await startProxyProcess(t, "-c", file, "--concurrency", "1", ...flags);
  return { ...running, accessFile };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await once(server.close(), "close");
  return port;
}

/** Every answer of every admin page, the changing ones included; those that end the process last. */
async function allPages(proxy: RunningProxy): Promise<string> {
  let all = "";
  const queries = [
    "",
    "?format=json",
    "?format=prometheus",
    "?include_eds",
    "?resource=dynamic_active_secrets",
    "?url=http%3A%2F%2Fserver%2F&format=json",
  ];
  for (const { path, mutates } of endpoints) {
    if (path === "/quitquitquit" || path === "/drain_listeners") continue;
    for (const query of queries) all += await proxy.page(`${path}${query}`, mutates ? "POST" : "GET");
  }
  return all + (await proxy.page("/explain?url=http://127.0.0.1/")) + (await proxy.page("/logging?level=debug", "POST"));
}

const linesOfKey = (pem: string): readonly string[] => pem.split("\n").filter((line) => line.length > 20 && !line.startsWith("-----"));

suite("isthmus run with a workload certificate", { timeout: 120_000 }, () => {
  test("--ca-dir issues for --identity, and different roots are told in the process log of both sides and by explain", async (t) => {
    const folder = temporaryFolder(t);
    const [one, two] = [join(folder, "one"), join(folder, "two")];
    placeAuthority(one, makeIntermediate(makeRoot(), "cluster1"));
    placeAuthority(two, makeIntermediate(makeRoot(), "cluster2"));
    const server = await start(t, "server", 9, ["--ca-dir", two, "--identity", account("httpbin")]);
    await server.saw(/workload certificate issued.*identity=\S*ns\/default\/sa\/httpbin/);
    const flags = ["--ca-dir", one, "--identity", account("sleep"), "--cert-ttl", "2h"];
    const client = await start(t, "client", await server.port("server"), flags);
    const port = await client.port("client");
    assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 503);
    const said = "certificate signed by unknown authority: root of cluster2 is not in cluster1's root-cert.pem";
    await client.saw(new RegExp(`server certificate refused.*${said}.*peer=\\S*httpbin`));
    await server.saw(
      /own certificate refused by the peer.*certificate signed by unknown authority: root of cluster2 is not in the peer's root-cert\.pem/,
    );
    const explained = await client.page(`/explain?url=${encodeURIComponent(`http://127.0.0.1:${port}/`)}`);
    assert.ok(explained.includes(said), explained);
    const certs = JSON.parse(await client.page("/certs")) as {
      certificates: { cert_chain: { subject_alt_names: unknown[]; expiration_time: string }[] }[];
    };
    const [leaf] = certs.certificates[0]!.cert_chain;
    assert.deepEqual(leaf?.subject_alt_names, [{ uri: account("sleep") }]);
    assert.ok(Math.abs(Date.parse(leaf.expiration_time) - Date.now() - 7_200_000) < 60_000);
    const gauge = /isthmus_certificate_expiry_seconds\{source="secret default",kind="leaf",position="0",identity="([^"]+)"\} (\d+)/;
    const [, identity, seconds] = gauge.exec(await client.page("/stats/prometheus")) ?? [];
    assert.equal(identity, account("sleep"));
    assert.ok(Number(seconds) > 7_000 && Number(seconds) <= 7_200, seconds);
    for (const { page, output } of [client, server]) {
      for (const key of [one, two].map((ca) => readFileSync(join(ca, "ca-key.pem"), "utf8"))) {
        for (const line of linesOfKey(key)) assert.ok(!output().includes(line) && !(await page("/config_dump")).includes(line));
      }
    }
  });

  test("no private key is in a page, the log, the access log or an error", async (t) => {
    const folder = temporaryFolder(t);
    const authority = makeIntermediate(makeRoot(), "cluster1");
    const workloads = ["files", "sds", "inline", "wrong"].map((name) => makeWorkload(authority, name));
    const [files, sent, inline, wrong] = workloads.map(pemOf) as [
      ReturnType<typeof pemOf>,
      ReturnType<typeof pemOf>,
      ReturnType<typeof pemOf>,
      ReturnType<typeof pemOf>,
    ];
    placeWorkload(folder, workloads[0]!);
    const sds = await startSdsServer(t);
    sds.push(certificateSecret(sent.chain, sent.key));
    sds.push(rootsSecret(sent.roots));
    const common = {
      tls_certificates: [{ certificate_chain: { inline_string: inline.chain }, private_key: { inline_string: inline.key } }],
      validation_context: { trusted_ca: { inline_string: inline.roots } },
    };
    const upstream = await startEcho(t);
    const proxies = [
      await start(t, "server", upstream, ["--certs", folder, "--log-level", "trace"]),
      await start(t, "client", upstream, ["--sds", sds.target, "--log-level", "trace"]),
      await start(t, "server", upstream, ["--log-level", "trace"], { common }),
    ];
    // What goes wrong has to be said, and that is where a key would slip out.
    sds.push(certificateSecret(sent.chain, wrong.key));
    await proxies[1]!.saw(/SDS secret refused/);
    sds.push(certificateSecret(sent.chain, wrong.key.replace("M", "%")));
    writeFileSync(join(folder, "key.pem"), wrong.key);
    await proxies[0]!.saw(/workload certificate refused/);
    writeFileSync(join(folder, "key.pem"), wrong.key.slice(0, 80));
    await fetch(`http://127.0.0.1:${await proxies[1]!.port("client")}/`).catch(() => undefined);
    let all = "";
    for (const proxy of proxies)
      all += (await allPages(proxy)) + proxy.output() + readFileSync(proxy.accessFile, { encoding: "utf8", flag: "a+" });
    const broken = join(folder, "broken.json");
    writeFileSync(
      broken,
      endBootstrap(
        "server",
        9,
        {
          common: {
            ...common,
            tls_certificates: [{ certificate_chain: { inline_string: inline.key }, private_key: { inline_string: inline.key } }],
          },
        },
        "/dev/null",
      ),
    );
    const failed = isthmus(t, "run", "-c", broken);
    assert.equal(await failed.exited, 1);
    all += failed.output() + JSON.stringify(sds.requests);
    assert.ok(all.includes("[redacted]"), "the dump shows where a key was");
    assert.ok(all.length > 50_000, `only ${all.length} characters were looked through`);
    for (const key of [files.key, sent.key, inline.key, wrong.key])
      for (const line of linesOfKey(key)) assert.ok(!all.includes(line), "a key is told");
  });

  test("--mesh takes the identity from the node and the trust domain from the mesh, and follows a change of it", async (t) => {
    const folder = temporaryFolder(t);
    const [ca, mesh] = [join(folder, "ca"), join(folder, "mesh")];
    placeAuthority(ca, makeIntermediate(makeRoot(), "cluster1"));
    mkdirSync(mesh);
    writeFileSync(join(mesh, "meshconfig.yaml"), "trustDomain: old.example\n");
    const node = {
      name: "sleep",
      id: "sidecar~127.0.0.1~sleep.shop~shop.svc.cluster.local",
      metadata: { INTERCEPTION_MODE: "NONE", CLUSTER_ID: "cluster1", SERVICE_ACCOUNT: "sleeper" },
    };
    writeFileSync(join(mesh, "nodes.yaml"), JSON.stringify({ nodes: [node] }));
    const proxy = await startProxyProcess(t, "--mesh", mesh, "--node", "sleep", "--dns", "off", "--ca-dir", ca, "--concurrency", "1");
    await proxy.saw(/workload certificate issued.*identity=\S*spiffe:\/\/old\.example\/ns\/shop\/sa\/sleeper/);
    writeFileSync(join(mesh, "meshconfig.yaml"), "trustDomain: new.example\ntrustDomainAliases: [old.example]\n");
    await proxy.saw(/workload certificate issued.*identity=\S*spiffe:\/\/new\.example\/ns\/shop\/sa\/sleeper/);
    await until("/certs has it", async () => (await proxy.page("/certs")).includes("spiffe://new.example/ns/shop/sa/sleeper"));
  });

  test("CA_ADDR, SECRET_TTL and the like are Istio's; what cannot be read is said", async (t) => {
    const folder = temporaryFolder(t);
    const file = join(folder, "bootstrap.json");
    writeFileSync(file, endBootstrap("server", 9, {}, join(folder, "access.log")));
    const cases: readonly (readonly [Readonly<Record<string, string>>, readonly string[], RegExp])[] = [
      [{ SECRET_TTL: "a day" }, ["--ca-dir", folder], /SECRET_TTL: "a day" is no duration/],
      [{ SECRET_GRACE_PERIOD_RATIO: "2" }, ["--ca-dir", folder], /SECRET_GRACE_PERIOD_RATIO: expected a number from 0 to 1/],
      [{}, ["--ca-dir", folder, "--certs", folder], /give one of --certs, --sds, --ca-dir and --ca-address/],
      [{}, ["--sds", "127.0.0.1:1"], /Expected a Unix socket/],
      [{}, ["--ca-dir", folder, "--identity", "spiffe://cluster.local"], /Expected spiffe:/],
    ];
    await Promise.all(
      cases.map(async ([environment, flags, why]) => {
        const failed = isthmusWith(t, environment, ["run", "-c", file, ...flags]);
        assert.equal(await failed.exited, 2);
        assert.match(failed.output(), why);
      }),
    );
    const nobody = isthmus(t, "run", "-c", file, "--ca-dir", folder);
    assert.equal(await nobody.exited, 1);
    assert.match(nobody.output(), /nobody said who this workload is: give --identity/);
  });
});
