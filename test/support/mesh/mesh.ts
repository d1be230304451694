// A mesh directory in a temporary folder and the proxies that read it: in this process, from the composition root, watching.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import type { ConfigSource } from "../../../src/proxy/config-source.ts";
import { createMeshSource } from "../../../src/proxy/mesh-source.ts";
import type { Proxy } from "../../../src/proxy.ts";
import { createProcessLogger } from "../../../src/telemetry/pino-logger.ts";
import { makeCa, type TestCa } from "../certs.ts";
import { startForTest } from "../start-proxy.ts";
import type { MeshJson } from "./objects.ts";
import { takeSubnet, type Subnet } from "./subnet.ts";
import { until } from "./until.ts";

/** A mesh under test. */
export interface TestMesh extends Subnet {
  readonly folder: string;
  /** Writes a file of the directory: a text as it is, objects as the documents of one YAML file. Gives when it was done. */
  write(file: string, content: string | readonly MeshJson[]): Promise<number>;
  /** Writes meshconfig.yaml with the access log of this mesh. */
  config(fields: MeshJson): Promise<number>;
  remove(file: string): Promise<number>;
  /** Starts the proxy of a node in nodes.yaml; it stops when the test ends. `afterLoad` is called after each load of the directory. */
  start(node: string, identity?: Identity, afterLoad?: () => Promise<unknown>): Promise<MeshProxy>;
  /** Records of the access logs of all proxies so far that satisfy `wanted`; waits for the first. */
  logged(wanted: (record: AccessRecord) => boolean): Promise<readonly AccessRecord[]>;
}

/** Whose certificate a proxy has. */
export interface Identity {
  readonly cluster: string;
  readonly serviceAccount: string;
  readonly namespace?: string;
}

/** A proxy of the mesh. */
export interface MeshProxy {
  readonly proxy: Proxy;
  /** Lines of the main thread's log so far. */
  readonly log: readonly string[];
  /** Summed value of a stat. */
  stat(name: string): number;
}

/** One record of the access log. */
export type AccessRecord = Readonly<Record<keyof typeof accessFields, string | number | null>>;

const accessFields = {
  authority: "%REQ(:AUTHORITY)%",
  path: "%REQ(:PATH)%",
  status: "%RESPONSE_CODE%",
  flags: "%RESPONSE_FLAGS%",
  details: "%RESPONSE_CODE_DETAILS%",
  cluster: "%UPSTREAM_CLUSTER_RAW%",
  host: "%UPSTREAM_HOST%",
  sni: "%REQUESTED_SERVER_NAME%",
  peer: "%DOWNSTREAM_PEER_URI_SAN%",
};

/** Makes an empty mesh directory. */
export async function createMesh(t: TestContext): Promise<TestMesh> {
  const subnet = await takeSubnet(t);
  const root = await mkdtemp(join(tmpdir(), "isthmus-mesh-"));
  const folder = join(root, "mesh");
  const accessLog = join(root, "access.log");
  const ca = makeCa();
  const signers = new Map<string, TestCa>();
  let certificates = 0;
  const running: Proxy[] = [];
  t.after(async () => {
    await Promise.all(running.map((proxy) => proxy.stop()));
    await rm(root, { recursive: true, force: true });
  });

  const write: TestMesh["write"] = async (file, content) => {
    const path = join(folder, file);
    await mkdir(dirname(path), { recursive: true });
    const text = typeof content === "string" ? content : content.map((object) => JSON.stringify(object)).join("\n---\n");
    await writeFile(path, text);
    return performance.now();
  };
  const issue = async ({ cluster, serviceAccount, namespace = "default" }: Identity): Promise<string> => {
    const signer = signers.get(cluster) ?? ca.intermediate(cluster);
    signers.set(cluster, signer);
    const { chain, key } = signer.issue({ uri: [`spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}`] });
    const certs = join(root, `certs-${certificates++}`);
    await mkdir(certs);
    await writeFile(join(certs, "cert-chain.pem"), chain);
    await writeFile(join(certs, "key.pem"), key);
    await writeFile(join(certs, "root-cert.pem"), ca.cert);
    return certs;
  };
  return {
    ...subnet,
    folder,
    write,
    config: (fields) =>
      write("meshconfig.yaml", [
        {
          trustDomain: "cluster.local",
          accessLogFile: accessLog,
          accessLogEncoding: "JSON",
          accessLogFormat: JSON.stringify(accessFields),
          ...fields,
        },
      ]),
    remove: async (file) => {
      await rm(join(folder, file));
      return performance.now();
    },
    start: async (node, identity, afterLoad) => {
      const started = await startNode(folder, node, identity && (await issue(identity)), afterLoad);
      running.push(started.proxy);
      return started;
    },
    logged: async (wanted) => {
      let records: readonly AccessRecord[] = [];
      await until("a matching record is in the access log", async () => {
        const text = await readFile(accessLog, "utf8").catch(() => "");
        const whole = text.slice(0, text.lastIndexOf("\n") + 1);
        records = whole
          .split("\n")
          .filter((line) => line !== "")
          .map((line) => JSON.parse(line) as AccessRecord)
          .filter(wanted);
        return records.length > 0;
      });
      return records;
    },
  };
}

async function startNode(
  folder: string,
  node: string,
  certsFolder: string | undefined,
  afterLoad: (() => Promise<unknown>) | undefined,
): Promise<MeshProxy> {
  const log: string[] = [];
  const source = createMeshSource({ folder, flags: { node }, nodeFile: undefined, environment: {} });
  const load: ConfigSource["load"] = async (previous) => {
    const loaded = await source.load(previous);
    await afterLoad?.();
    return loaded;
  };
  const logger = createProcessLogger({ level: "info", style: "text", write: (line) => log.push(line) });
  const proxy = await startForTest({ source: { ...source, load }, certsFolder, watch: true }, logger).catch((thrown: unknown) => {
    throw new Error(`${node}: ${String(thrown)}`);
  });
  return { proxy, log, stat: (name) => proxy.stats.value(name) };
}
