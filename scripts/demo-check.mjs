// What scripts/demo-check does. The README is the script: each `console` block of its section on Docker is commands (`$ ...`) with
// the output that they should give. One without output must succeed; one with output is asked again until it is right, because what
// was changed before it takes a moment to reach every proxy.
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const section = "## Two clusters in Docker";
const maxImageMegabytes = 250;

/** node:24-slim has 230 MB by the repo-info of Docker's official images, so that this much more is still below the limit there. */
const maxMegabytesOverBase = 19;

/** How long a command may take; the first one starts forty containers. */
const commandMs = 300_000;

/** How long the right output may take to come. A machine under load stops for a minute now and then. */
const settleMs = 150_000;
const againMs = 500;

/** How long one try may take before the next; what hangs shows as a try more. */
const tryMs = 45_000;

const { values } = parseArgs({ options: { keep: { type: "boolean", default: false } } });
const pagePort = await freePort(8080);
const env = {
  ISTHMUS_DEMO_PORT: String(pagePort),
  COMPOSE_PROJECT_NAME: "isthmus-demo-check",
  ...process.env,
  COMPOSE_ANSI: "never",
  COMPOSE_HTTP_TIMEOUT: "300",
  BUILDKIT_PROGRESS: "plain",
};
const meshFolder = path.join(root, "config", "mesh", "bookinfo");
const compose = composeProgram();

let failed = 0;
let passed = 0;
let interrupted = false;
let endCurrent = () => undefined;
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    interrupted = true;
    endCurrent();
  });
}

const before = readFiles(meshFolder);
const steps = readSteps(fs.readFileSync(path.join(root, "README.md"), "utf8"));
try {
  await buildImages();
  for (const step of steps) {
    if (interrupted || failed > 0) break;
    const isLast = /^docker compose down\b/.test(step.command);
    if (isLast) await checkContainers();
    if (!values.keep || !isLast) await walk(step);
  }
} finally {
  for (const [file, text] of before) if (fs.readFileSync(file, "utf8") !== text) fs.writeFileSync(file, text);
  if (failed > 0) process.stdout.write((await run("docker compose ps -a; docker compose logs --no-color --tail 5")).output.slice(-20_000));
  if (!values.keep) await run("docker compose down --volumes --remove-orphans --timeout 3");
}
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 || interrupted ? 1 : 0;

// The product as built by default, and the one with the sample applications. Host networking, so that the engine needs no bridge.
async function buildImages() {
  const proxies = Object.keys(process.env).filter((name) => /^(https?|no)_proxy$/i.test(name));
  const args = ["--network host", ...proxies.map((name) => `--build-arg ${name}`)].join(" ");
  for (const [tag, target] of [
    ["isthmus", "isthmus"],
    ["isthmus-demo", "demo"],
  ]) {
    await expectSuccess(`docker build ${args} --target ${target} --tag ${tag} .`);
    if (failed > 0) return;
  }
  const megabytes = await sizeOf("isthmus");
  const over = megabytes - (await sizeOf("node:24-slim"));
  const size = `${megabytes.toFixed(0)} MB, ${over.toFixed(0)} MB more than its base`;
  judge(
    `the image has less than ${maxImageMegabytes} MB: ${size}`,
    megabytes > 0 && megabytes < maxImageMegabytes && over <= maxMegabytesOverBase,
    size,
  );
  const { output } = await run("docker image inspect --format '{{.Config.User}} {{len .Config.Healthcheck.Test}}' isthmus");
  judge("it runs as uid 1337, with a health check", /^1337:1337 [1-9]/.test(output), output);
  await expectSuccess("docker run --rm --network none --read-only --cap-drop ALL isthmus --version");
}

async function sizeOf(image) {
  return Number((await run(`docker image inspect --format '{{.Size}}' ${image}`)).output) / 1e6;
}

