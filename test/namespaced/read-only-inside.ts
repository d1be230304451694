// Runs inside namespaces of its own, where it makes every file system read-only: a proxy that starts, serves and ends there. Prints
// which folders could be written to after all, and how the proxy did.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { wait } from "../support/pods/pods.ts";

const repository = fileURLToPath(new URL("../..", import.meta.url));
// What the kernel makes up itself is no place to keep anything.
const madeUp = new Set(["proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs", "binfmt_misc"]);

function readOnly(): readonly string[] {
  const mounts = readFileSync("/proc/self/mounts", "utf8").trim().split("\n");
  const folders = mounts.flatMap((line) => {
    const [, place = "", type = ""] = line.split(" ");
    return madeUp.has(type) ? [] : [place.replaceAll("\\040", " ")];
  });
  for (const folder of folders) {
    try {
      execFileSync("mount", ["-o", "remount,bind,ro", folder], { stdio: "ignore" });
    } catch {
      // Hidden by another mount, or not to be changed here: whether it can be written to is what counts.
    }
  }
  return ["/", "/tmp", "/var/tmp", "/run", "/dev/shm", process.env["HOME"] ?? "/", repository].filter((folder) => {
    try {
      writeFileSync(join(folder, `isthmus-${process.pid}`), "");
      return true;
    } catch {
      return false;
    }
  });
}

async function exchange(): Promise<string> {
  const socket = connect(10_001, "127.0.0.1");
  let got = "";
  socket.on("data", (part) => (got += part.toString())).on("error", () => socket.destroy());
  socket.end("hello");
  await once(socket, "close");
  return got;
}

execFileSync("ip", ["link", "set", "lo", "up"]);
const writable = readOnly();
const server = createServer((socket) => socket.on("error", () => socket.destroy()).pipe(socket)).listen(5432);
await once(server, "listening");
// By the script that users start, which would keep compiled code.
const args = ["run", "-c", join(repository, "config/tcp-proxy.yaml"), "--admin", "127.0.0.1:15000", "--concurrency", "2"];
const child = spawn(join(repository, "scripts/isthmus"), args, { stdio: ["ignore", "pipe", "pipe"] });
let output = "";
for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
await wait("the proxy serves", async () => output.includes("started"), { child, output: () => output });
const answered = await exchange();
child.kill("SIGTERM");
const [code] = (await once(child, "close")) as [number | null];
const complaints = output.split("\n").filter((line) => / (?:warning|error) /.test(line));
console.log(`SEEN ${JSON.stringify({ writable, answered, code, complaints })} END`);
process.exit(0);
