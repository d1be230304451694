// One unary gRPC call of the proxy's own to a cluster, over an HTTP/2 session for each host that calls share. TLS is the cluster's.
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import type { Timer } from "../../clock.ts";
import type { Pending } from "../../identity/transport.ts";
import type { Host, HttpPoolHandle, UpstreamCluster } from "../cluster.ts";
import { type CallOptions, type CallResult, type Call, failedCall, faultReason, maxResponseBytes, ownCall } from "./call.ts";
import { HeaderMap } from "../../wire/header-map.ts";

/** A call: `path` is `/package.Service/Method`, `message` the request's bytes. */
export interface GrpcRequest {
  readonly authority: string;
  readonly path: string;
  readonly message: Buffer;
}

/** Calls a host of the cluster; the result's body is the response message, its status 200 whatever gRPC says: a failure is `failed`. */
export function callGrpc(cluster: UpstreamCluster, request: GrpcRequest, options: CallOptions): Call {
  const call = new GrpcCall(cluster, request, options);
  call.start();
  return call;
}

// A compressed flag and a length go before each message.
const framePrefixBytes = 5;

class GrpcCall implements Call {
  readonly #cluster: UpstreamCluster;
  readonly #request: GrpcRequest;
  readonly #options: CallOptions;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;
  #timer: Timer | undefined;
  #stream: ClientHttp2Stream | undefined;
  #grpcStatus: string | undefined;
  #done = false;

  constructor(cluster: UpstreamCluster, request: GrpcRequest, options: CallOptions) {
    this.#cluster = cluster;
    this.#request = request;
    this.#options = options;
  }

  start(): void {
    const host = this.#cluster.pick(ownCall);
    if (host === undefined) {
      this.#cluster.stats.upstreamCxNoneHealthy.inc();
      return this.#finish(failedCall("no healthy upstream"));
    }
    const { clock, timeoutMs } = this.#options;
    if (timeoutMs > 0) {
      this.#timer = clock.after(timeoutMs, () => {
        this.#cluster.stats.upstreamRqTimeout.inc();
        host.onResult("timeout");
        this.#finish(failedCall("timeout", true));
      });
    }
    sessionOf(host).open((session) => {
      if (this.#done) return;
      if (typeof session === "string") this.#finish(failedCall(session));
      else this.#send(host, session);
    });
  }

  cancel(): void {
    if (this.#done) return;
    this.#done = true;
    this.#release();
  }

  #send(host: Host, session: ClientHttp2Session): void {
    const { authority, path, message } = this.#request;
    const { stats } = this.#cluster;
    stats.upstreamRqTotal.inc();
    host.onResult("connected");
    const stream = session.request({
      ":method": "POST",
      ":scheme": "http",
      ":path": path,
      ":authority": authority,
      "content-type": "application/grpc",
      te: "trailers",
      ...(this.#options.timeoutMs > 0 ? { "grpc-timeout": `${Math.ceil(this.#options.timeoutMs)}m` } : {}),
    });
    this.#stream = stream;
    stream.on("error", (error) => this.#finish(failedCall(`the stream failed: ${error.message}`)));
    stream.on("response", (headers) => {
      const status = headers[":status"] ?? 0;
      stats.response(status);
      host.onResult(status);
      // A failure may come as one block of headers, without a message.
      if (typeof headers["grpc-status"] === "string") this.#grpcStatus = headers["grpc-status"];
      if (status !== 200) this.#finish(failedCall(`HTTP status ${status}`));
    });
    stream.on("trailers", (trailers) => {
      if (typeof trailers["grpc-status"] === "string") this.#grpcStatus = trailers["grpc-status"];
    });
    stream.on("data", (data: Buffer) => {
      this.#bytes += data.length;
      if (this.#bytes > maxResponseBytes) this.#finish(failedCall("the response is too large"));
      else this.#pieces.push(data);
    });
    stream.on("close", () => this.#complete());
    const prefix = Buffer.alloc(framePrefixBytes);
    prefix.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([prefix, message]));
  }

  #complete(): void {
    if (this.#grpcStatus !== "0") return this.#finish(failedCall(`grpc-status ${this.#grpcStatus ?? "is missing"}`));
    const frame = Buffer.concat(this.#pieces);
    const whole = frame.length >= framePrefixBytes && frame[0] === 0 && frame.readUInt32BE(1) === frame.length - framePrefixBytes;
    if (!whole) return this.#finish(failedCall("the response is no single message"));
    this.#finish({ kind: "response", status: 200, headers: new HeaderMap(), body: frame.subarray(framePrefixBytes) });
  }

  #finish(result: CallResult): void {
    if (this.#done) return;
    this.#done = true;
    this.#release();
    this.#options.onDone(result);
  }

  #release(): void {
    this.#timer?.cancel();
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream !== undefined && !stream.closed) stream.close(constants.NGHTTP2_CANCEL);
  }
}

type SessionListener = (session: ClientHttp2Session | string) => void;

/** The one HTTP/2 session of a host, dialled when it is needed. */
class HostSession implements HttpPoolHandle {
  readonly #host: Host;
  readonly #waiting: SessionListener[] = [];
  #dialling: Pending | undefined;
  #session: ClientHttp2Session | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  open(listener: SessionListener): void {
    const session = this.#session;
    if (session !== undefined && !session.closed && !session.destroyed) return listener(session);
    this.#waiting.push(listener);
    if (this.#dialling !== undefined) return;
    const pending = this.#host.dial(
      { allowHalfOpen: false },
      {
        onConnected: (socket) => {
          this.#dialling = undefined;
          const made = connect("http://cluster", { createConnection: () => socket });
          this.#session = made;
          const gone = (): void => {
            if (this.#session === made) this.#session = undefined;
          };
          made.on("error", gone);
          made.on("goaway", gone);
          made.on("close", gone);
          // An idle session keeps no worker alive.
          made.unref();
          for (const waiting of this.#waiting.splice(0)) waiting(made);
        },
        onFailed: (error) => {
          this.#dialling = undefined;
          this.#host.onResult("connect_failed");
          for (const waiting of this.#waiting.splice(0)) waiting(faultReason(error));
        },
      },
    );
    if (this.#waiting.length > 0) this.#dialling = pending;
  }

  drain(): void {
    this.#session?.close();
    this.#session = undefined;
  }
}

// Beside the keys of HTTP/1 pools, which are lists of ALPN protocols.
const poolKey = "grpc";

function sessionOf(host: Host): HostSession {
  host.pools ??= new Map();
  const known = host.pools.get(poolKey);
  if (known instanceof HostSession) return known;
  const session = new HostSession(host);
  host.pools.set(poolKey, session);
  return session;
}
