// envoy.filters.listener.original_src: connections upstream on behalf of this one carry its client's address.
import type { OriginalSrcConfig } from "../../../envoy/listener/listener-filters.ts";
import type { ListenerFilterSpec, ListenerFilterVerdict } from "../../filter.ts";

const goOn: ListenerFilterVerdict = { kind: "continue", consumed: 0 };

/** The original source filter. The address is the one that filters before it have found out. */
export const originalSrc: ListenerFilterSpec = {
  extension: "envoy.filters.listener.original_src",
  create: (config) => {
    const { bindPort, mark } = config as OriginalSrcConfig;
    return {
      needsBytes: false,
      maxBytes: 0,
      inspect(info) {
        info.upstreamSource = { ip: info.remote.ip, port: bindPort ? info.remote.port : 0, mark };
        return goOn;
      },
    };
  },
};
