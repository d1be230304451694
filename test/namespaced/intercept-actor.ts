// A process of intercept-traffic.ts: listens, connects and asks as told over IPC, as the user and group of its arguments, so that
// packet rules tell it from others. What it serves says which port served, and where the client had wanted to go.
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";
import type { Socket } from "node:net";
import { loadLibc } from "../../src/net/native.ts";
import { originalDestination } from "../../src/net/original-dst.ts";

/** What an actor can be told. */
export type Order =
  | { readonly do: "listen"; readonly port: number; readonly transparent?: boolean }
  | { readonly do: "listen-udp"; readonly port: number; readonly host: string }
  | { readonly do: "connect"; readonly host: string; readonly port: number; readonly from?: string }
  | { readonly do: "ask"; readonly host: string; readonly port: number; readonly fromPort?: number };

const [name = "", id = "0"] = process.argv.slice(2);
// Longer than any of this takes on loopback or a veth pair; only what is lost on purpose waits it out.
const deadlineMs = 3000;

interface Handled {
  readonly _handle: { readonly fd: number };
}

function fdOf(socket: unknown): number {
  return (socket as Handled)._handle.fd;
}

// Owner matches look at who opened the socket, so this comes before any is. libc is loaded while files may still be read.
loadLibc();
if (id !== "0") {
  process.setgroups?.([]);
  process.setgid?.(Number(id));
  process.setuid?.(Number(id));
}

process.on("message", (message: { readonly id: number; readonly order: Order }) => {
  void obey(message.order).then(
    (answer) => process.send?.({ id: message.id, answer }),
    (error: unknown) =>
      process.send?.({ id: message.id, answer: `error ${error instanceof Error && "code" in error ? String(error.code) : String(error)}` }),
  );
});
process.on("disconnect", () => process.exit(0));
process.send?.({ id: 0, answer: "ready" });

async function obey(order: Order): Promise<string> {
  switch (order.do) {
    case "listen":
      return listen(order.port, order.transparent ?? false);
    case "listen-udp":
      return listenUdp(order.port, order.host);
    case "connect":
      return connectTo(order);
    case "ask":
      return ask(order);
  }
}

function bare(address: string | undefined): string {
  return (address ?? "").replace("::ffff:", "");
}

function greeting(port: number, socket: Socket): string {
  const mapped = (socket.localAddress ?? "").includes(".");
  const wanted = originalDestination(fdOf(socket), mapped ? 4 : 6) ?? { ip: bare(socket.localAddress), port: socket.localPort };
  return `${name}:${port} for ${wanted.ip} ${wanted.port} from ${bare(socket.remoteAddress)}`;
}

function listen(port: number, transparent: boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.end(greeting(port, socket));
    });
    server.on("error", reject);
    server.listen(port, "::", () => {
      if (transparent) makeTransparent(fdOf(server));
      resolve("listening");
    });
  });
}

// IP_TRANSPARENT and IPV6_TRANSPARENT: TPROXY gives connections only to sockets that have them.
function makeTransparent(fd: number): void {
  const libc = loadLibc();
  const on = new Uint8Array(new ArrayBuffer(4));
  on[0] = 1;
  for (const [level, option] of [
    [0, 19],
    [41, 75],
  ] as const) {
    if (libc === undefined || libc.setsockopt(fd, level, option, libc.address(on), 4) !== 0)
      throw new Error(`setsockopt ${level} ${option}`);
  }
}

function listenUdp(port: number, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    socket.on("error", reject);
    socket.on("message", (_, from) => socket.send(`${name}:${port}`, from.port, from.address));
    socket.bind(port, host, () => resolve("listening"));
  });
}

function connectTo({ host, port, from }: { readonly host: string; readonly port: number; readonly from?: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, ...(from === undefined ? {} : { localAddress: from }), timeout: deadlineMs });
    let text = "";
    socket.on("data", (part) => (text += part.toString()));
    socket.on("end", () => resolve(text));
    socket.on("timeout", () => socket.destroy(new Error("timeout")));
    socket.on("error", reject);
  });
}

function ask({ host, port, fromPort }: { readonly host: string; readonly port: number; readonly fromPort?: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type: host.includes(":") ? "udp6" : "udp4" });
    const timer = setTimeout(() => finish("timeout"), deadlineMs);
    const finish = (answer: string): void => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    socket.on("error", reject);
    // The answer must seem to come from where the question went.
    socket.on("message", (message, from) =>
      finish(from.address === host ? message.toString() : `${message.toString()} from ${from.address}`),
    );
    socket.bind(fromPort ?? 0, () => socket.send("question", port, host));
  });
}
