// The client and upstream side of the mesh bench, a process of its own: HTTP requests at a steady rate to many services, each
// timed from when it was due, and probes that see when a change is in force. Talks to the bench over IPC.
import http from "node:http";
import net from "node:net";
import { httpPort, isHttp, service } from "./mesh-folder.ts";

/** Asked of this process. */
export type TrafficAsk =
  | { readonly kind: "steady"; readonly services: number; readonly perSecond: number; readonly connections: number }
  /** Answers when the service is answered for, and by an address that starts with `from`. */
  | { readonly kind: "probe"; readonly index: number; readonly from: string; readonly deadlineMs: number }
  | { readonly kind: "take" }
  | { readonly kind: "stop" };

/** Its answers. `take` gives latencies in milliseconds since the last one, and how many requests failed. */
export type TrafficAnswer =
  | { readonly kind: "listening" }
  | { readonly kind: "probed"; readonly ok: boolean; readonly last: string }
  | { readonly kind: "taken"; readonly latencies: readonly number[]; readonly failures: readonly string[] };

const say = (answer: TrafficAnswer): void => void process.send?.(answer);

const upstream = http.createServer({ keepAliveTimeout: 0 }, (request, response) => {
  response.setHeader("x-endpoint", request.socket.localAddress ?? "");
  response.end("ok");
});
upstream.listen(httpPort, "0.0.0.0", 4096, () => say({ kind: "listening" }));

let latencies: number[] = [];
let failures: string[] = [];
let stop = (): void => undefined;

process.on("disconnect", () => process.exit(0));
process.on("message", (ask: TrafficAsk) => {
  if (ask.kind === "steady") stop = steady(ask.services, ask.perSecond, ask.connections);
  else if (ask.kind === "probe") void probe(ask.index, ask.from, ask.deadlineMs).then(say);
  else if (ask.kind === "stop") stop();
  else {
    say({ kind: "taken", latencies, failures });
    latencies = [];
    failures = [];
  }
});

/** One keep-alive connection to a service's address, as a client of the mesh has it. */
class Connection {
  readonly #socket: net.Socket;
  readonly #host: string;
  #held = "";
  #onAnswer: ((status: number, endpoint: string) => void) | undefined;

  constructor(index: number, onEnd: (reason: string) => void) {
    const { vip, host } = service(index);
    this.#host = host;
    this.#socket = net.connect({ host: vip, port: httpPort, noDelay: true });
    this.#socket.on("error", (error) => onEnd(error.message));
    this.#socket.on("close", () => onEnd("closed"));
    this.#socket.on("data", (chunk) => {
      this.#held += chunk.toString("latin1");
      const end = this.#held.indexOf("\r\n\r\n");
      if (end < 0) return;
      const length = Number(/^content-length: (\d+)/im.exec(this.#held)?.[1] ?? 0);
      if (this.#held.length < end + 4 + length) return;
      const [, status = "0"] = this.#held.split(" ", 2);
      const endpoint = /^x-endpoint: (.*)$/im.exec(this.#held)?.[1]?.trim() ?? "";
      this.#held = "";
      const answered = this.#onAnswer;
      this.#onAnswer = undefined;
      answered?.(Number(status), endpoint);
    });
  }

  get busy(): boolean {
    return this.#onAnswer !== undefined;
  }

  ask(onAnswer: (status: number, endpoint: string) => void): void {
    this.#onAnswer = onAnswer;
    this.#socket.write(`GET / HTTP/1.1\r\nhost: ${this.#host}\r\n\r\n`);
  }

  end(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }
}

// Requests are due by the clock, whatever became of those before: a proxy that stands still is charged for every one it holds up.
function steady(services: number, perSecond: number, count: number): () => void {
  const targets = Array.from({ length: count }, (_, k) => Math.floor((k * services) / count)).map((index) =>
    isHttp(index) ? index : index + 1,
  );
  const connections = targets.map((index) => new Connection(index, (reason) => failures.push(`connection to ${index}: ${reason}`)));
  const startedAt = performance.now();
  const waiting: number[] = [];
  let due = 0;
  const send = (connection: Connection, dueAt: number): void =>
    connection.ask((status) => {
      latencies.push(performance.now() - dueAt);
      if (status !== 200) failures.push(`status ${status}`);
      const next = waiting.shift();
      if (next !== undefined) send(connection, next);
    });
  const timer = setInterval(() => {
    const elapsed = performance.now() - startedAt;
    for (; (due * 1000) / perSecond <= elapsed; due++) {
      const dueAt = startedAt + (due * 1000) / perSecond;
      const free = connections[due % count]?.busy === false ? connections[due % count] : connections.find((each) => !each.busy);
      if (free === undefined) waiting.push(dueAt);
      else send(free, dueAt);
    }
  }, 1);
  return () => {
    clearInterval(timer);
    for (const connection of connections) connection.end();
  };
}

function probe(index: number, from: string, deadlineMs: number): Promise<TrafficAnswer> {
  return new Promise((resolve) => {
    let last = "no answer";
    const settle = (ok: boolean): void => {
      clearTimeout(deadline);
      connection.end();
      resolve({ kind: "probed", ok, last });
    };
    const deadline = setTimeout(() => settle(false), deadlineMs);
    const connection = new Connection(index, (reason) => {
      last = reason;
      settle(false);
    });
    const again = (): void =>
      connection.ask((status, endpoint) => {
        last = `${status} ${endpoint}`;
        if (status === 200 && endpoint.startsWith(from)) settle(true);
        else setTimeout(again, 2);
      });
    again();
  });
}
