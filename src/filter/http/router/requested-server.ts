// The server's name by request (auto_sni, auto_san_validation): whom the request is for is sent as SNI and must be in the certificate.
import { isIP } from "node:net";
import type { NameByRequest } from "../../../envoy/cluster/cluster.ts";
import type { HttpStream } from "../../../http/stream.ts";
import type { RequestedServer } from "../../../upstream/pool/pool-of.ts";

/** The server that a request asks for, its rewrites done; undefined when the request names nobody. */
export function requestedServer({ sni, verify, header }: NameByRequest, stream: HttpStream): RequestedServer | undefined {
  const named = header === "" ? undefined : stream.headers.get(header);
  const host = hostOf(named === undefined || named === "" ? stream.authority : named);
  if (host === "") return undefined;
  const isAddress = isIP(host) !== 0;
  return { sni: sni && !isAddress ? host : "", verifyNames: verify ? [host] : [], key: host };
}

function hostOf(authority: string): string {
  if (authority.startsWith("[")) return authority.slice(1, authority.indexOf("]"));
  const colon = authority.indexOf(":");
  return colon < 0 ? authority : authority.slice(0, colon);
}
