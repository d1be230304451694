// Key sets that RequestAuthentications name by URI: fetched before they are used, kept, fetched again, and a change said.
import type { Clock, Timer } from "../clock.ts";
import type { JwksSource } from "../source/mesh/authn/jwks-source.ts";
import { guardedFetch } from "./guarded-fetch.ts";

/** Fetches a URL; rejects with the reason. */
export type FetchText = (url: string, options: { readonly timeoutMs: number; readonly maxBytes: number }) => Promise<Buffer>;

/** What key sets are fetched with. */
export interface JwksKeysDeps {
  readonly clock: Clock;
  /** Default: HTTP or HTTPS, away from what guarded-fetch.ts refuses. */
  readonly fetch?: FetchText;
  /** Called when a key set differs from what was given before. */
  readonly onChange: () => void;
}

/** What is known of the sets asked for. */
export interface JwksResult {
  /** JSON by the source's key; sets that never came are not there. */
  readonly keys: ReadonlyMap<string, string>;
  /** Why the last fetch failed, by the source's key; older keys stay in use. */
  readonly failures: ReadonlyMap<string, string>;
}

// Istio's intervals: twenty minutes, after a failure one minute, doubled up to an hour.
const refreshMs = 20 * 60_000;
const firstRetryMs = 60_000;
const maxRetryMs = 60 * 60_000;
// Hundreds of keys; whoever sends more is no issuer.
const maxBytes = 1 << 20;

interface Known {
  source: JwksSource;
  keys: string | undefined;
  failure: string | undefined;
  failures: number;
  timer: Timer | undefined;
  pending: Promise<void> | undefined;
}

/** The key sets of one mesh. Only those of the latest call are kept fresh. */
export class JwksKeys {
  readonly #deps: JwksKeysDeps;
  readonly #fetch: FetchText;
  readonly #known = new Map<string, Known>();
  #result: JwksResult = { keys: new Map(), failures: new Map() };

  constructor(deps: JwksKeysDeps) {
    this.#deps = deps;
    this.#fetch = deps.fetch ?? guardedFetch;
  }

  /** These key sets; waits for those never asked for before, as long as each allows. Never rejects. */
  async resolve(sources: readonly JwksSource[]): Promise<JwksResult> {
    const wanted = new Map(sources.map((source) => [source.key, source]));
    for (const [key, known] of this.#known) {
      if (wanted.has(key)) continue;
      known.timer?.cancel();
      this.#known.delete(key);
    }
    await Promise.all(
      sources.map(async (source) => {
        const known = this.#known.get(source.key);
        if (known !== undefined) {
          known.source = source;
          return known.pending;
        }
        const fresh: Known = { source, keys: undefined, failure: undefined, failures: 0, timer: undefined, pending: undefined };
        this.#known.set(source.key, fresh);
        return this.#load(fresh);
      }),
    );
    const found = [...this.#known].filter(([key]) => wanted.has(key));
    const keys = new Map(found.flatMap(([key, known]) => (known.keys === undefined ? [] : [[key, known.keys] as const])));
    // The same object while nothing changed: a translation compares by identity.
    const same = keys.size === this.#result.keys.size && [...keys].every(([key, text]) => this.#result.keys.get(key) === text);
    this.#result = {
      keys: same ? this.#result.keys : keys,
      failures: new Map(found.flatMap(([key, { failure }]) => (failure === undefined ? [] : [[key, failure] as const]))),
    };
    return this.#result;
  }

  /** Stops fetching. */
  close(): void {
    for (const { timer } of this.#known.values()) timer?.cancel();
    this.#known.clear();
  }

  #load(known: Known): Promise<void> {
    known.pending ??= this.#fetchKeys(known.source).then(
      (keys) => {
        known.keys = keys;
        known.failure = undefined;
        known.failures = 0;
        this.#loaded(known, refreshMs);
      },
      (thrown: unknown) => {
        known.failure = thrown instanceof Error ? thrown.message : String(thrown);
        this.#loaded(known, Math.min(maxRetryMs, firstRetryMs * 2 ** known.failures++));
      },
    );
    return known.pending;
  }

  #loaded(known: Known, againMs: number): void {
    known.pending = undefined;
    // Dropped while the answer was on its way.
    if (this.#known.get(known.source.key) !== known) return;
    known.timer = this.#deps.clock.after(againMs, () => void this.#refresh(known));
  }

  async #refresh(known: Known): Promise<void> {
    const { keys, failure } = known;
    await this.#load(known);
    const changed = known.keys !== keys || known.failure !== failure;
    if (changed && this.#known.get(known.source.key) === known) this.#deps.onChange();
  }

  async #fetchKeys({ uri, issuer, timeoutMs }: JwksSource): Promise<string> {
    const options = { timeoutMs, maxBytes };
    const address = uri === "" ? await this.#discover(issuer, options) : uri;
    const text = (await this.#fetch(address, options)).toString("utf8");
    if (!isKeySet(parse(text))) throw new Error(`${address}: the answer is no key set`);
    return text;
  }

  /** OpenID Connect Discovery: where the issuer says that its keys are. */
  async #discover(issuer: string, options: { readonly timeoutMs: number; readonly maxBytes: number }): Promise<string> {
    const address = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
    const found = parse((await this.#fetch(address, options)).toString("utf8"));
    const uri = typeof found === "object" && found !== null ? (found as Readonly<Record<string, unknown>>)["jwks_uri"] : undefined;
    if (typeof uri !== "string") throw new Error(`${address}: the answer has no jwks_uri`);
    return uri;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isKeySet(value: unknown): boolean {
  return typeof value === "object" && value !== null && Array.isArray((value as Readonly<Record<string, unknown>>)["keys"]);
}
