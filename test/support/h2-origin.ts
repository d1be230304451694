// An HTTP/2 origin of Node's own, as an upstream to test against, and a client that tells what a response was.
import {
  connect,
  createServer,
  type ClientHttp2Session,
  type ClientSessionOptions,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from "node:http2";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** An origin and its connections. */
export interface H2Origin {
  readonly port: number;
  readonly sessions: readonly ServerHttp2Session[];
}

/** Listens in clear text; closed when the test ends. */
export async function listenH2(
  t: TestContext,
  onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
  settings: Settings = {},
): Promise<H2Origin> {
  const sessions: ServerHttp2Session[] = [];
  const server = createServer({ settings, maxSessionMemory: 1000 });
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => undefined);
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    onStream(stream, headers);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sessions };
}

/** What came of a request. */
export interface H2Reply {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders | undefined;
  readonly interim: readonly number[];
  readonly body: string;
  /** RST_STREAM's code; 0 when the stream ended well. */
  readonly code: number;
}

/** A client's connection; closed when the test ends. */
export function connectH2(t: TestContext, port: number, options: ClientSessionOptions = {}): ClientHttp2Session {
  // In megabytes: bodies are written at once.
  const session = connect(`http://127.0.0.1:${port}`, { maxSessionMemory: 1000, ...options });
  session.on("error", () => undefined);
  t.after(() => session.destroy());
  return session;
}

/** Sends a request and waits for the end of its stream. */
export function requestH2(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: string | Buffer,
  trailers?: OutgoingHttpHeaders,
): Promise<H2Reply> {
  return new Promise((resolve) => {
    const stream = session.request(headers, {
      endStream: body === undefined && trailers === undefined,
      waitForTrailers: trailers !== undefined,
    });
    let got: IncomingHttpHeaders = {};
    let last: IncomingHttpHeaders | undefined;
    const interim: number[] = [];
    const pieces: Buffer[] = [];
    stream.on("headers", (head) => interim.push(head[":status"] ?? 0));
    stream.on("response", (head) => (got = head));
    stream.on("trailers", (head) => (last = head));
    stream.on("data", (piece: Buffer) => pieces.push(piece));
    stream.on("error", () => undefined);
    stream.on("close", () =>
      resolve({
        status: got[":status"] as number | undefined,
        headers: got,
        trailers: last,
        interim,
        body: Buffer.concat(pieces).toString("latin1"),
        code: stream.rstCode ?? 0,
      }),
    );
    if (trailers !== undefined) stream.on("wantTrailers", () => stream.sendTrailers(trailers));
    if (body !== undefined || trailers !== undefined) stream.end(body ?? "");
  });
}

/** A cluster that speaks HTTP/2 without asking. */
export const explicitHttp2: object = protocolOptions({ explicit_http_config: { http2_protocol_options: {} } });

/** The protocol options of a cluster. */
export function protocolOptions(options: object): object {
  return {
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        ...options,
      },
    },
  };
}
