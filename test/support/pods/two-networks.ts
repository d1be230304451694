// The crossing with a namespace a pod: sleep and a plain server in network1, httpbin in network2, a gateway at each network's edge,
// the sample mesh with interception, and a pair of meshes that name httpbin.bar.global.
import { chmodSync, chownSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { PodPlace } from "../../../src/cli/demo/pod-network.ts";
import { redirectMesh } from "../../../src/cli/demo/redirected-mesh.ts";
import { issueMeshCertificates } from "../mesh-proxy.ts";
import { isthmus, layOutPods, type Running, startModule, startProxy } from "./pods.ts";

const sample = fileURLToPath(new URL("../../../config/mesh/crossing", import.meta.url));
const talker = fileURLToPath(new URL("talker.ts", import.meta.url));

/** Where each pod is. Nothing but the gateways' addresses of transit can be reached from the other network. */
export const places: readonly PodPlace[] = [
  { name: "sleep", legs: [{ network: "net1", address: "10.1.0.10/16" }], via: "10.1.0.1", nameserver: "10.1.0.53" },
  { name: "plain", legs: [{ network: "net1", address: "10.1.0.53/16" }], via: "10.1.0.1" },
  { name: "httpbin", legs: [{ network: "net2", address: "10.2.0.20/16" }], via: "10.2.0.1", nameserver: "10.2.0.53" },
  {
    name: "gateway1",
    legs: [
      { network: "net1", address: "10.1.0.1/16" },
      { network: "transit", address: "10.99.0.1/16" },
    ],
    masquerades: "transit",
  },
  {
    name: "gateway2",
    legs: [
      { network: "net2", address: "10.2.0.1/16" },
      { network: "transit", address: "10.99.0.2/16" },
    ],
    masquerades: "transit",
  },
];

/** The address that sleep's cluster knows httpbin.bar.global by. */
export const globalAddress = "240.0.0.2";

// Both: plain TCP services on one port, told apart by their addresses alone.
const database = (name: string, address: string, port: number): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: default}
spec:
  hosts: [${name}.example]
  addresses: [${address}]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{name: tcp, number: 5432, protocol: TCP}]
  endpoints: [{address: 10.1.0.53, ports: {tcp: ${port}}}]
`;
const entries = [database("db-a", "10.250.0.1", 6001), database("db-b", "10.250.0.2", 6002)].join("---");

const nearGlobal = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: httpbin-bar, namespace: default}
spec:
  hosts: [httpbin.bar.global]
  location: MESH_INTERNAL
  ports: [{name: http1, number: 8000, protocol: http}]
  resolution: STATIC
  addresses: [${globalAddress}]
  endpoints: [{address: 10.99.0.2, network: external, ports: {http1: 15443}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: httpbin-global, namespace: default}
spec: {host: httpbin.bar.global, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}
`;

const farGlobal = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: httpbin-bar, namespace: default}
spec:
  hosts: [httpbin.bar.global]
  location: MESH_INTERNAL
  ports: [{name: http1, number: 8000, targetPort: 8080, protocol: HTTP}]
  resolution: STATIC
  workloadSelector: {labels: {app: httpbin}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: global, namespace: istio-system}
spec:
  selector: {istio: eastwestgateway}
  servers:
  - port: {number: 15443, name: tls-global, protocol: TLS}
    tls: {mode: AUTO_PASSTHROUGH}
    hosts: ["*.global"]
