// Sends exact bytes and tells what came back and how the connection ended. How long to wait follows from what was said, so
// that a fast answer makes a fast case.
import net from "node:net";
import type { LiveCase } from "./case.ts";

/** What a client saw. */
export interface Seen {
  /** Received bytes, latin1. */
  readonly received: string;
  /** "open": nothing ended it while the client waited. */
  readonly ended: "open" | "closed";
}

/** A case in which nothing is answered takes this long. */
const patienceMs = 900;
/** How long an announced end is waited for: delayed_close_timeout after the last byte. */
const closeMs = 4000;
/** How long a connection that need not end is watched after its answer. */
const lingerMs = 60;

/** Runs the steps of an h1 or tcp case. */
export async function exchange(port: number, { send, replies, kind, fin }: LiveCase): Promise<Seen> {
  const socket = net.connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
  let received = "";
  let ended = false;
  let wake: () => void = () => undefined;
  socket.on("data", (chunk: Buffer) => {
    received += chunk.toString("latin1");
    wake();
  });
  const end = (): void => {
    ended = true;
    wake();
  };
  socket.on("error", end).on("end", end).on("close", end);
  const until = async (done: () => boolean, ms: number): Promise<void> => {
    for (const deadline = Date.now() + ms; !done() && !ended && Date.now() < deadline;) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadline - Date.now());
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };
  try {
    for (const step of send) {
      if (typeof step === "number") await until(() => false, step);
      else if (typeof step === "object") await until(() => received.includes(step.until), patienceMs);
      else if (!ended) socket.write(Buffer.from(step, "latin1"));
    }
    if (fin) socket.end();
    const head = send.some((step) => typeof step === "string" && step.startsWith("HEAD "));
    if (kind === "h1") await until(() => responsesIn(received, head).count >= replies, patienceMs);
    else await until(() => false, patienceMs);
    const { count, close } = responsesIn(received, head);
    if (!ended && count >= replies) await until(() => false, close ? closeMs : lingerMs);
    return { received, ended: ended ? "closed" : "open" };
  } finally {
    socket.destroy();
  }
}

// Complete final responses, and whether the last of them announces the end of the connection.
function responsesIn(text: string, head: boolean): { count: number; close: boolean } {
  let rest = text;
  let count = 0;
  let close = false;
  for (;;) {
    const end = rest.indexOf("\r\n\r\n");
    if (end < 0) return { count, close };
    const lines = rest.slice(0, end).toLowerCase();
    const status = Number(lines.slice(9, 12));
    rest = rest.slice(end + 4);
    if (status >= 100 && status < 200 && status !== 101) continue;
    close = /\r\nconnection: *close/.test(lines);
    const bodiless = head || status === 101 || status === 204 || status === 304;
    const length = /\r\ncontent-length: *(\d+)/.exec(lines);
    if (!bodiless && length !== null) {
      if (rest.length < Number(length[1])) return { count, close };
      rest = rest.slice(Number(length[1]));
    } else if (!bodiless && /transfer-encoding: *chunked/.test(lines)) {
      const last = /(?:^|\r\n)0\r\n(?:[^\r\n]+\r\n)*\r\n/.exec(rest);
      if (last === null) return { count, close };
      rest = rest.slice(last.index + last[0].length);
    } else if (!bodiless) return { count, close };
    count++;
  }
}
