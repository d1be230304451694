// `isthmus run` with status ports and, where a test wants one, a command, as a process of its own.
import type { TestContext } from "node:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { isthmusWith, startEcho, temporaryFolder } from "../run-process.ts";
import type { Running } from "../run-process.ts";

/** A sidecar between an inbound and an outbound listener, both leading to an echo. */
export interface Sidecar extends Running {
  readonly health: string;
  readonly status: string;
  readonly prometheus: string;
  readonly folder: string;
  readonly inbound: number;
  readonly outbound: number;
}

/** What one starts with. */
export interface SidecarOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
  readonly command?: readonly string[];
}

/** Starts it; it may end at any time. */
export async function launchSidecar(t: TestContext, options: SidecarOptions = {}): Promise<Running & { readonly folder: string }> {
  const { environment = {}, flags = [], command = [] } = options;
  const folder = temporaryFolder(t);
  const file = join(folder, "bootstrap.yaml");
  writeFileSync(file, bootstrap(await startEcho(t)));
  const ports = ["health", "status", "prometheus"].flatMap((kind) => [`--${kind}`, "127.0.0.1:0"]);
  const args = ["run", "-c", file, "--admin", "127.0.0.1:0", ...ports, ...flags, ...(command.length > 0 ? ["--", ...command] : [])];
  return { ...isthmusWith(t, environment, args), folder };
}

/** Starts it and waits until it serves. */
export async function startSidecar(t: TestContext, options: SidecarOptions = {}): Promise<Sidecar> {
  const running = await launchSidecar(t, options);
  const [, admin = ""] = await running.saw(/started .*admin=(\S+)/);
  const [, health = "", status = "", prometheus = ""] = await running.saw(/status ports .*health=(\S+) status=(\S+) prometheus=(\S+)/);
  const listeners = await (await fetch(`http://${admin}/listeners`)).text();
  const port = (name: string): number => Number(new RegExp(`^${name}::.*:(\\d+)$`, "m").exec(listeners)?.[1]);
  return { ...running, health, status, prometheus, inbound: port("in"), outbound: port("out") };
}

const listener = (name: string, direction: string): string => `
  - name: ${name}
    traffic_direction: ${direction}
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: ${name}
          cluster: echo`;

const bootstrap = (echo: number): string => `node: {id: "sidecar~10.0.0.1~app.default~default.svc.cluster.local", cluster: app}
static_resources:
  listeners:${listener("in", "INBOUND")}${listener("out", "OUTBOUND")}
  clusters:
  - name: echo
    connect_timeout: 1s
    load_assignment:
      cluster_name: echo
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${echo}}}}}]}]
`;