`;

// More ports of httpbin: one by whose number Istio knows that the server speaks first, two that say what is spoken, and those whose
// protocol has to be found out.
const ports: readonly (readonly [name: string, port: number, target: number])[] = [
  ["http", 8000, 8080],
  ["db", 3306, 3306],
  ["tcp-sql", 5432, 5432],
  ["mongo", 27017, 27017],
  ["any", 9000, 8080],
  ["echo", 7007, 7007],
  ["shy", 7008, 7008],
];
const morePorts = ports.map(([name, port, target]) => `{name: ${name}, port: ${port}, targetPort: ${target}}`).join(", ");
const moreTargets = ports.map(([name, , target]) => `{name: ${name}, port: ${target}}`).join(", ");

/** What runs. */
export interface TwoNetworks {
  /** Of cluster1's proxies; changes are seen. */
  readonly near: string;
  /** Of cluster2's. */
  readonly far: string;
  readonly sleep: Running;
  readonly httpbin: Running;
  readonly gateway2: Running;
}

function writeMeshes(): readonly [string, string] {
  const folder = mkdtempSync(join(tmpdir(), "isthmus-pods-"));
  chmodSync(folder, 0o755);
  const [near, far] = [join(folder, "near"), join(folder, "far")];
  for (const mesh of [near, far]) {
    cpSync(sample, mesh, { recursive: true });
    writeFileSync(join(mesh, "istio", "entries.yaml"), entries);
    redirectMesh(mesh);
    replace(join(mesh, "k8s", "cluster2.yaml"), "{name: http, port: 8000, targetPort: 8080}", morePorts);
    replace(join(mesh, "k8s", "cluster2.yaml"), "{name: http, port: 8080}", moreTargets);
  }
  // An entry selects pods of the cluster whose objects these are, the first one: as in a control plane that is cluster2's own.
  rmSync(join(far, "k8s", "cluster1.yaml"));
  writeFileSync(join(near, "istio", "global.yaml"), nearGlobal);
  writeFileSync(join(far, "istio", "global.yaml"), farGlobal);
  return [near, far];
}

/** Lays the networks out, applies interception and starts every proxy and application. */
export async function startTwoNetworks(): Promise<TwoNetworks> {
  await layOutPods(places);
  const [near, far] = writeMeshes();
  const eastWest = { namespace: "istio-system", serviceAccount: "istio-eastwestgateway-service-account" };
  const certs = await issueMeshCertificates(
    { after: () => undefined },
    {
      sleep: { cluster: "cluster1", namespace: "default", serviceAccount: "sleep" },
      gateway1: { cluster: "cluster1", ...eastWest },
      gateway2: { cluster: "cluster2", ...eastWest },
      httpbin: { cluster: "cluster2", namespace: "default", serviceAccount: "httpbin" },
    },
  );
  for (const folder of Object.values(certs)) handToProxy(folder);
  await startModule("plain", talker, "plain");
  await startModule("httpbin", talker, "httpbin");
  const sidecar = async (pod: string, mesh: string, ...more: readonly string[]): Promise<Running> => {
    await isthmus(pod, "intercept", "apply", "--mesh", mesh, "--node", pod);
    return startProxy(pod, ["--mesh", mesh, "--node", pod, "--certs", certs[pod as keyof typeof certs], ...more]);
  };
  const gateway = (pod: "gateway1" | "gateway2", mesh: string, node: string): Promise<Running> =>
    startProxy(pod, ["--mesh", mesh, "--node", node, "--certs", certs[pod]]);
  const [httpbin, gateway2, , sleep] = await Promise.all([
    sidecar("httpbin", far),
    gateway("gateway2", far, "eastwest-c2"),
    gateway("gateway1", near, "eastwest-c1"),
    sidecar("sleep", near),
  ]);
  return { near, far, sleep, httpbin, gateway2 };
}

// Keys are for their owner alone, which is the proxy.
function handToProxy(folder: string): void {
  for (const name of ["", "..", ...readdirSync(folder)]) {
    const path = join(folder, name);
    if (name === "" || name === "..") chmodSync(path, 0o755);
    else chownSync(path, 1337, 1337);
  }
}

function replace(file: string, from: string, to: string): void {
  const text = readFileSync(file, "utf8");
  if (!text.includes(from)) throw new Error(`${file} has no ${from}`);
  writeFileSync(file, text.replace(from, to));
}
