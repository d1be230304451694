// A real istiod with our cacerts as its plugged-in CA, which believes tokens of a test's own issuer. Absent where it is not installed.
import { spawn } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { connect, createServer as createTcpServer, type AddressInfo } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { temporaryFolder, type Ending } from "./authorities.ts";
import { until } from "./mtls-pair.ts";

const program = join(process.env["PEERS_BIN"] ?? join(homedir(), ".cache", "isthmus-peers", "bin"), "pilot-discovery");

/** Why it cannot be used, if so. */
export const missing = existsSync(program) ? undefined : `there is no ${program}`;

/** A running istiod. */
export interface PilotDiscovery {
  /** Of its certificate service, over TLS. */
  readonly port: number;
  /** A token of a service account that it believes. */
  token(namespace: string, serviceAccount: string): string;
  log(): string;
}

const issuer = "https://tokens.test";

/** Starts it with the intermediate in `cacerts`. */
export async function startPilotDiscovery(t: Ending, cacerts: string): Promise<PilotDiscovery> {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const keys = JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "one", alg: "RS256", use: "sig" }] });
  const jwks = createServer((_, response) => response.setHeader("content-type", "application/json").end(keys)).listen(0, "127.0.0.1");
  await once(jwks, "listening");
  t.after(() => void jwks.close());
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "config"));
  const [grpc, http, monitoring, secure] = await freePorts(4);
  const at = (port: number | undefined): string => `127.0.0.1:${port}`;
  const rule = { issuer, jwks_uri: `http://127.0.0.1:${(jwks.address() as AddressInfo).port}/`, audiences: ["istio-ca"] };
  const child = spawn(
    program,
    "discovery --configDir config --registries= --clusterID cluster1 --ctrlz_port 0"
      .split(" ")
      .concat("--grpcAddr", at(grpc), "--httpAddr", at(http), "--monitoringAddr", at(monitoring))
      .concat("--httpsAddr", "", "--secureGRPCAddr", at(secure)),
    {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env["PATH"], HOME: folder, ROOT_CA_DIR: cacerts, POD_NAMESPACE: "istio-system", JWT_RULE: JSON.stringify(rule) },
    },
  );
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (log += chunk.toString()));
  t.after(() => void child.kill("SIGKILL"));
  await until(
    "istiod serves",
    () => answers(secure!),
    () => log,
  );
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  return {
    port: secure!,
    token: (namespace, serviceAccount) => {
      const nowS = Math.floor(Date.now() / 1000);
      const claims = {
        iss: issuer,
        sub: `system:serviceaccount:${namespace}:${serviceAccount}`,
        aud: ["istio-ca"],
        iat: nowS,
        exp: nowS + 600,
      };
      const text = `${part({ alg: "RS256", kid: "one" })}.${part(claims)}`;
      return `${text}.${sign("sha256", Buffer.from(text), privateKey).toString("base64url")}`;
    },
    log: () => log,
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    }).on("error", () => resolve(false));
  });
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createTcpServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
