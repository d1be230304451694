// A cluster's own DNS server, as plain as can be: the names of one file of "ADDRESS NAME" lines, NXDOMAIN for all others.
// usage: cluster-dns.ts --hosts FILE [--host 127.0.0.1] [--port 53]
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { startClusterDns } from "../../src/cli/demo/cluster-dns.ts";

const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "/etc/hosts" },
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "53" },
  },
});

const lines = readFileSync(values.hosts, "utf8")
  .split("\n")
  .map((line) => line.replace(/#.*/, "").trim().split(/\s+/));
const hosts = new Map(lines.flatMap(([address = "", ...names]) => names.map((name): [string, string] => [name, address])));
const dns = await startClusterDns(values.host, hosts, Number(values.port));
process.stdout.write(`cluster DNS answers ${hosts.size} names on ${values.host}:${dns.port}\n`);

// The server itself is no reason for a process to go on; this timer is.
const alive = setInterval(() => undefined, 60_000);
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    clearInterval(alive);
    dns.close();
  });
}
