// The mesh that the bench runs: thousands of services over three clusters, written as the YAML a user would have.
import fs from "node:fs";
import path from "node:path";

/** Clusters of the mesh; each is one file, as `kubectl get -o yaml` per cluster would give. */
export const clusterNames = ["cluster1", "cluster2", "cluster3"] as const;

/** The port of every HTTP service, and of its endpoints. */
export const httpPort = 8000;

/** Service addresses and endpoint addresses; the bench makes both its own. */
export const ranges = { services: "10.64.0.0/14", endpoints: "10.128.0.0/9" };

const endpointsEach = 5;
const namespaces = 20;

/** A service of the mesh. */
export interface BenchService {
  readonly index: number;
  readonly name: string;
  readonly namespace: string;
  readonly host: string;
  readonly vip: string;
}

/** The service with this number; every tenth is TCP, which no request of the bench goes to. */
export function service(index: number): BenchService {
  const [name, namespace] = [`svc-${index}`, `ns-${index % namespaces}`];
  const vip = `10.64.${(index >> 8) & 255}.${index & 255}`;
  return { index, name, namespace, host: `${name}.${namespace}.svc.cluster.local`, vip };
}

/** Whether requests can go to it. */
export const isHttp = (index: number): boolean => index % 10 !== 0;

/** Endpoint address `k` of a service; its generation makes it another address. */
export function endpointAddress(index: number, k: number, generation = 0): string {
  const number = index * endpointsEach + k;
  return `10.${128 + generation}.${(number >> 8) & 255}.${number & 255}`;
}

/** The documents of a service. */
export function serviceYaml(index: number, generation = 0): string {
  const { name, namespace, vip } = service(index);
  const port = isHttp(index) ? "http" : "tcp";
  const number = isHttp(index) ? httpPort : 9000;
  const endpoints = Array.from(
    { length: endpointsEach },
    (_, k) => `- addresses: [${endpointAddress(index, k, generation)}]\n  conditions: {ready: true}\n  nodeName: node-${k}\n`,
  );
  return `---
apiVersion: v1
kind: Service
metadata:
  name: ${name}
  namespace: ${namespace}
  labels: {app: ${name}}
spec:
  clusterIP: ${vip}
  selector: {app: ${name}}
  ports:
  - {name: ${port}, port: ${number}, targetPort: ${number}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: ${name}-1
  namespace: ${namespace}
  labels: {kubernetes.io/service-name: ${name}}
addressType: IPv4
ports:
- {name: ${port}, port: ${number}}
endpoints:
${endpoints.join("")}`;
}

/** The mesh as it stands, and its files. */
export class MeshFolder {
  readonly folder: string;
  readonly #texts: string[][];

  constructor(folder: string, services: number) {
    this.folder = folder;
    fs.mkdirSync(path.join(folder, "k8s"), { recursive: true });
    // A host that the mesh does not have is refused, so that the first answer of a new one can be told.
    fs.writeFileSync(path.join(folder, "meshconfig.yaml"), "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n");
    this.#texts = clusterNames.map(() => []);
    for (let index = 0; index < services; index++) this.#texts[index % clusterNames.length]?.push(serviceYaml(index));
    clusterNames.forEach((_, cluster) => this.#write(cluster)());
  }

  /**
   * Writes a service anew beside the file it belongs to: one more, or one that exists with endpoints of another generation. What is
   * given puts that file in place, as editors and kubectl-like tools do: no half of one is ever there.
   */
  prepare(index: number, generation: number): () => void {
    const cluster = index % clusterNames.length;
    const texts = this.#texts[cluster] ?? [];
    texts[Math.min(Math.floor(index / clusterNames.length), texts.length)] = serviceYaml(index, generation);
    return this.#write(cluster);
  }

  #write(cluster: number): () => void {
    const file = path.join(this.folder, "k8s", `${clusterNames[cluster]}.yaml`);
    fs.writeFileSync(`${file}.tmp`, this.#texts[cluster]?.join("") ?? "");
    return () => fs.renameSync(`${file}.tmp`, file);
  }
}
