// The same traffic for HAProxy: one thread, no log, server connections shared and kept.
import type { Traffic } from "../benchmark.ts";
import { serverName } from "../load/payload.ts";
import type { PortPair } from "./contender.ts";

/** Builds haproxy.cfg. */
export function haproxyConfig(ports: Readonly<Record<Traffic, PortPair>>): string {
  return `global
  nbthread 1
  maxconn 4096

defaults
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  option http-keep-alive
  http-reuse always

frontend http1
  mode http
  bind 127.0.0.1:${ports.http1.listen}
  default_backend http1
backend http1
  mode http
  server up 127.0.0.1:${ports.http1.upstream}

${tcp("tcp-rtt", ports["tcp-rtt"])}
${tcp("tcp-bulk", ports["tcp-bulk"])}

frontend sni-bulk
  mode tcp
  bind 127.0.0.1:${ports["sni-bulk"].listen}
  tcp-request inspect-delay 5s
  tcp-request content accept if { req_ssl_hello_type 1 }
  use_backend sni-bulk if { req_ssl_sni -i ${serverName} }
backend sni-bulk
  mode tcp
  server up 127.0.0.1:${ports["sni-bulk"].upstream}
`;
}

function tcp(name: string, ports: PortPair): string {
  return `listen ${name}
  mode tcp
  bind 127.0.0.1:${ports.listen}
  server up 127.0.0.1:${ports.upstream}`;
}
