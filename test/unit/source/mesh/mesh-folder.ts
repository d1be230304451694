// Writes a mesh directory for one test, and builds the objects that most tests need in few words.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { type LoadedMesh, loadMeshDirectory } from "../../../../src/source/mesh/directory/load.ts";
import type { Node } from "../../../../src/envoy/bootstrap.ts";

/** Writes files (path to text) into a folder that goes with the test, and returns the folder. */
export async function meshFolder(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "isthmus-mesh-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await writeFiles(dir, files);
  return dir;
}

/** Writes or overwrites files of a folder. */
export async function writeFiles(dir: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), text);
  }
}

/** Writes and loads. */
export async function loadFiles(t: TestContext, files: Readonly<Record<string, string>>): Promise<LoadedMesh> {
  return loadMeshDirectory(await meshFolder(t, files));
}

/** A service with one pod and its slice. */
export function workload(options: {
  readonly name: string;
  readonly namespace?: string;
  readonly vip: string;
  readonly podIp: string;
  readonly port?: string;
  readonly targetPort?: number;
  readonly mutualTls?: boolean;
  readonly annotations?: string;
}): string {
  const { name, vip, podIp, namespace = "default", port = "{name: http, port: 8000, targetPort: 8080}", targetPort = 8080 } = options;
  const label = (options.mutualTls ?? true) ? ", security.istio.io/tlsMode: istio" : "";
  const portName = /name: ([\w-]+)/.exec(port)?.[1] ?? "";
  return `---
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec: {clusterIP: ${vip}, selector: {app: ${name}}, ports: [${port}]}
---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${namespace}, labels: {app: ${name}${label}}, annotations: {${options.annotations ?? ""}}}
spec: {serviceAccountName: ${name}}
status: {podIP: ${podIp}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}, namespace: ${namespace}, labels: {kubernetes.io/service-name: ${name}}}
ports: [{name: ${portName}, port: ${targetPort}}]
endpoints: [{addresses: [${podIp}], targetRef: {kind: Pod, name: ${name}, namespace: ${namespace}}}]
`;
}

/** A sidecar's node. */
export function sidecar(name: string, ip: string, metadata: Readonly<Record<string, unknown>> = {}, namespace = "default"): Node {
  return {
    id: `sidecar~${ip}~${name}.${namespace}~${namespace}.svc.cluster.local`,
    cluster: "",
    locality: { region: "", zone: "", subZone: "" },
    metadata: { CLUSTER_ID: "c1", INSTANCE_IPS: ip, DNS_CAPTURE: "true", ...metadata },
  };
}

/** A gateway's node. */
export function router(name: string, ip: string, metadata: Readonly<Record<string, unknown>> = {}): Node {
  return {
    id: `router~${ip}~${name}.istio-system~istio-system.svc.cluster.local`,
    cluster: "",
    locality: { region: "", zone: "", subZone: "" },
    metadata: { CLUSTER_ID: "c1", INSTANCE_IPS: ip, LABELS: { istio: "eastwestgateway" }, ...metadata },
  };
}
