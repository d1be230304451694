// A Docker engine to test with: the one that answers, or, as root on Linux, one that is started for the test with a data folder of its
// own. That one ends with the test, whatever ends the test, and its data, packet rules and mounts go with it.
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { provideBaseImage } from "./docker-base-image.ts";
import { firewallState } from "./firewall-state.ts";
import { works } from "./works.ts";

/** Where data folders are made: overlay2 wants a file system that is no overlay itself, as /tmp often is in a container. */
const dataParent = "/var/lib";
const prefix = "isthmus-test-docker-";

/** What three images of 220 MB and their build take: overlay2 keeps what differs, vfs a whole copy for each step and container. */
const drivers = [
  { driver: "overlay2", bytes: 3e9 },
  { driver: "vfs", bytes: 25e9 },
] as const;

const startMs = 30_000;
const stopMs = 30_000;
const pollMs = 200;

/** An engine that answers. */
export interface DockerEngine {
  /** What its clients need in their environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Whether it was started here and keeps nothing. */
  readonly own: boolean;
  /** The storage driver. */
  readonly driver: string;
  /** Ends it if it was started here. */
  stop(): Promise<void>;
}

/** An engine with the base image of the Dockerfile, or one sentence that says why there is none. */
export async function startDockerEngine(): Promise<DockerEngine | string> {
  if (!works("docker", ["--version"])) return "there is no docker here";
  if (!works("docker", ["compose", "version"]) && !works("docker-compose", ["version"])) return "docker has no compose here";
  const engine = works("docker", ["version"]) ? running() : await startFirst();
  if (typeof engine === "string") return engine;
  const problem = provideBaseImage(engine);
  if (problem === undefined) return engine;
  await engine.stop();
  return problem;
}

const running = (): DockerEngine => ({ environment: {}, own: false, driver: "its own", stop: async () => undefined });

async function startFirst(): Promise<DockerEngine | string> {
  const none = "no Docker engine answers, and";
  if (process.platform !== "linux" || process.getuid?.() !== 0) return `${none} starting one needs root on Linux`;
  if (!works("dockerd", ["--version"])) return `${none} there is no dockerd to start`;
  removeLeftovers();
  const { bavail, bsize } = fs.statfsSync(dataParent);
  const reasons: string[] = [];
  for (const { driver, bytes } of drivers) {
    const tooSmall = `${(bytes / 1e9).toFixed(0)} GB in ${dataParent} are not free`;
    const started = bavail * bsize < bytes ? tooSmall : await start(driver);
    if (typeof started !== "string") return started;
    reasons.push(`with ${driver}: ${started}`);
  }
  return `${none} none can be started: ${reasons.join("; ")}`;
}

// No bridge of its own: the networks of the test are the only ones.
async function start(driver: string): Promise<DockerEngine | string> {
  const data = fs.mkdtempSync(path.join(dataParent, `${prefix}${process.pid}-`));
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "isthmus-docker-"));
  const environment = { DOCKER_HOST: `unix://${folder}/docker.sock` };
  const places = { host: environment.DOCKER_HOST, "data-root": data, "exec-root": `${folder}/exec`, pidfile: `${folder}/pid` };
  const flags = Object.entries({ ...places, "storage-driver": driver, bridge: "none" }).flatMap(([name, value]) => [`--${name}`, value]);
  const firewall = firewallState();
  // Whatever is on it is this test's: containers end and bridges go while there is somebody to take them away.
  const clear = "docker ps -aq | xargs -r docker rm --force --volumes; docker network prune --force";
  const log = fs.openSync(path.join(folder, "log"), "a");
  // A test that is killed cannot end it: the kernel does.
  const child = spawn("setpriv", ["--pdeathsig", "TERM", "dockerd", ...flags], { stdio: ["ignore", log, log] });
  fs.closeSync(log);
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  const stop = async (): Promise<void> => {
    if (isRunning(child)) works("sh", ["-c", clear], environment);
    await end(child, ended);
    firewall.restore();
    for (const gone of [folder, data]) remove(gone);
  };
  const until = performance.now() + startMs;
  while (performance.now() < until && isRunning(child)) {
    if (works("docker", ["version"], environment)) return { environment, own: true, driver, stop };
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, pollMs))]);
  }
  const said = fs.readFileSync(path.join(folder, "log"), "utf8").trim().split("\n").at(-1);
  await stop();
  return said === undefined || said === "" ? "dockerd says nothing" : said;
}

const isRunning = (child: ChildProcess): boolean => child.pid !== undefined && child.exitCode === null && child.signalCode === null;

async function end(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (!isRunning(child)) return;
  child.kill("SIGTERM");
  await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, stopMs).unref())]);
  if (isRunning(child)) child.kill("SIGKILL");
  await ended;
}

// Namespaces of containers stay mounted when the engine has ended, and the folder on itself when it was killed.
function remove(folder: string): void {
  const targets = fs
    .readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "");
  for (const mount of targets.filter((target) => target === folder || target.startsWith(`${folder}/`)).toReversed())
    works("umount", ["--lazy", mount]);
  fs.rmSync(folder, { recursive: true, force: true });
}

// Of tests that were killed: the folder has the number of the process that made it. One that cannot go takes nothing but its room.
function removeLeftovers(): void {
  for (const name of fs.readdirSync(dataParent).filter((entry) => entry.startsWith(prefix))) {
    const pid = name.slice(prefix.length).split("-")[0] ?? "";
    if (fs.existsSync(`/proc/${pid}`)) continue;
    try {
      remove(path.join(dataParent, name));
    } catch (error) {
      process.stderr.write(`${path.join(dataParent, name)} of an ended test stays: ${String(error)}\n`);
    }
  }
}
