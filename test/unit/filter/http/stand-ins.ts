// Stand-ins for what HTTP filters are given: a stream that records what is done to it, and a context with a clock by hand.
import type { Clock, Timer } from "../../../../src/clock.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../../src/http/filter.ts";
import type { LocalReply } from "../../../../src/http/local-reply.ts";
import type { CompiledRoute } from "../../../../src/http/route/route-table.ts";
import type { HttpStream } from "../../../../src/http/stream.ts";
import type { StatsScope } from "../../../../src/telemetry/stats.ts";
import { ConnectionInfo, StreamInfo, type TlsPeer } from "../../../../src/telemetry/stream-info.ts";
import { HeaderMap } from "../../../../src/wire/header-map.ts";

export class HandClock implements Clock {
  now = 0;
  readonly pending: { readonly at: number; readonly fire: () => void }[] = [];
  nowMs(): number {
    return this.now;
  }
  wallMs(): number {
    return this.now;
  }
  after(delayMs: number, fire: () => void): Timer {
    const entry = { at: this.now + delayMs, fire };
    this.pending.push(entry);
    return {
      cancel: () => {
        const at = this.pending.indexOf(entry);
        if (at >= 0) this.pending.splice(at, 1);
      },
    };
  }
  advance(ms: number): void {
    this.now += ms;
    for (const entry of this.pending.filter(({ at }) => at <= this.now)) {
      this.pending.splice(this.pending.indexOf(entry), 1);
      entry.fire();
    }
  }
}

export class CountedStats implements StatsScope {
  readonly values: Map<string, number>;
  readonly #prefix: string;
  constructor(values = new Map<string, number>(), prefix = "") {
    this.values = values;
    this.#prefix = prefix;
  }
  #add(name: string, amount: number): void {
    const full = this.#prefix + name;
    this.values.set(full, (this.values.get(full) ?? 0) + amount);
  }
  counter(name: string) {
    return { inc: () => this.#add(name, 1), add: (amount: number) => this.#add(name, amount) };
  }
  gauge(name: string) {
    return {
      inc: () => this.#add(name, 1),
      dec: () => this.#add(name, -1),
      set: (value: number) => void this.values.set(this.#prefix + name, value),
    };
  }
  histogram() {
    return { record: () => {} };
  }
  scope(prefix: string): StatsScope {
    return new CountedStats(this.values, `${this.#prefix}${prefix}.`);
  }
}

export interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly authority?: string;
  readonly fields?: readonly (readonly [string, string])[];
  /** Per-route configuration of the filter under test. */
  readonly config?: unknown;
  readonly cluster?: string;
  /** No route at all, or one that does not forward. */
  readonly route?: "none" | "direct_response";
  readonly remote?: string;
  readonly sni?: string;
  readonly tls?: Partial<TlsPeer>;
  readonly protocol?: string;
}

/** What a test reads of a stream. */
export interface Recorded {
  readonly stream: HttpStream;
  readonly reply: LocalReply | undefined;
  readonly continued: number;
}

/** A stream as filters see it. */
export function streamFor(asked: Asked = {}): Recorded & { reply: LocalReply | undefined; continued: number } {
  const connection = new ConnectionInfo(1, 0, 0, { ip: asked.remote ?? "10.0.0.1", port: 4000 }, { ip: "10.0.0.2", port: 80 });
  connection.serverName = asked.sni ?? "";
  connection.tls = asked.tls && ({ validated: true, uriSans: [], dnsSans: [], subject: "", ...asked.tls } as TlsPeer);
  const info = new StreamInfo(connection, 0, 0);
  info.protocol = asked.protocol ?? "HTTP/1.1";
  const headers = new HeaderMap();
  for (const [name, value] of asked.fields ?? []) headers.add(name, value);
  const action =
    asked.route === "direct_response"
      ? { kind: "direct_response" }
      : { kind: "route", pickCluster: () => ({ name: asked.cluster ?? "a" }) };
  const override = asked.config === undefined ? undefined : { disabled: false, config: asked.config, configs: [asked.config] };
  const route = { action, filterConfig: () => override } as unknown as CompiledRoute;
  const recorded = { reply: undefined as LocalReply | undefined, continued: 0 };
  const stream = {
    info,
    headers,
    method: asked.method ?? "GET",
    path: asked.path ?? "/",
    authority: asked.authority ?? "lab",
    scheme: "http",
    route: asked.route === "none" ? undefined : route,
    responseHeaders: undefined,
    upstreamAlpn: undefined,
    upstreamAlpnKey: "",
    filterState: undefined,
    done: false,
    sendLocalReply: (reply: LocalReply) => {
      recorded.reply = reply;
    },
    continueRequest: () => void recorded.continued++,
  };
  return Object.assign(recorded, { stream: stream as unknown as HttpStream });
}

/** A context, and the filter made in it. */
export function filterUnderTest(spec: HttpFilterSpec, config: unknown, overrides: Partial<HttpFilterContext> = {}) {
  const clock = new HandClock();
  const stats = new CountedStats();
  const context = {
    clock,
    random: () => 0,
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    stats,
    scope: stats.scope("http.test"),
    clusters: { get: () => undefined },
    filterName: "under-test",
    ...overrides,
  } as unknown as HttpFilterContext;
  const filter = spec.create(config, context);
  return { clock, stats: stats.values, filter: filter as HttpFilter };
}

/** Runs the response hook over headers and returns them as lines. */
export function respond(filter: HttpFilter, stream: HttpStream, fields: readonly (readonly [string, string])[] = []): readonly string[] {
  const headers = new HeaderMap();
  for (const [name, value] of fields) headers.add(name, value);
  stream.responseHeaders = headers;
  filter.onResponseHeaders?.(stream, true, 0);
  return headers.names.map((name, i) => `${name}: ${headers.values[i]}`);
}
