// Clients of a mesh: single requests, keep-alive traffic that runs while something changes, long-lived TCP connections.
import http from "node:http";
import net from "node:net";
import type { TestContext } from "node:test";
import { pause } from "./until.ts";

/** Where a request goes. */
export interface Target {
  readonly ip: string;
  readonly port: number;
  /** The Host of the request. */
  readonly host: string;
  readonly path?: string;
}

/** How a request went. Status 0 stands for no whole answer, with the error as body. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly startedMs: number;
  readonly endedMs: number;
  /** It had to open a connection. */
  readonly connected: boolean;
}

/** No answer takes longer. */
const deadlineMs = 10_000;

/** One GET; on a connection of its own unless an agent is given. */
export function get({ ip, port, host, path = "/" }: Target, agent?: http.Agent): Promise<Answer> {
  const startedMs = performance.now();
  return new Promise((resolve) => {
    const end = (status: number, body: string, headers: http.IncomingHttpHeaders = {}): void =>
      resolve({ status, body, headers, startedMs, endedMs: performance.now(), connected: !request.reusedSocket });
    const request = http.get({ host: ip, port, path, agent: agent ?? false, headers: { host }, timeout: deadlineMs }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => (body += text));
      response.on("end", () => end(response.statusCode ?? 0, body, response.headers));
      response.on("error", (error) => end(0, error.message));
    });
    request.on("timeout", () => request.destroy(new Error("no answer in time")));
    request.on("error", (error) => end(0, error.message));
  });
}

/** GETs one after the other. */
export async function getMany(count: number, target: Target, agent?: http.Agent): Promise<readonly Answer[]> {
  const answers: Answer[] = [];
  for (let i = 0; i < count; i++) answers.push(await get(target, agent));
  return answers;
}

/** How often each body came. */
export function tally(answers: readonly Answer[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { status, body } of answers) {
    const key = status === 200 ? body : `${status} ${body}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

/** Traffic that runs. */
export interface Traffic {
  readonly answers: readonly Answer[];
  /** Answers that are no 200. */
  failures(): readonly Answer[];
  /** Ends after the requests that are under way. */
  stop(): Promise<void>;
}

/** Keeps `clients` keep-alive connections busy: each asks again a moment after its answer. */
export function startTraffic(t: TestContext, target: Target, clients = 2, paceMs = 2): Traffic {
  const answers: Answer[] = [];
  const agent = new http.Agent({ keepAlive: true, maxSockets: clients });
  let running = true;
  const run = async (): Promise<void> => {
    while (running) {
      answers.push(await get(target, agent));
      await pause(paceMs);
    }
  };
  const runs = Array.from({ length: clients }, run);
  const stop = async (): Promise<void> => {
    running = false;
    await Promise.all(runs);
    agent.destroy();
  };
  t.after(stop);
  return { answers, failures: () => answers.filter(({ status }) => status !== 200), stop };
}

/** A connection that is kept open. */
export interface LongLived {
  /** Undefined while it is open. */
  ended(): string | undefined;
  /** Sends a text and waits for it to come back. */
  echo(text: string): Promise<void>;
}

/** Opens a connection to a server that echoes. */
export async function openLongLived(t: TestContext, ip: string, port: number): Promise<LongLived> {
  const socket = net.connect({ host: ip, port, noDelay: true });
  t.after(() => socket.destroy());
  let received = "";
  let ended: string | undefined;
  let look: () => void = () => undefined;
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
    look();
  });
  const end = (how: string): void => {
    ended ??= how;
    look();
  };
  socket.on("error", (error) => end(error.message));
  socket.on("close", () => end("closed"));
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return {
    ended: () => ended,
    echo: (text) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no echo of ${text}`)), deadlineMs);
        look = () => {
          if (ended === undefined && !received.includes(text)) return;
          clearTimeout(timer);
          look = () => undefined;
          if (!received.includes(text)) reject(new Error(`the connection ended: ${ended}`));
          else {
            received = "";
            resolve();
          }
        };
        socket.write(text);
        look();
      }),
  };
}

/** True when somebody listens there. */
export function accepts(ip: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: ip, port });
    const end = (accepted: boolean) => (): void => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once("connect", end(true));
    socket.once("error", end(false));
  });
}
