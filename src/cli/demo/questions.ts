// What the demo asks as a client would, without any help from the proxies' code: DNS, HTTP, and TLS at the gateway's door.
import { Resolver } from "node:dns/promises";
import http from "node:http";
import net from "node:net";
import tls from "node:tls";

/** How long any answer may take. */
const deadlineMs = 5000;

/** An answer and the time it took. */
export interface Timed<T> {
  readonly value: T;
  readonly ms: number;
}

/** The IPv4 addresses of `name` as a DNS server knows them, or its error code, e.g. ENOTFOUND. */
export async function askDns(server: string, name: string): Promise<Timed<readonly string[] | string>> {
  const resolver = new Resolver({ timeout: deadlineMs / 2, tries: 2 });
  resolver.setServers([server]);
  const startedAt = performance.now();
  const value = await resolver.resolve4(name).catch((error: NodeJS.ErrnoException) => error.code ?? error.message);
  return { value, ms: performance.now() - startedAt };
}

/** An HTTP answer. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** GETs `path` from `address:port` with the given Host on a connection of its own; undefined when nothing whole comes back. */
export async function askHttp(address: string, port: number, host: string, path: string): Promise<Timed<HttpAnswer | undefined>> {
  const startedAt = performance.now();
  const value = await new Promise<HttpAnswer | undefined>((resolve) => {
    const request = http.get({ host: address, port, path, agent: false, headers: { host }, timeout: deadlineMs }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => (body += text));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
      response.on("error", () => resolve(undefined));
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(undefined));
  });
  return { value, ms: performance.now() - startedAt };
}

/** A certificate with its key, as PEM. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/** How someone knocks at the gateway. */
export interface Knock {
  readonly address: string;
  readonly port: number;
  /** The Host of the request. */
  readonly host: string;
  /** Absent: plain text, no TLS at all. */
  readonly serverName?: string;
  readonly certificate?: ClientCertificate;
}

/** What came back: bytes of the application, if any, and how the connection ended. */
export interface KnockAnswer {
  /** The TCP connection was accepted: without it nothing else says anything. */
  readonly accepted: boolean;
  readonly received: string;
  readonly ended: string;
}

/** Sends a request through the gateway past any sidecar and takes whatever comes back. */
export function knock({ address, port, host, serverName, certificate }: Knock): Promise<KnockAnswer> {
  return new Promise((resolve) => {
    const socket =
      serverName === undefined
        ? net.connect({ host: address, port })
        : tls.connect({
            host: address,
            port,
            servername: serverName,
            ALPNProtocols: ["istio-http/1.1"],
            // The knocker is a stranger: whether it trusts the server is not what is asked here.
            rejectUnauthorized: false,
            ...certificate,
          });
    let received = "";
    let accepted = false;
    const end = (ended: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ accepted, received, ended });
    };
    const timer = setTimeout(() => end("no answer"), deadlineMs);
    socket.once("connect", () => (accepted = true));
    socket.once(serverName === undefined ? "connect" : "secureConnect", () => {
      socket.write(`GET /headers HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
    });
    socket.on("data", (chunk) => (received += chunk.toString("latin1")));
    socket.once("error", (error: NodeJS.ErrnoException) => end(explain(error)));
    socket.once("close", () => end("closed"));
  });
}

// OpenSSL's codes for the alerts that a server may send about a client's certificate.
function explain(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED":
      return "TLS alert: certificate required";
    case "ECONNRESET":
      return "connection reset";
    default:
      return error.code ?? error.message;
  }
}
