// A gateway in this process, from a mesh directory written for one test: real sockets, real worker threads.
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { createMeshSource } from "../../src/proxy/mesh-source.ts";
import type { Proxy } from "../../src/proxy.ts";
import { startForTest, writeAll } from "./start-proxy.ts";

/** A running proxy and its mesh directory. */
export interface RunningGateway {
  readonly proxy: Proxy;
  readonly folder: string;
  /** Writes files of the directory and loads them. */
  change(files: Readonly<Record<string, string>>): Promise<boolean>;
}

/** What the proxy is. */
export interface GatewayOptions {
  /** Node id. */
  readonly node: string;
  readonly labels?: string;
  readonly cluster?: string;
  /** Metadata as ISTIO_META_ variables are. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** PEM by the names of a certificate folder. */
  readonly certificates?: Readonly<Record<string, string>>;
}

/** Starts a proxy for a mesh directory (path to text) and stops it when the test ends. */
export async function startGateway(
  t: TestContext,
  files: Readonly<Record<string, string>>,
  options: GatewayOptions,
): Promise<RunningGateway> {
  const root = await mkdtemp(join(tmpdir(), "isthmus-mesh-proxy-"));
  const folder = join(root, "mesh");
  const certsFolder = join(root, "certs");
  await writeAll(folder, files);
  if (options.certificates) await writeAll(certsFolder, options.certificates);
  const { node, labels, cluster, metadata = {} } = options;
  const proxy = await startForTest({
    source: createMeshSource({
      folder,
      flags: { node, ...(labels === undefined ? {} : { labels }), ...(cluster === undefined ? {} : { cluster }) },
      nodeFile: undefined,
      environment: Object.fromEntries(Object.entries(metadata).map(([key, value]) => [`ISTIO_META_${key}`, value])),
    }),
    certsFolder: options.certificates ? certsFolder : undefined,
  });
  t.after(async () => {
    await proxy.stop();
    await rm(root, { recursive: true, force: true });
  });
  return {
    proxy,
    folder,
    change: async (changed) => {
      await writeAll(folder, changed);
      return proxy.reload();
    },
  };
}

/** Ports that are free on an address. A Gateway has to name its ports, so the kernel is asked beforehand. */
export async function freePorts(address: string, count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, address, resolve))));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