// What the walk does not show: how little each container may do, and that Prometheus would find every proxy.
async function checkContainers() {
  const format =
    '{{index .Config.Labels "com.docker.compose.service"}} {{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.CapAdd}}';
  const { output } = await run(`docker inspect --format '${format}' $(docker compose ps -a -q)`);
  const lines = output.trim().replaceAll("CAP_", "").split("\n").sort();
  const wrong = lines.filter((line) => line !== `${line.split(" ")[0]} ${rightsOf(line.split(" ")[0])}`);
  judge(`${lines.length} containers have no right too many`, lines.length > 30 && wrong.length === 0, wrong.join("\n"));
  await walk({
    command: "docker compose exec sleep-proxy sh -c 'id -u; grep CapEff /proc/self/status; touch /tmp/file'",
    expected: ["1337", "CapEff:\t0000000000000000", "touch: …Read-only file system"],
  });
  const targets = [...fs.readFileSync(path.join(root, "config", "demo", "prometheus.yml"), "utf8").matchAll(/targets: \["([^"]+)"\]/g)];
  const urls = targets.map(([, target]) => `http://${target}/stats/prometheus`).join(" ");
  // A gateway is on both networks, as Prometheus is.
  await walk({
    command: `docker compose exec gateway-1 curl -s ${urls} | grep -c '^envoy_server_live{'`,
    expected: [String(targets.length)],
  });
}

// User, read-only root, capabilities dropped and added.
function rightsOf(service) {
  if (service === "ca") return "0:0 true [ALL] [CHOWN DAC_OVERRIDE FOWNER]";
  if (service.endsWith("-init")) return "0:0 true [ALL] [NET_ADMIN NET_RAW]";
  return `${/-proxy$|^gateway-|^ingress$/.test(service) ? "1337:1337" : "1000:1000"} true [ALL] []`;
}

async function walk({ command, expected }) {
  if (expected.length === 0) return expectSuccess(command);
  const startedAt = performance.now();
  for (let tries = 1; ; tries++) {
    const { output } = await run(command, tryMs);
    const got = output.trimEnd().split("\n");
    const right = got.length === expected.length && expected.every((line, at) => matches(line, got[at]));
    const waitedMs = performance.now() - startedAt;
    if (right || waitedMs > settleMs || interrupted) {
      return judge(
        tries > 1 ? `${command}   (${tries} tries)` : command,
        right,
        `expected\n${expected.join("\n")}\ngot\n${output}`,
        waitedMs,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, againMs));
  }
}

async function expectSuccess(command) {
  const startedAt = performance.now();
  const { status, output } = await run(command);
  judge(command, status === 0, `exit code ${status}\n${output.slice(-4000)}`, performance.now() - startedAt);
}

function judge(title, right, otherwise, ms = 0) {
  if (right) passed++;
  else failed++;
  process.stdout.write(
    `${right ? "ok   " : "FAIL "} ${(ms / 1000).toFixed(1).padStart(5)} s  ${title}\n${right ? "" : `${otherwise.trimEnd()}\n`}`,
  );
}

// Standard output and error as one, as a person sees them. What takes too long is ended with all that it started.
function run(command, limitMs = commandMs) {
  const spelled = command
    .replaceAll("localhost:8080", `localhost:${pagePort}`)
    .replaceAll("docker compose exec ", `${compose} exec -T `)
    .replaceAll("docker compose ", `${compose} `);
  return new Promise((resolve) => {
    const child = spawn("bash", ["-c", `exec 2>&1; ${spelled}`], { cwd: root, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    let output = "";
    endCurrent = () => void (child.pid !== undefined && process.kill(-child.pid, "SIGKILL"));
    const timer = setTimeout(() => {
      output += `(ended after ${limitMs / 1000} s)\n`;
      endCurrent();
    }, limitMs);
    const end = (status) => {
      clearTimeout(timer);
      endCurrent = () => undefined;
      resolve({ status, output });
    };
    child.stdout.setEncoding("utf8").on("data", (text) => (output += text));
    child.on("error", (error) => {
      output += error.message;
      end(-1);
    });
    child.on("close", (status) => end(status ?? -1));
  });
}

// The plugin of today's Docker, or the program of older ones, which takes the same commands.
/** @returns {string} */
function composeProgram() {
  const works = (program, ...args) => spawnSync(program, args, { stdio: "ignore" }).status === 0;
  if (!works("docker", "version")) quit("no Docker engine answers");
  if (works("docker", "compose", "version")) return "docker compose";
  if (works("docker-compose", "version")) return "docker-compose";
  quit("Docker has no compose here");
  return "";
}

// The wanted one, or another where something listens on that.
function freePort(wanted) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(freePort(0)));
    server.listen(wanted, () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function quit(reason) {
  process.stderr.write(`demo-check: ${reason}\n`);
  process.exit(2);
}

function readSteps(readme) {
  const text = readme.slice(readme.indexOf(section)).split(/^## /m)[1] ?? "";
  const found = [];
  for (const [, block = ""] of text.matchAll(/^```console\n([\s\S]*?)^```/gm)) {
    for (const line of block.trimEnd().split("\n")) {
      if (line.startsWith("$ ")) found.push({ command: line.slice(2), expected: [] });
      else found.at(-1)?.expected.push(line);
    }
  }
  if (found.length === 0) quit(`README.md has no commands under "${section}"`);
  return found;
}

// `…` stands for anything but nothing.
function matches(expected, got) {
  const pattern = expected
    .split("…")
    .map((part) => RegExp.escape?.(part) ?? part.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`))
    .join(".+");
  return new RegExp(`^${pattern}$`).test(got);
}

function readFiles(folder) {
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
    .map((file) => [file, fs.readFileSync(file, "utf8")]);
}
