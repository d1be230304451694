// Where the demo's processes stand: each workload in a network namespace of its own, or all of them on this machine's loopback.
import { execFile } from "node:child_process";
import type { Place } from "./child-processes.ts";
import { isFree } from "./mesh-copy.ts";
import { inPod, type PodPlace, type PodRole } from "./pod-network.ts";
import { askHttp, type HttpAnswer } from "./questions.ts";

/** A stage. */
export interface Stage {
  /** Pods with interception; otherwise every listener binds the address it stands for. */
  readonly pods: boolean;
  /** Makes of a command one that runs it in a pod, as the application or the proxy. */
  readonly place: (pod: string, role: PodRole) => Place;
  /** Runs a command in a pod to its end and gives its output; throws with what it said when that is no good end. */
  readonly run: (pod: string, command: readonly string[], role?: PodRole) => Promise<string>;
  /** HOST:PORT for questions of sleep's application. */
  readonly dns: () => Promise<string>;
  /** GETs a path of the admin interface of a pod's proxy. */
  readonly askAdmin: (pod: string, admin: string, path: string) => Promise<HttpAnswer | undefined>;
}

const loopback = "127.0.0.1";
const dnsPort = 15053;

/** The resolver in sleep's resolv.conf. Nobody is there: its packets never get so far. */
const resolver = "10.1.0.53";

/** Longest run of a command in a pod. */
const runLimitMs = 20_000;

/** The pods of the sample mesh. */
export const demoPods: readonly PodPlace[] = [
  { name: "sleep", legs: [{ network: "network1", address: "10.1.0.10/16" }], via: "10.1.0.1", nameserver: resolver },
  { name: "httpbin", legs: [{ network: "network2", address: "10.2.0.20/16" }], via: "10.2.0.1", nameserver: "10.2.0.53" },
  gateway("gateway1", "network1", "10.1.0.1/16", "10.99.0.1/16"),
  gateway("gateway2", "network2", "10.2.0.1/16", "10.99.0.2/16"),
];

function gateway(name: string, network: string, inside: string, outside: string): PodPlace {
  const legs = [
    { network, address: inside },
    { network: "transit", address: outside },
  ];
  return { name, legs, masquerades: "transit" };
}

/** All on loopback. */
export const loopbackStage: Stage = {
  pods: false,
  place: () => (command) => command,
  run: (_, command) => output(command),
  dns: async () => `${loopback}:${await freePort(dnsPort)}`,
  askAdmin: async (_, admin, path) => {
    const [host = "", port = ""] = admin.split(":");
    return (await askHttp(host, Number(port), admin, path)).value;
  },
};

/** Pods, seen from sleep's own. */
export const podStage: Stage = {
  pods: true,
  place: (pod, role) => (command) => inPod(pod, role, command),
  run: (pod, command, role = "application") => output(inPod(pod, role, command)),
  dns: async () => `${resolver}:53`,
  askAdmin: (pod, admin, path) =>
    output(inPod(pod, "application", [process.execPath, "-e", fetchText, `http://${admin}${path}`])).then(
      (text) => JSON.parse(text) as HttpAnswer,
      () => undefined,
    ),
};

// What a process of Node in another pod runs: its admin interface is on its own loopback.
const fetchText = `fetch(process.argv[1]).then(async (r) => console.log(JSON.stringify({ status: r.status, headers: {}, body: await r.text() })))`;

function output(command: readonly string[]): Promise<string> {
  const [file = "", ...args] = command;
  return new Promise((resolve, reject) => {
    execFile(file, args, { timeout: runLimitMs, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${stderr.trim() || error.message}`));
    });
  });
}

/** The first free port of loopback from `first` on. */
export async function freePort(first: number): Promise<number> {
  for (let port = first; port < first + 1000; port++) if (await isFree(port, loopback)) return port;
  throw new Error(`no free port from ${first} on`);
}
