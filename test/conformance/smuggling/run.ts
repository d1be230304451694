// Sends each case to a proxy and tells which requests its upstream saw, as its upstream would read them.
import net from "node:net";
import { startOrigins } from "../live/origins.ts";
import type { RunningProxy } from "../live/proxies.ts";
import { bootstrap, cluster, httpListener } from "../../support/proxy.ts";
import { type SmugglingCase, smugglingCases } from "./cases.ts";

/** Requests that reached the upstream, by case: request line, framing and body of each. */
export type Forwarded = Readonly<Record<string, readonly string[]>>;

/** Nothing came for this long: the proxy is done, when as much was forwarded as Envoy once did or the end was announced. */
const quietMs = 120;
/** Otherwise it may be busy: what arrives later would be taken for the next case's. */
const doubtMs = 700;
const patienceMs = 4000;

/** Runs every case against one proxy. `recorded` says how much to wait for. */
export async function runSmuggling(start: (bootstrap: object) => Promise<RunningProxy>, recorded: Forwarded): Promise<Forwarded> {
  let seen: string[] = [];
  const origins = await startOrigins(({ lines, body }) => {
    // Which framing a body has is the sender's choice; where it ends is what matters.
    const chunks = lines.some((field) => /^transfer-encoding:/i.test(field));
    const fields = lines.slice(1).filter((field) => /^(?:host|expect|upgrade):/i.test(field));
    seen.push([lines[0]!, ...fields, "", chunks ? payload(body) : body].join("\n"));
  });
  const options = { accept_http_10: true, enable_trailers: true };
  const listeners = [httpListener("strict"), httpListener("lenient", { manager: { http_protocol_options: options } })];
  try {
    const proxy = await start(bootstrap(listeners, [cluster("origin", origins.http)]));
    try {
      const forwarded: Record<string, readonly string[]> = {};
      for (const each of smugglingCases) {
        seen = [];
        const expected = recorded[each.name]?.length ?? Infinity;
        await send(proxy.port(each.lenient ? "lenient" : "strict"), each, () => seen.length >= expected);
        forwarded[each.name] = seen;
      }
      return forwarded;
    } finally {
      await proxy.stop();
    }
  } finally {
    origins.close();
  }
}

// Of chunks as a proxy writes them.
function payload(chunks: string): string {
  let rest = chunks;
  let out = "";
  for (let size = /^([0-9a-f]+)\r\n/.exec(rest); size !== null && size[1] !== "0"; size = /^([0-9a-f]+)\r\n/.exec(rest)) {
    const start = size[0].length;
    const length = Number.parseInt(size[1]!, 16);
    out += rest.slice(start, start + length);
    rest = rest.slice(start + length + 2);
  }
  return out;
}

function send(port: number, { bytes }: SmugglingCase, enough: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
    let quiet: NodeJS.Timeout | undefined;
    const finish = (): void => {
      clearTimeout(quiet);
      clearTimeout(patience);
      socket.destroy();
      resolve();
    };
    const patience = setTimeout(finish, patienceMs);
    let received = "";
    const wait = (chunk?: Buffer): void => {
      received += chunk?.toString("latin1") ?? "";
      clearTimeout(quiet);
      // Answered in full, or refused for good.
      const settled = received !== "" && (enough() || /^connection: close\r$/im.test(received));
      quiet = setTimeout(finish, settled ? quietMs : doubtMs);
    };
    socket.on("connect", () => {
      socket.write(Buffer.from(bytes, "latin1"));
      wait();
    });
    socket
      .on("data", (chunk: Buffer) => wait(chunk))
      .on("end", finish)
      .on("error", finish)
      .on("close", finish);
  });
}

/** Requests of `ours` that `theirs` has not let through, by case. */
export function letThrough(ours: Forwarded, theirs: Forwarded): readonly string[] {
  return Object.entries(ours).flatMap(([name, requests]) => {
    const refused = requests.filter((request, index) => theirs[name]?.[index] !== request);
    return refused.map(
      (request) => `${name} forwards ${JSON.stringify(request)} where Envoy forwards ${JSON.stringify(theirs[name] ?? [])}`,
    );
  });
}
