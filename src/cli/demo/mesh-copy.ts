// The demo's mesh: a copy of the sample directory in which ports that are taken on this machine are replaced, and what the demo
// needs to know of it. The sample itself is never changed.
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { parse, parseAllDocuments, stringify } from "yaml";
import { redirectMesh } from "./redirected-mesh.ts";

/** A workload of the mesh, as its Pod says. */
export interface Workload {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly cluster: string;
  readonly network: string;
  readonly ip: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** A service of one cluster. */
export interface MeshService {
  readonly name: string;
  readonly namespace: string;
  readonly cluster: string;
  readonly clusterIp: string;
  readonly ports: readonly { readonly port: number; readonly targetPort: number }[];
}

/** What is in the copied directory. */
export interface MeshCopy {
  readonly folder: string;
  readonly workloads: readonly Workload[];
  readonly services: readonly MeshService[];
  /** Ports of the sample that were taken, and what stands for them. */
  readonly moved: ReadonlyMap<number, number>;
}

interface KubernetesObject {
  readonly kind?: string;
  readonly metadata?: { readonly name?: string; readonly namespace?: string; readonly labels?: Record<string, string> };
  readonly spec?: {
    readonly serviceAccountName?: string;
    readonly clusterIP?: string;
    readonly ports?: readonly { readonly port: number; readonly targetPort?: number | string }[];
  };
  readonly status?: { readonly podIP?: string };
}

/** The label by which Istio knows a workload's network. */
const networkLabel = "topology.istio.io/network";

/** Ports tried beside one that is taken. */
const attempts = 200;

/**
 * Copies `sample` to `folder`; access logs become JSON lines of `accessLogFields` on each proxy's stdout.
 * @param pods each workload has a network namespace of its own, where every port is free, and interception
 */
export async function copyMesh(
  sample: string,
  folder: string,
  accessLogFields: Readonly<Record<string, string>>,
  pods = false,
): Promise<MeshCopy> {
  fs.cpSync(sample, folder, { recursive: true });
  if (pods) redirectMesh(folder);
  const moved = pods ? new Map<number, number>() : await movePorts(folder, readMesh(folder));
  const file = path.join(folder, "meshconfig.yaml");
  const config = fs.existsSync(file) ? (parse(fs.readFileSync(file, "utf8")) as Record<string, unknown> | null) : {};
  const logging = { accessLogFile: "/dev/stdout", accessLogEncoding: "JSON", accessLogFormat: JSON.stringify(accessLogFields) };
  fs.writeFileSync(file, stringify({ ...config, ...logging }));
  return { folder, moved, ...readMesh(folder) };
}

function readMesh(folder: string): Pick<MeshCopy, "workloads" | "services"> {
  const workloads: Workload[] = [];
  const services: MeshService[] = [];
  for (const [cluster, object] of kubernetesObjects(folder)) {
    const { name = "", namespace = "default", labels = {} } = object.metadata ?? {};
    if (object.kind === "Pod") {
      const serviceAccount = object.spec?.serviceAccountName ?? "default";
      const network = labels[networkLabel] ?? "";
      workloads.push({ name, namespace, serviceAccount, cluster, network, ip: object.status?.podIP ?? "", labels });
    } else if (object.kind === "Service") {
      const ports = (object.spec?.ports ?? []).map(({ port, targetPort }) => ({ port, targetPort: Number(targetPort ?? port) }));
      services.push({ name, namespace, cluster, clusterIp: object.spec?.clusterIP ?? "", ports });
    }
  }
  return { workloads, services };
}

// k8s/CLUSTER.yaml, or a folder k8s/CLUSTER/ of files.
function kubernetesObjects(folder: string): [string, KubernetesObject][] {
  return yamlFiles(path.join(folder, "k8s")).flatMap((file) => {
    const [first = ""] = path.relative(path.join(folder, "k8s"), file).split(path.sep);
    const documents = parseAllDocuments(fs.readFileSync(file, "utf8"));
    return (Array.isArray(documents) ? documents : []).map((document): [string, KubernetesObject] => [
      first.replace(/\.ya?ml$/, ""),
      (document.toJS() as KubernetesObject | null) ?? {},
    ]);
  });
}

function yamlFiles(folder: string): string[] {
  if (!fs.existsSync(folder)) return [];
  return fs
    .readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.ya?ml$/.test(name))
    .map((name) => path.join(folder, name))
    .sort();
}

// A port number means the same wherever the sample writes it, so a new number takes its place in every file.
async function movePorts(folder: string, { workloads, services }: Pick<MeshCopy, "workloads" | "services">): Promise<Map<number, number>> {
  const addresses = new Map<number, Set<string>>();
  const add = (port: number, address: string): void => {
    if (net.isIPv4(address)) addresses.set(port, (addresses.get(port) ?? new Set()).add(address));
  };
  for (const { clusterIp, ports } of services) {
    for (const { port, targetPort } of ports) {
      add(port, clusterIp);
      for (const { ip } of workloads) add(targetPort, ip);
      // The workload itself listens behind its sidecar.
      add(targetPort, "127.0.0.1");
    }
  }
  const moved = new Map<number, number>();
  for (const [port, hosts] of addresses) {
    const free = await firstFreePort(port, [...hosts], new Set([...addresses.keys(), ...moved.values()]));
    if (free !== port) moved.set(port, free);
  }
  if (moved.size > 0) {
    for (const file of yamlFiles(folder)) {
      const text = fs.readFileSync(file, "utf8");
      fs.writeFileSync(
        file,
        text.replace(/(?<![\w.])\d{2,5}(?![\w.])/g, (number) => String(moved.get(Number(number)) ?? number)),
      );
    }
  }
  return moved;
}

async function firstFreePort(port: number, addresses: readonly string[], reserved: ReadonlySet<number>): Promise<number> {
  for (let candidate = port; candidate < port + attempts; candidate++) {
    if (candidate !== port && reserved.has(candidate)) continue;
    const free = await Promise.all(addresses.map((address) => isFree(candidate, address)));
    if (free.every(Boolean)) return candidate;
  }
  throw new Error(`no free port near ${port} on ${addresses.join(", ")}`);
}

/** True when nothing is bound to this TCP address. */
export function isFree(port: number, address: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE" || error.code === "EACCES") resolve(false);
      else reject(new Error(`${address} cannot be used on this machine: ${error.message}`));
    });
    server.listen({ port, host: address, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
