// The container of config/kubernetes/east-west-gateway.yaml in a network namespace of its own, as kubelet starts it, probes it and
// ends it. Prints SEEN <json> END.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: number };
  readonly periodSeconds: number;
  readonly failureThreshold: number;
}

interface Container {
  readonly args: readonly string[];
  readonly startupProbe: Probe;
  readonly readinessProbe: Probe;
}

interface PodTemplate {
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
  readonly spec: { readonly containers: readonly [Container] };
}

const file = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
// Kubelet's own retries of a probe are a second apart; asking more often sees more.
const pollMs = 20;
const address = "10.1.0.2";
const downwardApi: Readonly<Record<string, string>> = { INSTANCE_IP: address, POD_NAME: "gateway-abc", POD_NAMESPACE: "istio-system" };

const deployment = parseAllDocuments(readFileSync(file("config/kubernetes/east-west-gateway.yaml"), "utf8"))
  .map((document) => document.toJS() as { readonly kind: string; readonly spec: { readonly template: PodTemplate } })
  .find(({ kind }) => kind === "Deployment");
if (deployment === undefined) throw new Error("there is no Deployment");
const { metadata, spec } = deployment.spec.template;
const [container] = spec.containers;

for (const setUp of ["link set lo up", `addr add ${address}/32 dev lo`]) spawnSync("ip", setUp.split(" "), { stdio: "inherit" });
const args = container.args.map((arg) =>
  arg.replaceAll(/\$\((\w+)\)/g, (_, name: string) => downwardApi[name] ?? "").replace("/etc/isthmus/mesh", file("config/mesh/crossing")),
);
const child = spawn(process.execPath, [file("src/main.ts"), ...args], { stdio: ["ignore", "inherit", "inherit"] });
const exited = once(child, "exit").then(([code]) => code as number | null);

const statuses: (number | undefined)[] = [];
const { startupProbe, readinessProbe } = container;
const until = performance.now() + startupProbe.periodSeconds * startupProbe.failureThreshold * 1000;
while (statuses.at(-1) !== 200 && isAlive(child) && performance.now() < until) {
  await new Promise((resolve) => setTimeout(resolve, pollMs));
  const status = await ask(startupProbe.httpGet.port, startupProbe.httpGet.path);
  if (status !== undefined) statuses.push(status);
}
const ready = await ask(readinessProbe.httpGet.port, readinessProbe.httpGet.path);
const { annotations } = metadata;
const metrics = await body(Number(annotations["prometheus.io/port"]), annotations["prometheus.io/path"] ?? "");
// A session that is there keeps it from ending, so that there is time to ask.
const session = connect(15443, address);
const connected = await once(session, "connect").then(() => true);
session.on("error", () => undefined);
while (!/^envoy_listener_downstream_pre_cx_active\{[^}]*\} 1$/m.test(await body(15090, "/stats/prometheus"))) {
  if (performance.now() > until) throw new Error("the session is not counted");
  await new Promise((resolve) => setTimeout(resolve, pollMs));
}
child.kill("SIGTERM");
let draining: number | undefined = 200;
while (draining === 200 && isAlive(child)) {
  draining = await ask(readinessProbe.httpGet.port, readinessProbe.httpGet.path);
  await new Promise((resolve) => setTimeout(resolve, pollMs));
}
session.destroy();
const code = await exited;
const seen = { statuses: [...new Set(statuses)], ready, metrics: /^envoy_server_live\b/m.test(metrics), connected, draining, code };
process.stdout.write(`SEEN ${JSON.stringify(seen)} END\n`);

function isAlive({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null;
}

function get(port: number, path: string): Promise<Response> {
  return fetch(`http://${address}:${port}${path}`, { signal: AbortSignal.timeout(10_000) });
}

// Undefined when nobody listens.
function ask(port: number, path: string): Promise<number | undefined> {
  return get(port, path).then(
    async (response) => {
      await response.text();
      return response.status;
    },
    () => undefined,
  );
}

async function body(port: number, path: string): Promise<string> {
  return (await get(port, path)).text();
}
