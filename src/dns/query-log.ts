// One record at level debug for each query: who asked what, where the answer came from, how long it took.
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import { nameText, readUint16, recordType, type Query } from "./codec.ts";
import type { Transport } from "./forward/exchange.ts";

/** A query that is being answered. */
export interface LoggedQuery {
  /** Writes the record. */
  end(source: string, reply: Buffer): void;
}

const typeNames = new Map<number, string>(Object.entries(recordType).map(([name, number]) => [number, name.toUpperCase()]));
const codeNames: readonly string[] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

/** Writes the records while it is on. */
export class QueryLog {
  /** Whether queries are logged now. */
  readonly enabled: () => boolean;
  readonly #logger: Logger;
  readonly #clock: Clock;

  constructor(logger: Logger, clock: Clock, enabled: () => boolean) {
    this.#logger = logger;
    this.#clock = clock;
    this.enabled = enabled;
  }

  /** Takes down what is asked; undefined when nothing is logged. */
  begin(query: Query, transport: Transport, port: number): LoggedQuery | undefined {
    if (!this.enabled()) return undefined;
    const name = nameText(query);
    const type = typeNames.get(query.type) ?? `TYPE${query.type}`;
    const startedMs = this.#clock.nowMs();
    return {
      end: (source, reply) =>
        this.#logger.debug("dns query", {
          name,
          type,
          transport,
          port,
          source,
          code: codeNames[readUint16(reply, 2) & 0xf] ?? String(readUint16(reply, 2) & 0xf),
          answers: readUint16(reply, 6),
          bytes: reply.length,
          ms: Math.round((this.#clock.nowMs() - startedMs) * 1000) / 1000,
        }),
    };
  }
}
