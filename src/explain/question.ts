// What can be asked: a request that an application makes, or a ClientHello that reaches a gateway.
import { isIP } from "node:net";

/** What the client speaks. TLS is what the proxy cannot look into unless it terminates it. */
export type ClientProtocol = "http" | "tls" | "tcp";

/** A request or connection to somewhere. */
export interface RequestQuestion {
  readonly kind: "request";
  readonly protocol: ClientProtocol;
  readonly method: string;
  /** As written, lower case, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** With the query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: readonly (readonly [string, string])[];
}

/** A ClientHello at a gateway. */
export interface HelloQuestion {
  readonly kind: "hello";
  /** Empty: none is sent. */
  readonly serverName: string;
  readonly alpn: readonly string[];
  /** The port it arrives at; undefined: the one whose chains are chosen by such names. */
  readonly port: number | undefined;
}

/** Either. */
export type Question = RequestQuestion | HelloQuestion;

/** What stands on the command line or in an admin URL. */
export interface QuestionText {
  /** Default GET. */
  readonly method?: string | undefined;
  /** `URL` or `HOST[:PORT][/PATH]`. */
  readonly target?: string | undefined;
  /** `name: value`. */
  readonly headers?: readonly string[] | undefined;
  readonly tcp?: boolean | undefined;
  readonly sni?: string | undefined;
  /** Comma-separated. */
  readonly alpn?: string | undefined;
  readonly port?: string | undefined;
}

const defaultPorts: Readonly<Record<string, number>> = { http: 80, https: 443 };

/** Reads a question, or says in a sentence what is wrong with it. */
export function parseQuestion(text: QuestionText): Question | { readonly problem: string } {
  if (text.sni !== undefined) return parseHello(text, text.sni);
  if (text.target === undefined) return { problem: "nothing is asked, expected a URL, HOST:PORT, or --sni NAME" };
  if (text.alpn !== undefined || text.port !== undefined) return { problem: "--alpn and --port belong to --sni" };
  const parts = /^(?:(?<scheme>[a-z][a-z0-9+.-]*):\/\/)?(?<authority>\[[^\]]*\](?::[^/?#]*)?|[^/?#]*)(?<path>[/?].*)?$/i.exec(text.target);
  const { scheme, authority = "", path = "/" } = parts?.groups ?? {};
  const known = scheme?.toLowerCase() ?? "http";
  if (defaultPorts[known] === undefined) return { problem: `"${scheme}" is no scheme that can be explained, expected http or https` };
  const [, bracketed, plain, portText = ""] = /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/.exec(authority) ?? [];
  const host = (bracketed ?? plain ?? "").toLowerCase();
  if (host === "") return { problem: `"${text.target}" names no host, expected a URL or HOST[:PORT][/PATH]` };
  if (bracketed !== undefined && isIP(host) !== 6) return { problem: `"${bracketed}" is no IPv6 address` };
  const port = portText === "" ? defaultPorts[known] : readPort(portText);
  if (port === undefined) return { problem: `"${portText}" is no port` };
  if (text.tcp === true && portText === "" && scheme === undefined) return { problem: "a TCP connection needs a port, expected HOST:PORT" };
  const headers: (readonly [string, string])[] = [];
  for (const header of text.headers ?? []) {
    const [, name, value = ""] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*(.*)$/.exec(header) ?? [];
    if (name === undefined) return { problem: `"${header}" is no header, expected 'name: value'` };
    headers.push([name.toLowerCase(), value.trim()]);
  }
  const method = text.method ?? "GET";
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(method)) return { problem: `"${method}" is no HTTP method` };
  const protocol = text.tcp === true ? "tcp" : known === "https" ? "tls" : "http";
  return { kind: "request", protocol, method, host, port, path: path.startsWith("?") ? `/${path}` : path, headers };
}

function parseHello(
  { target, alpn = "", port, tcp, headers = [] }: QuestionText,
  sni: string,
): HelloQuestion | { readonly problem: string } {
  if (target !== undefined || tcp === true || headers.length > 0)
    return { problem: "--sni asks for a ClientHello: no URL, --tcp or --header beside it" };
  const number = port === undefined ? undefined : readPort(port);
  if (port !== undefined && number === undefined) return { problem: `"${port}" is no port` };
  return { kind: "hello", serverName: sni, alpn: alpn.split(",").filter((each) => each !== ""), port: number };
}

function readPort(text: string): number | undefined {
  const port = Number(text);
  return /^\d+$/.test(text) && port >= 1 && port <= 65_535 ? port : undefined;
}

/** The authority a client would send. */
export function authorityOf({ host, port, protocol }: RequestQuestion): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return port === (protocol === "tls" ? 443 : 80) ? name : `${name}:${port}`;
}
