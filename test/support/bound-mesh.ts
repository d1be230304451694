// A mesh directory whose proxies bind loopback addresses of their own (interception NONE): one workload with a sidecar and, in front
// of it, an east-west gateway. Each test file takes a subnet of 127/8, so that files can run side by side.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { createMeshSource } from "../../src/proxy/mesh-source.ts";
import type { Issued, TestCa } from "./certs.ts";
import { startForTest, writeAll } from "./start-proxy.ts";

/** A port of the workload: its name begins with the protocol, Service and application use the same number. */
export interface BoundPort {
  readonly name: string;
  readonly port: number;
}

/** What the directory describes. */
export interface BoundMesh {
  /** The first three numbers of every address, e.g. `127.77.1`. */
  readonly subnet: string;
  readonly ports: readonly BoundPort[];
  /** Where the gateway listens; undefined for a mesh without one. */
  readonly gatewayPort?: number;
  /** Documents of istio/policies.yaml. */
  readonly policies: readonly string[];
  /** More of meshconfig.yaml. */
  readonly meshConfig?: string;
}

/** The service's name in the mesh. */
export const boundHost = "httpbin.default.svc.cluster.local";

/** SPIFFE id of the workload. */
export const boundIdentity = "spiffe://cluster.local/ns/default/sa/httpbin";

/** Addresses of the proxies. */
export const sidecarAddress = (mesh: BoundMesh): string => `${mesh.subnet}.20`;
export const gatewayAddress = (mesh: BoundMesh): string => `${mesh.subnet}.5`;

/** A PeerAuthentication; `spec` in YAML's flow style. */
export function peerAuthentication(name: string, namespace: string, spec: string): string {
  return `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}\n`;
}

/** A running proxy of such a mesh. */
export interface BoundProxy {
  stat(name: string): number;
  /** Resolves when a counter has reached a value; fails after 5 s. */
  reaches(name: string, value: number): Promise<void>;
  /** Access-log records so far; waits until there are `count`. */
  records(count: number): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** Writes the policies anew and loads them; true when nothing is wrong with them. */
  setPolicies(policies: readonly string[]): Promise<boolean>;
}

// How long a record or a counter may take to be there.
const patienceMs = 5000;

const logFields = {
  details: "%RESPONSE_CODE_DETAILS%",
  termination: "%CONNECTION_TERMINATION_DETAILS%",
  flags: "%RESPONSE_FLAGS%",
  sni: "%REQUESTED_SERVER_NAME%",
  cluster: "%UPSTREAM_CLUSTER%",
  host: "%UPSTREAM_HOST%",
  sent: "%BYTES_SENT%",
};

