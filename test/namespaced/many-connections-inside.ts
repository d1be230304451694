// Runs inside namespaces of its own: connections of one application through one sidecar, as many as are asked for, open at the same
// time and each answered twice. Prints what became of them, and the sidecar's memory and descriptors.
// usage: many-connections-inside.ts COUNT http|tcp     http: to a service of the mesh across the clusters; tcp: bytes to a server of no mesh
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ask, startModule, wait } from "../support/pods/pods.ts";
import { startTwoNetworks } from "../support/pods/two-networks.ts";

// What is made here goes with these namespaces.
process.env["TMPDIR"] = "/run";
const world = await startTwoNetworks();
const client = fileURLToPath(new URL("many-connections-client.ts", import.meta.url));

// /proc shows processes by their numbers outside, and the file of this one too.
function outsidePid(): string {
  const own = readFileSync("/proc/self/stat", "utf8").split(" ")[0] ?? "";
  const pids = readFileSync(`/proc/${own}/task/${own}/children`, "utf8").trim().split(" ");
  const inside = new RegExp(`^NSpid:.*\\t${world.sleep.child.pid ?? 0}$`, "m");
  return pids.find((pid) => inside.test(readFileSync(`/proc/${pid}/status`, "utf8"))) ?? "";
}

const pid = outsidePid();

function sidecar(): { readonly megabytes: number; readonly descriptors: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return { megabytes: Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024), descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

const before = sidecar();
const [, , count = "", kind = "http"] = process.argv;
const request = String.raw`GET / HTTP/1.1\r\nhost: httpbin:8000\r\n\r\n`;
const where = kind === "http" ? ["10.96.2.80", "8000", count, request] : ["10.1.0.53", "7007", count, "hello"];
const clients = await startModule("sleep", client, ...where);
const during = sidecar();
clients.child.kill("SIGUSR2");
await wait("every connection was answered again", async () => clients.output().includes("ended"), clients);
const told = JSON.parse(/ended (\{.*\})/.exec(clients.output())?.[1] ?? "{}") as object;
await wait("the sidecar has let them go", async () => sidecar().descriptors < before.descriptors + 1000);
const after = await ask("sleep", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://httpbin:8000/");
console.log(`SEEN ${JSON.stringify({ ...told, before, during, after: after.out })} END`);
process.exit(0);
