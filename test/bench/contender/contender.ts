// The proxies that are compared: where each is found, which files it needs, and how it is started. All of them get one
// worker, no access log (but in the chain of a sidecar), and connections that are kept open on both sides.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { benchmarks } from "../benchmark.ts";
import type { PlainTraffic, Traffic } from "../benchmark.ts";
import type { MeshCertificate } from "../load/messages.ts";
import { envoyBootstrap } from "./envoy-bootstrap.ts";
import { haproxyConfig } from "./haproxy-config.ts";
import { nginxConfig } from "./nginx-config.ts";

/** Where one kind of traffic comes in and goes out. */
export interface PortPair {
  readonly listen: number;
  readonly upstream: number;
}

/** A proxy to measure. */
export interface Contender {
  readonly name: string;
  /** Absent when the program was found; else why it is left out. */
  readonly missing?: string;
  readonly version: string;
  /** What it is measured with: HAProxy and nginx are the yardstick of plain traffic only. */
  readonly traffic: readonly Traffic[];
  /** Writes what the proxy reads into `folder` and returns the command that starts it in the foreground. */
  prepare(folder: string, ports: Readonly<Record<Traffic, PortPair>>, mesh: MeshCertificate): readonly string[];
}

/** isthmus first, then every peer, whether it is there or not. */
export function findContenders(): Contender[] {
  return [
    isthmus(),
    peer("envoy", ["--version"], allTraffic, startEnvoy),
    peer("haproxy", ["-v"], plainTraffic, startHaproxy),
    peer("nginx", ["-v"], plainTraffic, startNginx),
  ];
}

const allTraffic: readonly Traffic[] = benchmarks.map(({ name }) => name);
const plainTraffic: readonly PlainTraffic[] = ["http1", "tcp-rtt", "tcp-bulk", "sni-bulk"];

type Prepare = (program: string, folder: string, ports: Readonly<Record<Traffic, PortPair>>, mesh: MeshCertificate) => readonly string[];

function isthmus(): Contender {
  const program = fileURLToPath(new URL("../../../scripts/isthmus", import.meta.url));
  const { version } = JSON.parse(fs.readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as { version: string };
  return {
    name: "isthmus",
    version,
    ...(fs.existsSync(program) ? {} : { missing: `${program} is not there` }),
    traffic: allTraffic,
    prepare: (folder, ports, mesh) => {
      const file = path.join(folder, "isthmus.json");
      fs.writeFileSync(file, JSON.stringify(envoyBootstrap(folder, ports, mesh), null, 2));
      return [program, "run", "-c", file, "--concurrency", "1"];
    },
  };
}

function peer(name: string, versionArguments: readonly string[], traffic: readonly Traffic[], prepare: Prepare): Contender {
  const program = findProgram(name);
  if (program === undefined) {
    return { name, version: "", traffic, missing: "neither on PATH nor in $PEERS_BIN", prepare: () => [] };
  }
  return {
    name,
    version: versionOf(program, versionArguments),
    traffic,
    prepare: (folder, ports, mesh) => prepare(program, folder, ports, mesh),
  };
}

function findProgram(name: string): string | undefined {
  const peersBin = process.env["PEERS_BIN"] ?? path.join(os.homedir(), ".cache", "isthmus-peers", "bin");
  return [peersBin, ...(process.env["PATH"] ?? "").split(path.delimiter), "/usr/sbin"]
    .map((folder) => path.join(folder, name))
    .find((file) => {
      try {
        fs.accessSync(file, fs.constants.X_OK);
        return true;
      } catch {
        return false; // not there, or not ours to run: the next folder may have it
      }
    });
}

// nginx writes its version to stderr, so both streams are read.
function versionOf(program: string, versionArguments: readonly string[]): string {
  const text = execFileSync("/bin/sh", ["-c", '"$0" "$@" 2>&1', program, ...versionArguments], { encoding: "utf8" });
  return /\d+\.\d+\.\d+/.exec(text.replace(/\b[0-9a-f]{40}\b/, ""))?.[0] ?? "";
}

function startEnvoy(program: string, folder: string, ports: Readonly<Record<Traffic, PortPair>>, mesh: MeshCertificate): readonly string[] {
  const file = path.join(folder, "envoy.json");
  fs.writeFileSync(file, JSON.stringify(envoyBootstrap(folder, ports, mesh), null, 2));
  return [program, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error"];
}

function startHaproxy(program: string, folder: string, ports: Readonly<Record<Traffic, PortPair>>): readonly string[] {
  const file = path.join(folder, "haproxy.cfg");
  fs.writeFileSync(file, haproxyConfig(ports));
  return [program, "-f", file, "-db"];
}

function startNginx(program: string, folder: string, ports: Readonly<Record<Traffic, PortPair>>): readonly string[] {
  const file = path.join(folder, "nginx.conf");
  fs.writeFileSync(file, nginxConfig(folder, ports));
  return [program, "-p", folder, "-c", file, "-e", "stderr"];
}
