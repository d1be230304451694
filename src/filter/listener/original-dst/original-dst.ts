// envoy.filters.listener.original_dst: restores the destination of a connection that netfilter redirected to this listener.
import { originalDestination } from "../../../net/original-dst.ts";
import type { ListenerFilterSpec, ListenerFilterVerdict } from "../../filter.ts";

const goOn: ListenerFilterVerdict = { kind: "continue", consumed: 0 };

/** The original destination filter. Where the kernel does not say (no redirect, no koffi, not Linux) nothing changes. */
export const originalDst: ListenerFilterSpec = {
  extension: "envoy.filters.listener.original_dst",
  create: () => ({
    needsBytes: false,
    maxBytes: 0,
    inspect(info, _bytes, socketFd) {
      const destination = originalDestination(socketFd, info.directLocal.ip.includes(":") ? 6 : 4);
      // Without a redirect the kernel gives the address of the socket itself; that connection is this listener's own.
      if (!destination || (destination.port === info.directLocal.port && destination.ip === info.directLocal.ip)) return goOn;
      info.local = destination;
      info.localRestored = true;
      return goOn;
    },
  }),
};
