// What the demo's proxies say about each connection and request, as it happens: one JSON line of their access log.

/** Fields of the demo's access log and the operators that fill them. */
export const accessLogFields = {
  demo: "access",
  method: "%REQ(:METHOD)%",
  status: "%RESPONSE_CODE%",
  flags: "%RESPONSE_FLAGS%",
  details: "%RESPONSE_CODE_DETAILS%",
  sni: "%REQUESTED_SERVER_NAME%",
  downstreamPeer: "%DOWNSTREAM_PEER_URI_SAN%",
  upstreamPeer: "%UPSTREAM_PEER_URI_SAN%",
  upstreamCluster: "%UPSTREAM_CLUSTER_RAW%",
  upstreamHost: "%UPSTREAM_HOST%",
  localAddress: "%DOWNSTREAM_LOCAL_ADDRESS%",
  durationMs: "%DURATION%",
} as const;

/** One record. What does not apply is `-` or null. */
export type AccessLine = Readonly<Partial<Record<keyof typeof accessLogFields, string | number | null>>>;

/** Reads a line of a process's output; undefined when it is not an access-log record. */
export function parseAccessLine(line: string): AccessLine | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const record = JSON.parse(line) as AccessLine;
    return record.demo === accessLogFields.demo ? record : undefined;
  } catch {
    return undefined; // a log line that merely looks like JSON
  }
}

/** Collects records by process and lets others wait for the next one. */
export class AccessLines {
  readonly #waiting = new Map<string, ((line: AccessLine) => boolean)[]>();

  /** Hands a record to whoever waits for it. */
  add(name: string, line: AccessLine): void {
    const waiting = this.#waiting.get(name) ?? [];
    const taker = waiting.findIndex((take) => take(line));
    if (taker >= 0) waiting.splice(taker, 1);
  }

  /** The next record of `name` that `wanted` accepts; undefined when none comes in time. Ask before causing it. */
  next(name: string, deadlineMs: number, wanted: (line: AccessLine) => boolean = () => true): Promise<AccessLine | undefined> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), deadlineMs);
      const take = (line: AccessLine): boolean => {
        if (!wanted(line)) return false;
        clearTimeout(timer);
        resolve(line);
        return true;
      };
      this.#waiting.set(name, [...(this.#waiting.get(name) ?? []), take]);
    });
  }
}
