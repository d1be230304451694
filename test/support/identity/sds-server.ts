// A small SDS server on a Unix socket, written to the protocol: sends what a test gives it, keeps what clients answer.
import { join } from "node:path";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import {
  secretDiscoveryService,
  secretTypeUrl,
  type DiscoveryRequest,
  type DiscoveryResponse,
} from "../../../src/identity/sds/sds-protocol.ts";
import { temporaryFolder, type Ending } from "./authorities.ts";
import { until } from "./mtls-pair.ts";

type Stream = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;

/** A running server. */
export interface SdsServer {
  /** As `--sds` takes it. */
  readonly target: string;
  /** Everything clients have said, oldest first. */
  readonly requests: DiscoveryRequest[];
  /** Streams that are open. */
  streams(): number;
  /** Sends a secret, as proto JSON, to all who subscribe to its name, now and later. Gives its version. */
  push(secret: Readonly<Record<string, unknown>>): string;
  /** Resolves with the ACK of a version. */
  answer(version: string): Promise<DiscoveryRequest>;
  /** Ends all streams and stops listening. */
  stop(): void;
  /** Listens again, at the same place. */
  start(): Promise<void>;
}

/** A certificate as an SDS secret. */
export const certificateSecret = (chain: string, key: string, name = "default"): Readonly<Record<string, unknown>> => ({
  name,
  tls_certificate: {
    certificate_chain: { inline_bytes: Buffer.from(chain).toString("base64") },
    private_key: { inline_bytes: Buffer.from(key).toString("base64") },
  },
});

/** Roots as an SDS secret. */
export const rootsSecret = (roots: string, name = "ROOTCA"): Readonly<Record<string, unknown>> => ({
  name,
  validation_context: { trusted_ca: { inline_bytes: Buffer.from(roots).toString("base64") } },
});

/** Starts a server; it ends with the test. */
export async function startSdsServer(t: Ending): Promise<SdsServer> {
  const path = join(temporaryFolder(t), "socket");
  const secrets = new Map<string, { readonly version: string; readonly secret: Readonly<Record<string, unknown>> }>();
  const streams = new Map<Stream, string>();
  const requests: DiscoveryRequest[] = [];
  let versions = 0;
  let nonces = 0;
  const send = (stream: Stream, name: string): void => {
    const held = secrets.get(name);
    if (!held) return;
    const resource = { "@type": secretTypeUrl, ...held.secret };
    stream.write({ version_info: held.version, resources: [resource], type_url: secretTypeUrl, nonce: `n${++nonces}` });
  };
  const StreamSecrets = (stream: Stream): void => {
    stream.on("data", (request: DiscoveryRequest) => {
      requests.push(request);
      const name = request.resource_names[0] ?? "";
      const isNew = !streams.has(stream);
      streams.set(stream, name);
      if (isNew && secrets.get(name)?.version !== request.version_info) send(stream, name);
    });
    stream.on("error", () => streams.delete(stream));
    stream.on("cancelled", () => streams.delete(stream));
    stream.on("end", () => {
      streams.delete(stream);
      stream.end();
    });
  };
  let server: Server | undefined;
  const start = async (): Promise<void> => {
    const starting = new Server();
    starting.addService(secretDiscoveryService(), { StreamSecrets });
    await new Promise<void>((resolve, reject) =>
      starting.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve())),
    );
    server = starting;
  };
  const stop = (): void => {
    server?.forceShutdown();
    server = undefined;
    streams.clear();
  };
  await start();
  t.after(stop);
  return {
    target: `unix:${path}`,
    requests,
    streams: () => streams.size,
    push: (secret) => {
      const version = `v${++versions}`;
      const name = String(secret["name"]);
      secrets.set(name, { version, secret });
      for (const [stream, subscribed] of streams) if (subscribed === name) send(stream, name);
      return version;
    },
    answer: async (version) => {
      const find = (): DiscoveryRequest | undefined =>
        requests.find((request) => request.version_info === version && request.response_nonce !== "");
      await until(
        `an ACK of ${version}`,
        () => find() !== undefined,
        () => JSON.stringify(requests),
      );
      return find()!;
    },
    stop,
    start,
  };
}
