// envoy.filters.listener.original_dst: restores the destination of a connection that netfilter redirected to this listener, or
// handed over unchanged (TPROXY).
import { originalDestination } from "../../../net/original-dst.ts";
import type { ListenerFilterSpec, ListenerFilterVerdict } from "../../filter.ts";

const goOn: ListenerFilterVerdict = { kind: "continue", consumed: 0 };

/** The original destination filter. Where the kernel does not say (no redirect, no koffi, not Linux) nothing changes. */
export const originalDst: ListenerFilterSpec = {
  extension: "envoy.filters.listener.original_dst",
  create: (_config, { transparent }) => ({
    needsBytes: false,
    maxBytes: 0,
    inspect(info, _bytes, socketFd) {
      const destination = originalDestination(socketFd, info.directLocal.ip.includes(":") ? 6 : 4);
      if (!destination || (destination.port === info.directLocal.port && destination.ip === info.directLocal.ip)) {
        // Nothing was rewritten. To a transparent socket that is how TPROXY hands over; to any other the client called itself.
        info.localRestored = transparent;
        return goOn;
      }
      info.local = destination;
      info.localRestored = true;
      return goOn;
    },
  }),
};
