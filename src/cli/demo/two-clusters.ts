// The demo's cast: httpbin, four proxies and a cluster DNS server, each a process or socket of its own: in pods, or on loopback.
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { ChildProcesses } from "./child-processes.ts";
import { startClusterDns } from "./cluster-dns.ts";
import type { ClusterDns } from "./cluster-dns.ts";
import { accessLogFields } from "./access-lines.ts";
import { issueIdentities } from "./identities.ts";
import { copyMesh } from "./mesh-copy.ts";
import type { MeshCopy, MeshService, Workload } from "./mesh-copy.ts";
import type { HttpAnswer } from "./questions.ts";
import { freePort, type Stage } from "./stage.ts";

/** One proxy of the demo. */
export interface DemoProxy {
  /** What the process is called on the screen. */
  readonly name: string;
  readonly workload: Workload;
  /** HOST:PORT of its admin interface. */
  readonly admin: string;
  readonly certificates: string;
  readonly pid: number;
  /** GETs a path of its admin interface; undefined when nothing whole comes back. */
  readonly ask: (path: string) => Promise<HttpAnswer | undefined>;
}

/** The keys of the four proxies. */
export type ProxyKey = "sleep" | "gateway1" | "gateway2" | "httpbin";

/** Everything that runs. */
export interface TwoClusters {
  readonly mesh: MeshCopy;
  readonly proxies: Readonly<Record<ProxyKey, DemoProxy>>;
  readonly app: { readonly name: string; readonly pid: number; readonly address: string };
  /** The service that only cluster2 has. */
  readonly service: MeshService;
  /** The port of the service, and of the gateways. */
  readonly servicePort: number;
  readonly gatewayPort: number;
  /** HOST:PORT where sleep finds DNS: isthmus' in its sidecar, or the address that leads there by interception. */
  readonly dns: string;
  /** cluster1's own DNS, to which isthmus forwards what it does not know. */
  readonly clusterDns: ClusterDns;
}

/** What each proxy is called on the screen, and in the sample's nodes.yaml. */
const cast: Readonly<Record<ProxyKey, { readonly name: string; readonly node: string }>> = {
  sleep: { name: "sleep's sidecar", node: "sleep" },
  gateway1: { name: "cluster1's gateway", node: "eastwest-c1" },
  gateway2: { name: "cluster2's gateway", node: "eastwest-c2" },
  httpbin: { name: "httpbin's sidecar", node: "httpbin" },
};

/** Where Istio's ports begin; each may be taken, then the next free one is used. */
const firstAdminPort = 15000;

/** How long a proxy may take from its start to its first yes on /ready. */
const readyDeadlineMs = 20_000;

/** One worker is plenty; records are shown as they happen; at the end there is nobody to wait for. */
const proxyFlags = ["--concurrency", "1", "--access-log-flush-ms", "10", "--drain-time-s", "1"];

const loopback = "127.0.0.1";
const packageRoot = fileURLToPath(new URL("../../../", import.meta.url));

/** Starts everything in `folder` and returns when every proxy is ready. */
export async function startTwoClusters(folder: string, stage: Stage, processes: ChildProcesses, nowMs: number): Promise<TwoClusters> {
  const mesh = await copyMesh(sampleMesh(), path.join(folder, "mesh"), accessLogFields, stage.pods);
  const workloads: Record<ProxyKey, Workload> = {
    sleep: workload(mesh, "cluster1", "sleep"),
    gateway1: workload(mesh, "cluster1", "istio-eastwestgateway"),
    gateway2: workload(mesh, "cluster2", "istio-eastwestgateway"),
    httpbin: workload(mesh, "cluster2", "httpbin"),
  };
  const service = find(mesh.services, "the service httpbin of cluster2", (one) => one.name === "httpbin" && one.cluster === "cluster2");
  const { port: servicePort, targetPort } = find(service.ports, "a port of the service httpbin", () => true);
  const certificates = issueIdentities(workloads, path.join(folder, "certs"), nowMs);
  const own = mesh.services.filter(({ cluster }) => cluster === "cluster1");
  const clusterDns = await startClusterDns(
    loopback,
    new Map(own.map((one) => [`${one.name}.${one.namespace}.svc.cluster.local`, one.clusterIp])),
  );

  const appHost = stage.pods ? workloads.httpbin.ip : loopback;
  const { pid } = processes.start(
    "httpbin",
    [siblingModule("test/apps/httpbin"), "--host", appHost, "--port", String(targetPort)],
    stage.place("httpbin", "application"),
  );
  const dns = await stage.dns();
  const started: Partial<Record<ProxyKey, DemoProxy>> = {};
  let adminPort = firstAdminPort;
  for (const key of ["httpbin", "gateway2", "gateway1", "sleep"] as const) {
    if (!stage.pods) adminPort = await freePort(adminPort);
    const admin = `${loopback}:${stage.pods ? adminPort : adminPort++}`;
    const { name, node } = cast[key];
    const certs = certificates[key] ?? "";
    const isthmus = [...process.execArgv, process.argv[1] ?? ""];
    if (stage.pods && (key === "httpbin" || key === "sleep"))
      await stage.run(key, [process.execPath, ...isthmus, "intercept", "apply", "--mesh", mesh.folder, "--node", node]);
    const run = ["run", "--mesh", mesh.folder, "--node", node, "--certs", certs, "--admin", admin, ...proxyFlags];
    const listen = stage.pods ? [] : ["--dns", dns];
    const withDns = key === "sleep" ? [...listen, "--dns-forward", `${loopback}:${clusterDns.port}`] : ["--dns", "off"];
    const child = processes.start(name, [...isthmus, ...run, ...withDns], stage.place(key, "proxy-group"));
    const ask = (path: string): Promise<HttpAnswer | undefined> => stage.askAdmin(key, admin, path);
    started[key] = { name, workload: workloads[key], admin, certificates: certs, pid: child.pid, ask };
  }
  const proxies = started as Record<ProxyKey, DemoProxy>;
  await Promise.all(Object.values(proxies).map((proxy) => waitUntilReady(proxy)));
  return {
    mesh,
    proxies,
    app: { name: "httpbin", pid, address: `${appHost}:${targetPort}` },
    service,
    servicePort,
    gatewayPort: mesh.moved.get(15443) ?? 15443,
    dns,
    clusterDns,
  };
}

async function waitUntilReady({ name, ask }: DemoProxy): Promise<void> {
  const until = performance.now() + readyDeadlineMs;
  while (performance.now() < until) {
    if ((await ask("/ready"))?.status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${name} was not ready after ${readyDeadlineMs / 1000} s`);
}

// The sample lies at the same place in a clone and in the published package, whose code is one folder deeper.
function sampleMesh(): string {
  return find(
    [path.join(packageRoot, "config", "mesh", "crossing"), path.join(packageRoot, "..", "config", "mesh", "crossing")],
    "the sample mesh config/mesh/crossing",
    (folder) => fs.existsSync(folder),
  );
}

// A module beside src/: .ts as written, .js once built.
function siblingModule(name: string): string {
  return path.join(packageRoot, `${name}${path.extname(fileURLToPath(import.meta.url))}`);
}

function workload(mesh: MeshCopy, cluster: string, app: string): Workload {
  return find(mesh.workloads, `a Pod of ${app} in ${cluster}`, (one) => one.cluster === cluster && (one.labels["app"] ?? one.name) === app);
}

function find<T>(all: readonly T[], what: string, wanted: (one: T) => boolean): T {
  const found = all.find(wanted);
  if (found === undefined) throw new Error(`the demo needs ${what}`);
  return found;
}
