// grpc.health.v1.Health/Check as a client, over HTTP/2 without TLS: kubelet's gRPC probe. Two fields of protobuf need no library.
import { connect as connectHttp2 } from "node:http2";
import type { IncomingHttpHeaders } from "node:http2";
import { connect } from "node:net";
import type { TcpNetConnectOpts } from "node:net";

/** A reply is a few bytes; more is no health service. */
const maxReplyBytes = 4_096;
const serving = 1;

/** Whether the service says that it serves; rejects with one sentence when it does not answer so. */
export function checkGrpcHealth(target: TcpNetConnectOpts, service: string, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const host = (target.host ?? "").includes(":") ? `[${target.host}]` : target.host;
    const session = connectHttp2(`http://${host}:${target.port}`, { createConnection: () => connect(target) });
    let settled = false;
    const settle = (outcome: boolean | Error): void => {
      if (settled) return;
      settled = true;
      clearTimeout(deadline);
      session.destroy();
      if (typeof outcome === "boolean") resolve(outcome);
      else reject(outcome);
    };
    const deadline = setTimeout(() => settle(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    session.on("error", settle);
    const stream = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      te: "trailers",
    });
    const chunks: Buffer[] = [];
    let grpcStatus: string | undefined;
    const readStatus = (headers: IncomingHttpHeaders): void => void (grpcStatus = headers["grpc-status"]?.toString() ?? grpcStatus);
    stream.on("error", settle);
    stream.on("response", readStatus);
    stream.on("trailers", readStatus);
    stream.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      if (chunks.reduce((sum, { length }) => sum + length, 0) > maxReplyBytes) settle(new Error("the answer is no health reply"));
    });
    stream.on("end", () => {
      if (grpcStatus !== undefined && grpcStatus !== "0") settle(new Error(`gRPC status ${grpcStatus}`));
      else settle(statusOf(Buffer.concat(chunks)) === serving);
    });
    stream.end(healthRequest(service));
  });
}

// A gRPC frame (flag, length) around HealthCheckRequest, whose field 1 is the service.
function healthRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a]), varint(name.length), name]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

// HealthCheckResponse has one field, the status; zero is left out on the wire.
function statusOf(reply: Buffer): number {
  return reply.length >= 7 && reply[5] === 0x08 ? (reply[6] ?? 0) : 0;
}
