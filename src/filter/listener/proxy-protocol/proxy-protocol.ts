// envoy.filters.listener.proxy_protocol: takes the client's address from a PROXY protocol header and drops the header.
import type { ProxyProtocolConfig } from "../../../envoy/listener/listener-filters.ts";
import { parseProxyHeader } from "../../../wire/proxy-protocol.ts";
import type { ListenerFilterSpec, ListenerFilterVerdict } from "../../filter.ts";

// 16 fixed bytes and a 16-bit length.
const maxBytes = 16 + 65535;

const needMore: ListenerFilterVerdict = { kind: "needMore" };
const goOn: ListenerFilterVerdict = { kind: "continue", consumed: 0 };
const refused: ListenerFilterVerdict = { kind: "close", details: "proxy_protocol_error" };

/** The PROXY protocol filter. */
export const proxyProtocol: ListenerFilterSpec = {
  extension: "envoy.filters.listener.proxy_protocol",
  create: (config, deps) => {
    const { allowRequestsWithoutProxyProtocol: optional, disallowedVersions, statPrefix } = config as ProxyProtocolConfig;
    const stats = deps.stats.scope(statPrefix === "" ? "proxy_proto" : `proxy_proto.${statPrefix}`);
    const disallowed = { 1: stats.counter("versions.v1.disallowed"), 2: stats.counter("versions.v2.disallowed") };
    const absent = stats.counter(optional ? "not_found_allowed" : "not_found_disallowed");
    const found = { 1: stats.counter("versions.v1.found"), 2: stats.counter("versions.v2.found") };
    const error = { 1: stats.counter("versions.v1.error"), 2: stats.counter("versions.v2.error") };
    return {
      needsBytes: true,
      maxBytes,
      inspect(info, bytes) {
        if (bytes.length === 0) return needMore;
        const header = parseProxyHeader(bytes);
        switch (header.kind) {
          case "incomplete":
            return needMore;
          case "absent":
            absent.inc();
            return optional ? goOn : refused;
          case "invalid":
            error[bytes[0] === 0x50 ? 1 : 2].inc();
            deps.logger.debug("PROXY protocol header refused", { reason: header.reason, peer: info.directRemote.ip });
            return refused;
          case "header":
            if (disallowedVersions.includes(header.version === 1 ? "V1" : "V2")) {
              disallowed[header.version].inc();
              return refused;
            }
            found[header.version].inc();
            if (header.addresses) {
              info.remote = header.addresses.source;
              info.local = header.addresses.destination;
              info.localRestored = true;
            }
            return { kind: "continue", consumed: header.consumed };
        }
      },
    };
  },
};
