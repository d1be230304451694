// Runs inside the namespace of global-host.test.ts: starts both meshes, calls httpbin.bar.global once, and prints what came back.
import { execFileSync } from "node:child_process";
import { type Ending } from "../support/mesh-proxy.ts";
import { startGlobalHost } from "../support/global-host.ts";

const endings: (() => Promise<void> | void)[] = [];
const ending: Ending = { after: (end) => void endings.unshift(end) };
execFileSync("ip", ["addr", "add", "240.0.0.2/32", "dev", "lo"]);
execFileSync("ip", ["link", "set", "lo", "up"]);
try {
  const world = await startGlobalHost(ending, { address: "240.0.0.2", network: "127.77.1" });
  const addresses = await world.resolve();
  const { status, headers } = await world.request("HEAD", "/headers");
  const timed = /^\d+$/.test(String(headers["x-envoy-upstream-service-time"]));
  console.log(`SEEN ${JSON.stringify({ addresses, status, server: headers["server"], timed })} END`);
} finally {
  for (const end of endings) await end();
}
