// Which protocol a port speaks, as Istio reads it from appProtocol, the port's name and its number.

/** Istio's port protocols; AUTO means that the first bytes decide. */
export type Protocol = "HTTP" | "HTTP2" | "GRPC" | "GRPC-WEB" | "HTTPS" | "TLS" | "TCP" | "MONGO" | "REDIS" | "MYSQL" | "UDP" | "AUTO";

const byName: Readonly<Record<string, Protocol>> = {
  http: "HTTP",
  http_proxy: "HTTP",
  http2: "HTTP2",
  grpc: "GRPC",
  "grpc-web": "GRPC-WEB",
  https: "HTTPS",
  tls: "TLS",
  tcp: "TCP",
  mongo: "MONGO",
  redis: "REDIS",
  mysql: "MYSQL",
  udp: "UDP",
};

const byAppProtocol: Readonly<Record<string, Protocol>> = {
  "kubernetes.io/h2c": "HTTP2",
  "kubernetes.io/ws": "HTTP",
  "kubernetes.io/wss": "HTTPS",
};

// SMTP, DNS, MySQL, MongoDB: the server speaks first there, so waiting for the client's first bytes would never end.
const serverFirstPorts: ReadonlySet<number> = new Set([25, 53, 3306, 27017]);

/** The protocol a word names, AUTO for any other word. */
export function parseProtocol(word: string): Protocol {
  return byName[word.toLowerCase()] ?? "AUTO";
}

/** The protocol of a Kubernetes Service port. */
export function protocolOfPort(port: {
  readonly port: number;
  readonly name: string;
  readonly protocol: string;
  readonly appProtocol: string;
}): Protocol {
  if (port.protocol === "UDP") return "UDP";
  const fixed = byAppProtocol[port.appProtocol];
  if (fixed !== undefined) return fixed;
  const word = (port.appProtocol === "" ? port.name : port.appProtocol).toLowerCase();
  const named = word.startsWith("grpc-web") ? "GRPC-WEB" : parseProtocol(word.split("-")[0] ?? "");
  return named === "AUTO" && serverFirstPorts.has(port.port) ? "TCP" : named;
}

/** HTTP of any version. */
export function isHttp(protocol: Protocol): boolean {
  return protocol === "HTTP" || isHttp2(protocol);
}

/** HTTP/2 without asking: HTTP2 and both gRPC forms. */
export function isHttp2(protocol: Protocol): boolean {
  return protocol === "HTTP2" || isGrpc(protocol);
}

/** gRPC in either form. */
export function isGrpc(protocol: Protocol): boolean {
  return protocol === "GRPC" || protocol === "GRPC-WEB";
}

/** TLS that is the application's own. */
export function isTls(protocol: Protocol): boolean {
  return protocol === "HTTPS" || protocol === "TLS";
}
