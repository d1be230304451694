// Listeners that end streams, heads and connections that take too long, over HTTP/1 and HTTP/2.
import { cluster, direct, listener, manager, prefix, to } from "../builders.ts";
import type { Origins } from "../origins.ts";
import type { BootstrapPart } from "./part.ts";

/** Listeners named by the one timeout they have. */
export function streamTimersPart({ silent, http }: Origins): BootstrapPart {
  const routes = [
    prefix("/silent", to("timers-silent", { timeout: "0s" })),
    prefix("/longer", to("timers-silent", { timeout: "0s", idle_timeout: "0.3s" })),
    prefix("/own", to("timers-silent", { timeout: "0s", max_stream_duration: { max_stream_duration: "0.1s" } })),
    prefix("/direct", direct("d")),
    prefix("/", to("timers-http")),
  ];
  const hosts = [{ name: "all", domains: ["*"], routes }];
  const common = (options: object): object => ({ common_http_protocol_options: options });
  const options: Readonly<Record<string, object>> = {
    "timer-idle": { stream_idle_timeout: "0.2s" },
    "timer-duration": common({ max_stream_duration: "0.2s" }),
    "timer-head": { request_headers_timeout: "0.2s" },
    "timer-request": { request_timeout: "0.2s" },
    "timer-connection": { ...common({ max_connection_duration: "0.2s" }), drain_timeout: "0.15s" },
    "timer-connection-idle": common({ idle_timeout: "0.2s" }),
  };
  return {
    listeners: Object.entries(options).map(([name, more]) => listener(name, manager(name, hosts, { ...more, drain_timeout: "0.15s" }))),
    clusters: [cluster("timers-silent", silent), cluster("timers-http", http)],
  };
}
