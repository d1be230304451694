// A proxy of a mesh directory in this process, as `isthmus run --mesh` would start it: real sockets and worker threads.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AUTHORITY_TTL_MS, createIntermediateCa, createRootCa, issueWorkload, WORKLOAD_TTL_MS } from "../../src/identity/ca/authority.ts";
import type { CertificateAuthority } from "../../src/identity/ca/authority.ts";
import { writeWorkload } from "../../src/identity/ca/ca-files.ts";
import type { Result } from "../../src/error.ts";
import { createMeshSource } from "../../src/proxy/mesh-source.ts";
import type { Proxy } from "../../src/proxy.ts";
import { startForTest, writeAll } from "./start-proxy.ts";

/** Where what a test starts is ended again: a TestContext is one. */
export interface Ending {
  after(end: () => Promise<void> | void): void;
}

/** What to start. */
export interface MeshProxyOptions {
  readonly mesh: string;
  /** A name in the mesh's nodes.yaml. */
  readonly node: string;
  /** Folder of the workload's certificate. */
  readonly certs?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly watch?: boolean;
}

/** Starts a proxy with DNS at a free port, and stops it in the end. */
export async function startMeshProxy(t: Ending, options: MeshProxyOptions): Promise<Proxy> {
  const { mesh, node, certs, environment = {}, watch = false } = options;
  const proxy = await startForTest({
    source: createMeshSource({ folder: mesh, flags: { node }, nodeFile: undefined, environment }),
    dns: { address: "127.0.0.1", port: 0 },
    dnsForward: [{ address: "127.0.0.1", port: 9 }],
    certsFolder: certs,
    watch,
  });
  t.after(() => proxy.stop());
  return proxy;
}

let networks = 0;

/** Three octets of a network on loopback that nobody else has: the ports are the mesh's, so the addresses have to be free. */
export function ownNetwork(): string {
  return `127.${100 + (process.pid % 100)}.${(Math.floor(process.pid / 100) + networks++) % 250}`;
}

/** Writes a mesh directory, path to text, that goes with the test. */
export async function writeMesh(t: Ending, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "isthmus-mesh-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeAll(folder, files);
  return folder;
}

/** Who a workload is, and which cluster's intermediate signs for it. */
export interface TestWorkload {
  readonly cluster: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** One root, an intermediate a cluster; gives each workload's folder of certificates. */
export async function issueMeshCertificates<Key extends string>(
  t: Ending,
  workloads: Readonly<Record<Key, TestWorkload>>,
): Promise<Readonly<Record<Key, string>>> {
  const folder = await mkdtemp(join(tmpdir(), "isthmus-certs-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const nowMs = Date.now();
  const root = createRootCa({ nowMs, ttlMs: AUTHORITY_TTL_MS });
  const intermediates = new Map<string, CertificateAuthority>();
  const folders: Partial<Record<Key, string>> = {};
  for (const [key, { cluster, namespace, serviceAccount }] of Object.entries<TestWorkload>(workloads)) {
    const signer = intermediates.get(cluster) ?? valueOf(createIntermediateCa(root, { nowMs, ttlMs: AUTHORITY_TTL_MS, cluster }));
    intermediates.set(cluster, signer);
    const options = { nowMs, ttlMs: WORKLOAD_TTL_MS, trustDomain: "cluster.local", namespace, serviceAccount };
    const path = join(folder, key);
    valueOf(writeWorkload(path, valueOf(issueWorkload(signer, options)), {}));
    folders[key as Key] = path;
  }
  return folders as Record<Key, string>;
}

function valueOf<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new Error(result.issues.map(({ message }) => message).join("; "));
}