/** Starts `httpbin` (the sidecar) or `gateway` of the mesh; it is stopped when the test ends. */
export async function startBoundProxy(t: TestContext, mesh: BoundMesh, node: "httpbin" | "gateway", ca: TestCa): Promise<BoundProxy> {
  const folder = await mkdtemp(join(tmpdir(), "isthmus-bound-"));
  const log = join(folder, "access.log");
  const certsFolder = join(folder, "certs");
  const identity = node === "httpbin" ? boundIdentity : "spiffe://cluster.local/ns/istio-system/sa/gateway";
  await writeAll(certsFolder, certificateFiles(ca, ca.issue({ uri: [identity] })));
  const meshFolder = join(folder, "mesh");
  await writeAll(meshFolder, { ...meshFiles(mesh), "meshconfig.yaml": `${meshConfig(log)}${mesh.meshConfig ?? ""}` });
  const source = createMeshSource({ folder: meshFolder, flags: { node }, nodeFile: undefined, environment: {} });
  const proxy = await startForTest({ source, certsFolder });
  t.after(async () => {
    await proxy.stop();
    await rm(folder, { recursive: true, force: true });
  });
  return {
    stat: (name) => proxy.stats.value(name),
    reaches: async (name, value) => {
      for (const deadline = Date.now() + patienceMs; proxy.stats.value(name) !== value;) {
        if (Date.now() > deadline) throw new Error(`${name} is ${proxy.stats.value(name)}, not ${value}`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
    records: (count) => readRecords(log, count),
    setPolicies: async (policies) => {
      await writeAll(meshFolder, meshFiles({ ...mesh, policies }));
      return proxy.reload();
    },
  };
}

async function readRecords(log: string, count: number): Promise<readonly Readonly<Record<string, unknown>>[]> {
  for (const deadline = Date.now() + patienceMs; Date.now() < deadline;) {
    const lines = (await readFile(log, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
    if (lines.length >= count) return lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error(`no ${count} access-log records within 5 s: ${await readFile(log, "utf8").catch(String)}`);
}

function certificateFiles(ca: TestCa, own: Issued): Readonly<Record<string, string>> {
  return { "cert-chain.pem": own.chain, "key.pem": own.key, "root-cert.pem": ca.cert };
}

function meshConfig(log: string): string {
  return `accessLogFile: ${log}\naccessLogEncoding: JSON\naccessLogFormat: '${JSON.stringify(logFields)}'\n`;
}

function meshFiles(mesh: BoundMesh): Readonly<Record<string, string>> {
  const { gatewayPort, ports, subnet } = mesh;
  const app = service("httpbin", "default", `${subnet}.80`, sidecarAddress(mesh), ports);
  if (gatewayPort === undefined)
    return { "k8s/c1.yaml": app, "nodes.yaml": nodesFile(mesh), "istio/policies.yaml": mesh.policies.join("---\n") };
  const gateway = service("gateway", "istio-system", `${subnet}.85`, gatewayAddress(mesh), [{ name: "tls", port: gatewayPort }]);
  return {
    "k8s/c1.yaml": `${app}---\n${gateway}`,
    "nodes.yaml": nodesFile(mesh),
    "istio/policies.yaml": mesh.policies.join("---\n"),
    "istio/gateway.yaml": `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: cross-network, namespace: istio-system}
spec:
  selector: {app: gateway}
  servers:
  - {port: {number: ${gatewayPort}, name: tls, protocol: TLS}, tls: {mode: AUTO_PASSTHROUGH}, hosts: ["default/*.local"]}
`,
  };
}

function service(name: string, namespace: string, vip: string, ip: string, ports: readonly BoundPort[]): string {
  const servicePorts = ports.map((each) => `{name: ${each.name}, port: ${each.port}, targetPort: ${each.port}}`).join(", ");
  return `apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec: {clusterIP: ${vip}, selector: {app: ${name}}, ports: [${servicePorts}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: ${name}
  namespace: ${namespace}
  labels: {app: ${name}, security.istio.io/tlsMode: istio}
  annotations: {traffic.sidecar.istio.io/includeOutboundIPRanges: ""}
spec: {serviceAccountName: ${name}}
status: {podIP: ${ip}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}, namespace: ${namespace}, labels: {kubernetes.io/service-name: ${name}}}
ports: [${ports.map((each) => `{name: ${each.name}, port: ${each.port}}`).join(", ")}]
endpoints: [{addresses: [${ip}], targetRef: {kind: Pod, name: ${name}, namespace: ${namespace}}}]
`;
}

function nodesFile(mesh: BoundMesh): string {
  const node = (type: string, name: string, namespace: string, ip: string): string => `- name: ${name}
  id: ${type}~${ip}~${name}.${namespace}~${namespace}.svc.cluster.local
  metadata: {CLUSTER_ID: c1, NAMESPACE: ${namespace}, INSTANCE_IPS: ${ip}, INTERCEPTION_MODE: NONE, LABELS: {app: ${name}}}
`;
  return `nodes:\n${node("sidecar", "httpbin", "default", sidecarAddress(mesh))}${node("router", "gateway", "istio-system", gatewayAddress(mesh))}`;
}
