// Bodies stream through with backpressure in both directions: memory does not grow with the body.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { bootstrap, cluster, httpListener, startTestProxy } from "../../support/proxy.ts";
import { connectRaw, listenRaw } from "../../support/raw-http.ts";

const MiB = 1024 * 1024;
const block = Buffer.alloc(MiB, "isthmus ");

/** Writes `count` blocks, no faster than the socket takes them. */
async function writeBlocks(socket: Socket, count: number): Promise<void> {
  for (let i = 0; i < count; i++) if (!socket.write(block)) await once(socket, "drain");
}

async function rssBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024;
}

test(
  "a 1 GiB body passes while the proxy grows by less than 50 MB",
  { skip: process.platform === "linux" ? false : "reads /proc" },
  async (t) => {
    const blocks = 1024;
    const origin = await listenRaw((socket) => {
      socket.once("data", () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${blocks * MiB}\r\n\r\n`);
        void writeBlocks(socket, blocks);
      });
    });
    t.after(() => origin.close());
    const folder = await mkdtemp(join(tmpdir(), "isthmus-stream-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, "bootstrap.json");
    const listener = httpListener("main", { manager: { access_log: [] } });
    await writeFile(
      file,
      JSON.stringify({
        ...bootstrap([listener], [cluster("origin", origin.port)]),
        admin: { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } },
      }),
    );
    // A process of its own, because its memory is what is measured.
    const main = fileURLToPath(new URL("../../../src/main.ts", import.meta.url));
    const child = spawn(process.execPath, [main, "run", "-c", file, "--concurrency", "1", "--log-format", "json"], {
      stdio: ["ignore", "inherit", "pipe"],
    });
    t.after(() => child.kill("SIGKILL"));
    const port = await listenerPort(child.stderr);
    const warm = await connectRaw(port);
    warm.socket.destroy();
    const before = await rssBytes(child.pid!);
    let peak = before;
    const { socket } = await connectRaw(port);
    socket.removeAllListeners("data");
    let left = blocks * MiB;
    let head = "";
    const done = new Promise<void>((resolve, reject) => {
      socket.on("close", () => reject(new Error("closed early")));
      socket.on("data", (chunk: Buffer) => {
        let bytes = chunk.length;
        if (!head.includes("\r\n\r\n")) {
          head += chunk.toString("latin1");
          const end = head.indexOf("\r\n\r\n");
          if (end < 0) return;
          bytes = head.length - end - 4;
          head = head.slice(0, end + 4);
        }
        left -= bytes;
        if (left <= 0) resolve();
      });
    });
    const timer = setInterval(
      () =>
        void rssBytes(child.pid!).then(
          (rss) => (peak = Math.max(peak, rss)),
          () => undefined,
        ),
      50,
    );
    socket.write("GET /big HTTP/1.1\r\nHost: lab\r\n\r\n");
    await done;
    clearInterval(timer);
    assert.equal(left, 0);
    const grown = (peak - before) / 1e6;
    t.diagnostic(`grew by ${grown.toFixed(1)} MB`);
    assert.ok(grown < 50, `grew by ${grown.toFixed(1)} MB`);
  },
);

/** The port of the only listener: the process log names the admin server, which names the listener. */
async function listenerPort(stderr: NodeJS.ReadableStream): Promise<number> {
  let text = "";
  for await (const chunk of stderr) {
    text += String(chunk);
    const admin = /"admin":"([^"]+)"/.exec(text);
    if (admin === null) continue;
    stderr.resume();
    const listeners = await (await fetch(`http://${admin[1]}/listeners`)).text();
    return Number(/:(\d+)\s*$/.exec(listeners)![1]);
  }
  throw new Error(`the proxy ended: ${text}`);
}

test("a client that does not read stops the origin", async (t) => {
  let sent = 0;
  const origin = await listenRaw((socket) => {
    socket.once("data", () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${256 * MiB}\r\n\r\n`);
      const pump = (): void => {
        while (sent < 256 * MiB) {
          sent += block.length;
          if (!socket.write(block)) return;
        }
      };
      socket.on("drain", pump);
      pump();
    });
  });
  t.after(() => origin.close());
  const proxy = await startTestProxy(t, bootstrap([httpListener("main")], [cluster("origin", origin.port)]));
  const client = await connectRaw(proxy.port("main"));
  client.socket.write("GET / HTTP/1.1\r\nHost: lab\r\n\r\n");
  await client.until((text) => text.length > MiB);
  client.socket.pause();
  // The origin has stopped once a whole second's worth of event loop turns moved nothing.
  let last = -1;
  for (let quiet = 0; quiet < 20; quiet = sent === last ? quiet + 1 : 0) {
    last = sent;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(sent < 64 * MiB, `the origin could send ${Math.round(sent / MiB)} MiB`);
});

test("an origin that does not read stops the client, and every byte arrives in order once it does", async (t) => {
  const total = 64;
  const hash = createHash("sha256");
  let received = 0;
  let resume: () => void = () => undefined;
  const origin = await listenRaw((socket) => {
    let head = "";
    socket.on("data", (chunk: Buffer) => {
      let body = chunk;
      if (!head.includes("\r\n\r\n")) {
        head += chunk.toString("latin1");
        const end = head.indexOf("\r\n\r\n");
        if (end < 0) return;
        body = Buffer.from(head.slice(end + 4), "latin1");
        head = head.slice(0, end + 4);
        socket.pause();
        resume = () => socket.resume();
      }
      hash.update(body);
      received += body.length;
      if (received === total * MiB) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
  });
  t.after(() => origin.close());
  const proxy = await startTestProxy(t, bootstrap([httpListener("main")], [cluster("origin", origin.port)]));
  const client = await connectRaw(proxy.port("main"));
  client.socket.write(`POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: ${total * MiB}\r\n\r\n`);
  let written = 0;
  let stalled: () => void = () => undefined;
  const blocked = new Promise<void>((resolve) => (stalled = resolve));
  const sending = (async () => {
    for (let i = 0; i < total; i++) {
      const ok = client.socket.write(block);
      written++;
      if (ok) continue;
      const timer = setTimeout(stalled, 500);
      await once(client.socket, "drain");
      clearTimeout(timer);
    }
  })();
  await blocked;
  assert.ok(written < 40, `the client could send ${written} MiB`);
  resume();
  await sending;
  await client.until((text) => text.includes("\r\n\r\n"));
  const expected = createHash("sha256");
  for (let i = 0; i < total; i++) expected.update(block);
  assert.equal(hash.digest("hex"), expected.digest("hex"));
});
