// A Docker engine to test with: the one that answers, or, as root on Linux, one that is started for the test and ended after it, with a
// data folder of its own. Its base image comes from the public registry or, where that cannot be reached, is made from packages.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** What the Dockerfile builds on. */
const baseImage = "node:24-slim";

/** Kept from run to run, so that the base image and what was built are there the next time. */
const dataFolder = "/var/lib/isthmus-test-docker";

const startMs = 30_000;
const pullMs = 60_000;
const makeBaseMs = 180_000;

/** An engine that answers. */
export interface DockerEngine {
  /** What its clients need in their environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Ends it if it was started here. */
  stop(): Promise<void>;
}

const works = (program: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}, timeout = startMs): boolean =>
  spawnSync(program, args, { stdio: "ignore", env: { ...process.env, ...environment }, timeout }).status === 0;

/** An engine with the base image, or one sentence that says why there is none. */
export async function startDockerEngine(): Promise<DockerEngine | string> {
  if (!works("docker", ["--version"])) return "no docker here";
  if (!works("docker", ["compose", "version"]) && !works("docker-compose", ["version"])) return "docker has no compose here";
  if (works("docker", ["version"])) return provideBase({ environment: {}, stop: async () => undefined }, false);
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "no Docker engine answers, and starting one needs root on Linux";
  if (!works("dockerd", ["--version"])) return "no Docker engine answers, and there is no dockerd to start";
  let reason = "";
  for (const driver of ["overlay2", "vfs"]) {
    const started = await startOwn(driver);
    if (typeof started !== "string") return provideBase(started, true);
    reason = started;
  }
  return `no Docker engine can be started: ${reason}`;
}

// No bridge of its own: the networks of the test are the only ones.
async function startOwn(driver: string): Promise<DockerEngine | string> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "isthmus-docker-"));
  const host = `unix://${folder}/docker.sock`;
  const log = fs.openSync(path.join(folder, "log"), "a");
  const flags = [
    "--host",
    host,
    "--data-root",
    dataFolder,
    "--exec-root",
    path.join(folder, "exec"),
    "--pidfile",
    path.join(folder, "pid"),
  ];
  const child = spawn("dockerd", [...flags, "--storage-driver", driver, "--bridge", "none"], { stdio: ["ignore", log, log] });
  fs.closeSync(log);
  const ended = once(child, "exit");
  const stop = async (): Promise<void> => {
    // Stages of earlier builds; the base image and the last images stay.
    works("docker", ["image", "prune", "--force"], { DOCKER_HOST: host });
    child.kill("SIGTERM");
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, startMs).unref())]);
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    for (const mount of mountsBelow(folder)) works("umount", ["--lazy", mount]);
    fs.rmSync(folder, { recursive: true, force: true });
  };
  const until = performance.now() + startMs;
  while (performance.now() < until && child.exitCode === null) {
    if (works("docker", ["version"], { DOCKER_HOST: host })) return { environment: { DOCKER_HOST: host }, stop };
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const said = fs.readFileSync(path.join(folder, "log"), "utf8").trim().split("\n").at(-1) ?? "";
  await stop();
  return said;
}

// Namespaces of containers stay mounted when the engine has ended.
function mountsBelow(folder: string): readonly string[] {
  const targets = fs
    .readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "");
  return targets.filter((target) => target.startsWith(`${folder}/`)).toReversed();
}

async function provideBase(engine: DockerEngine, own: boolean): Promise<DockerEngine | string> {
  const { environment } = engine;
  if (works("docker", ["image", "inspect", baseImage], environment)) return engine;
  if (works("docker", ["pull", "--quiet", baseImage], environment, pullMs) || makeBase(environment)) {
    if (own) trustRegistries(environment);
    return engine;
  }
  await engine.stop();
  return `${baseImage} can neither be pulled nor made here`;
}

// $ISTHMUS_BASE_IMAGE names the program that makes an image of a given name from packages.
function makeBase(environment: Readonly<Record<string, string>>): boolean {
  const program = process.env["ISTHMUS_BASE_IMAGE"] ?? fileURLToPath(new URL("../../../shared/peers/base-image", import.meta.url));
  return fs.existsSync(program) && works(program, [baseImage], environment, makeBaseMs);
}

// Where the way to the package registries is signed by an authority of this machine, the build has to know it as well.
function trustRegistries(environment: Readonly<Record<string, string>>): void {
  const authorities = process.env["NODE_EXTRA_CA_CERTS"];
  if (authorities === undefined || !fs.existsSync(authorities)) return;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "isthmus-base-"));
  const file = "/etc/ssl/certs/ca-certificates.crt";
  fs.copyFileSync(authorities, path.join(folder, "authorities.crt"));
  fs.writeFileSync(path.join(folder, "Dockerfile"), `FROM ${baseImage}\nCOPY authorities.crt ${file}\nENV NODE_EXTRA_CA_CERTS=${file}\n`);
  works("docker", ["build", "--tag", baseImage, folder], environment, pullMs);
  fs.rmSync(folder, { recursive: true });
}
