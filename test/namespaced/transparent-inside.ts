// Runs inside namespaces of its own: clients in and outside of the mesh, and pods whose inbound traffic TPROXY hands to their sidecars.
// Prints whom each application saw, as JSON.
import { chmodSync, cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { PodPlace, PodRole } from "../../src/cli/demo/pod-network.ts";
import { issueMeshCertificates } from "../support/mesh-proxy.ts";
import { ask, isthmus, layOutPods, must, type Said, start, startModule, startProxy, wait } from "../support/pods/pods.ts";

// What is made here goes with these namespaces.
process.env["TMPDIR"] = "/run";
const sample = fileURLToPath(new URL("../golden/mesh/interception-tproxy/mesh", import.meta.url));
const talker = fileURLToPath(new URL("../support/pods/talker.ts", import.meta.url));
const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const seen: Record<string, unknown> = {};

/** The pods of the mesh by their names there, and a client of no mesh that has two addresses of each family. */
const places: readonly (PodPlace & { readonly more: readonly string[] })[] = [
  {
    name: "both",
    legs: [{ network: "net", address: "10.10.0.9/16" }],
    via: "10.10.0.1",
    nameserver: "10.10.0.53",
    more: ["fd00:10::9/64"],
  },
  {
    name: "own-ports",
    legs: [{ network: "net", address: "10.10.0.20/16" }],
    via: "10.10.0.1",
    nameserver: "10.10.0.53",
    more: [],
  },
  {
    name: "client",
    legs: [{ network: "net", address: "10.10.0.1/16" }],
    more: ["10.10.0.31/16", "fd00:10::1/64", "fd00:10::31/64"],
  },
];

async function layOut(): Promise<string> {
  await layOutPods(places);
  for (const { name, more } of places) {
    for (const address of more)
      await must(["ip", "-n", name, "addr", "add", address, "dev", "net", ...(address.includes(":") ? ["nodad"] : [])]);
  }
  await must(["ip", "-n", "both", "-6", "route", "add", "default", "via", "fd00:10::1"]);
  const mesh = mkdtempSync(join(tmpdir(), "isthmus-tproxy-"));
  chmodSync(mesh, 0o755);
  cpSync(sample, mesh, { recursive: true });
  // Endpoints that are not laid out here.
  const objects = join(mesh, "k8s", "one.yaml");
  writeFileSync(objects, readFileSync(objects, "utf8").replace(/^- .*name: (?:four|six), namespace: shop.*\n/gm, ""));
  return mesh;
}

const mesh = await layOut();
const certs = await issueMeshCertificates(
  { after: () => undefined },
  {
    both: { cluster: "one", namespace: "shop", serviceAccount: "both" },
    "own-ports": { cluster: "one", namespace: "shop", serviceAccount: "own-ports" },
  },
);
const runArgs = (pod: keyof typeof certs): readonly string[] => ["--mesh", mesh, "--node", pod, "--certs", certs[pod]];

// What is said instead of serving, by a proxy that may not.
async function refusal(role: PodRole, ...before: readonly string[]): Promise<string> {
  const running = start("both", role, [...before, process.execPath, main, "run", "--drain-time-s", "0", "--mesh", mesh, "--node", "both"]);
  await wait("it gives up", async () => running.child.exitCode !== null);
  const problems = running
    .output()
    .split("\n")
    .filter((line) => line !== "" && !line.includes(" warning "));
  return `exit code ${running.child.exitCode}: ${problems.join(" | ")}`;
}

const curl = (pod: string, ...args: readonly string[]): Promise<Said> => ask(pod, "curl", "-sS", "-g", "-m", "20", ...args);

function caller({ code, out, err }: Said): string {
  if (code !== 0) return `code ${code}: ${err}`;
  const { headers, remote } = JSON.parse(out) as { headers: Record<string, string>; remote: string };
  return `${/URI=(.*)$/.exec(headers["x-forwarded-client-cert"] ?? "")?.[1] ?? "nobody"} from ${remote}`;
}

// What a server that speaks first said, and then sent back.
async function exchange(pod: string, host: string, port: number): Promise<string> {
  const said = await ask(pod, "sh", "-c", `echo hello | nc -w 3 ${host} ${port}`);
  return said.code === 0 ? said.out.trim().replaceAll("\n", " | ") : `code ${said.code}: ${said.err}`;
}

async function fromOutside(): Promise<void> {
  for (const host of ["10.10.0.9", "fd00:10::9"]) {
    const url = host.includes(":") ? `http://[${host}]` : `http://${host}`;
    const family = host.includes(":") ? "IPv6" : "IPv4";
    seen[`HTTP, ${family}`] = caller(await curl("client", `${url}:8080/`));
    seen[`HTTP to a port of no service, ${family}`] = caller(await curl("client", `${url}:9000/`));
    seen[`TCP, ${family}`] = await exchange("client", host, 3306);
    seen[`TCP to a port of no service, ${family}`] = await exchange("client", host, 9999);
    seen[`from outside to 15006, ${family}`] = (await curl("client", "-o", "/dev/null", "-w", "%{http_code}", `${url}:15006/`)).out;
    seen[`from outside to 15001, ${family}`] = (await curl("client", "-o", "/dev/null", "-w", "%{http_code}", `${url}:15001/`)).out;
  }
  seen["HTTP to the application's loopback, by a Sidecar"] = caller(await curl("client", "http://10.10.0.20:8080/"));
}

// Requests of two clients take turns, so that connections upstream would be mixed up if they could be.
async function twoClients(): Promise<void> {
  for (const [family, first, second, url] of [
    ["IPv4", "10.10.0.1", "10.10.0.31", "http://10.10.0.9:8080/"],
    ["IPv6", "fd00:10::1", "fd00:10::31", "http://[fd00:10::9]:8080/"],
  ] as const) {
    const remotes: string[] = [];
    for (let i = 0; i < 6; i++) remotes.push(caller(await curl("client", "--interface", i % 2 === 0 ? first : second, url)));
    seen[`two clients in turn, ${family}`] =
      [...new Set(remotes.filter((_, i) => i % 2 === 0))].join() + " and " + [...new Set(remotes.filter((_, i) => i % 2 === 1))].join();
  }
}

async function insideTheMesh(): Promise<void> {
  seen["mTLS from another TPROXY pod"] = caller(await curl("own-ports", "http://both.shop.svc.cluster.local/"));
  seen["mTLS over TCP from another TPROXY pod"] = await exchange("own-ports", "both.shop.svc.cluster.local", 3306);
  seen["the application to itself, by its address"] = caller(await curl("both", "http://10.10.0.9:8080/"));
  seen["the application to itself, by loopback"] = caller(await curl("both", "http://127.0.0.1:8080/"));
  seen["the application to the proxy's outbound port"] = (await curl("both", "http://127.0.0.1:15001/")).out;
  seen["the application to the proxy's inbound port"] = (await curl("both", "http://127.0.0.1:15006/")).out;
}

seen["as user 1337, without the capability"] = await refusal("proxy-user");
seen["as root, without the capability"] = await refusal("application", "setpriv", "--inh-caps=-all", "--bounding-set=-all");
await startModule("both", talker, "httpbin");
await startModule("own-ports", talker, "httpbin");
for (const pod of ["both", "own-ports"] as const) {
  await isthmus(
    pod,
    "intercept",
    "apply",
    "--mesh",
    mesh,
    "--node",
    pod,
    "--ipv6",
    "on",
    "--redirect-dns",
    "--resolv-conf",
    `/run/resolvers/${pod}`,
  );
  await startProxy(pod, ["--concurrency", "2", ...runArgs(pod)], "proxy-tproxy");
}
for (const part of [fromOutside, twoClients, insideTheMesh]) await part();
console.log(`SEEN ${JSON.stringify(seen)} END`);
process.exit(0);
