// grpc.health.v1.Health/Check as a client, over HTTP/2 without TLS: kubelet's gRPC probe. Two fields of protobuf need no library.
import { connect } from "node:net";
import type { Socket, TcpNetConnectOpts } from "node:net";
import { systemClock } from "../clock.ts";
import { defaultHttp2Options } from "../envoy/http2-options.ts";
import { createHttp2Stats } from "../net/http2/http2-stats.ts";
import { Http2Session, type SessionOptions, type SessionOwner } from "../net/http2/session.ts";
import type { Http2StreamHandler } from "../net/http2/stream.ts";
import { noStats } from "../telemetry/stats.ts";
import { encodeGrpcFrame, grpcHeaders } from "../wire/grpc-frame.ts";
import { h2Error } from "../wire/http2/frame.ts";
import { ProtoWriter } from "../wire/protobuf.ts";

/** A reply is a few bytes; more is no health service. */
const maxReplyBytes = 4_096;
const serving = 1;

/** Whether the service says that it serves; rejects with one sentence when it does not answer so. */
export function checkGrpcHealth(target: TcpNetConnectOpts, service: string, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const host = (target.host ?? "").includes(":") ? `[${target.host}]` : target.host;
    const socket = connect(target);
    let settled = false;
    const settle = (outcome: boolean | Error): void => {
      if (settled) return;
      settled = true;
      clearTimeout(deadline);
      socket.destroy();
      if (typeof outcome === "boolean") resolve(outcome);
      else reject(outcome);
    };
    const deadline = setTimeout(() => settle(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    socket.on("error", settle);
    socket.on("close", () => settle(new Error("the connection closed without an answer")));
    socket.on("connect", () => ask(socket, `${host}:${target.port}`, service, settle));
  });
}

const options: SessionOptions = {
  ...defaultHttp2Options,
  floods: defaultHttp2Options,
  role: "client",
  malformedEndsStream: true,
  messages: { maxBytes: 60 * 1024, maxHeaders: 100, underscores: "ALLOW" },
};

function ask(socket: Socket, authority: string, service: string, settle: (outcome: boolean | Error) => void): void {
  const owner: SessionOwner = {
    onRequest: (stream) => stream.release(h2Error.refusedStream),
    onRefusedRequest: () => undefined,
    onStreamClosed: () => undefined,
    onSettings: () => undefined,
    onGoaway: () => undefined,
    onFailed: (details) => settle(new Error(details)),
  };
  const session = new Http2Session(socket, false, options, owner, createHttp2Stats(noStats), noStats.counter(""), systemClock);
  socket.on("data", (chunk: Buffer) => session.read(chunk));
  socket.on("drain", () => session.onDrain());
  socket.on("close", () => session.close());
  const stream = session.openStream();
  stream.handler = healthReply(settle);
  const { encoder } = session;
  encoder.begin();
  for (const [name, value] of [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", "/grpc.health.v1.Health/Check"],
    [":authority", authority],
  ] as const)
    encoder.field(name, value);
  const { names, values } = grpcHeaders();
  names.forEach((name, i) => encoder.field(name, values[i]!));
  stream.sendHead(false);
  stream.sendData(encodeGrpcFrame(new ProtoWriter().text(1, service).finish()), true);
}

// Hears one reply: its message's only field, unless a status says that there is none.
function healthReply(settle: (outcome: boolean | Error) => void): Http2StreamHandler {
  const pieces: Buffer[] = [];
  let bytes = 0;
  let grpcStatus: string | undefined;
  const end = (): void => {
    if (grpcStatus !== undefined && grpcStatus !== "0") settle(new Error(`gRPC status ${grpcStatus}`));
    else settle(statusOf(Buffer.concat(pieces)) === serving);
  };
  return {
    onHead: ({ headers }, endStream) => {
      grpcStatus = headers.get("grpc-status");
      if (endStream) end();
    },
    onData: (data, endStream) => {
      bytes += data.length;
      if (bytes > maxReplyBytes) return settle(new Error("the answer is no health reply"));
      pieces.push(Buffer.from(data));
      if (endStream) end();
    },
    onTrailers: (trailers) => {
      grpcStatus = trailers.get("grpc-status") ?? grpcStatus;
      end();
    },
    onReset: () => settle(new Error("the call was reset")),
    onReadDone: () => undefined,
    onWritable: () => undefined,
  };
}

// HealthCheckResponse has one field, the status; zero is left out on the wire.
function statusOf(reply: Buffer): number {
  return reply.length >= 7 && reply[5] === 0x08 ? (reply[6] ?? 0) : 0;
}
