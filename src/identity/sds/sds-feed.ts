// Secrets from an SDS server, over a Unix socket or in the clear over TCP on the same machine.
import { Client, credentials } from "@grpc/grpc-js";
import type { Clock } from "../../clock.ts";
import { Cursor, type ReadFile } from "../../envoy/decode/cursor.ts";
import { extensions } from "../../envoy/extensions.ts";
import { decodeSecret } from "../../envoy/tls/tls-decoder.ts";
import type { Secret, TlsCertificate } from "../../envoy/tls/tls.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { FeedStart, SecretFeed } from "../workload/secret-feed.ts";
import { SecretSubscription, channelOptions, type Judged } from "./subscription.ts";

/** Which server, and which of its secrets. */
export interface SdsFeedOptions {
  /** As gRPC names targets: `unix:/path` or `host:port`. */
  readonly target: string;
  readonly names: readonly string[];
}

/** Files that are looked at until it is closed. */
export interface WatchedFiles {
  replace(paths: readonly string[]): void;
  close(): void;
}

/** What a feed from an SDS server is given. */
export interface SdsFeedDeps {
  readonly node: () => { readonly id: string; readonly cluster: string };
  /** For `filename` in secrets. */
  readonly readFile: ReadFile;
  /** Tells of changes of the files that secrets name; none: they are read once. */
  readonly watchFiles?: ((paths: readonly string[], onChange: () => void) => WatchedFiles) | undefined;
  /** Why a certificate cannot serve, if so. */
  readonly unusable: (certificate: TlsCertificate, where: string) => string | undefined;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly onChange: () => void;
}

/** Milliseconds that a start waits for secrets; listeners refuse handshakes until they come. */
const startWaitMs = 5_000;

/** Secrets from an SDS server. */
export function createSdsFeed(options: SdsFeedOptions, deps: SdsFeedDeps): SecretFeed {
  return new SdsFeed(options, deps);
}

class SdsFeed implements SecretFeed {
  readonly #deps: SdsFeedDeps;
  readonly #client: Client;
  readonly #subscriptions: readonly SecretSubscription[];
  #secrets: readonly Secret[] = [];
  #watched: WatchedFiles | undefined;
  #settle: (outcome: FeedStart) => void = () => undefined;

  constructor({ target, names }: SdsFeedOptions, deps: SdsFeedDeps) {
    this.#deps = deps;
    this.#client = new Client(target, credentials.createInsecure(), channelOptions);
    const { clock, random, logger, node } = deps;
    this.#subscriptions = names.map(
      (name) =>
        new SecretSubscription(name, {
          client: this.#client,
          where: target,
          node,
          clock,
          random,
          logger,
          judge: (resource) => judgeWithFiles(resource, deps),
          onSecret: () => this.#onSecret(),
          onTrouble: (problem) => this.#settle({ ok: false, fatal: false, problems: [problem] }),
        }),
    );
  }

  get secrets(): readonly Secret[] {
    return this.#secrets;
  }

  get ready(): boolean {
    return this.#secrets.length === this.#subscriptions.length;
  }

  start(): Promise<FeedStart> {
    return new Promise((resolve) => {
      const names = this.#subscriptions.map(({ name }) => name).join(", ");
      const timer = this.#deps.clock.after(startWaitMs, () =>
        this.#settle({ ok: false, fatal: false, problems: [`the SDS server has not sent ${names} within ${startWaitMs / 1000} s`] }),
      );
      this.#settle = (outcome) => {
        timer.cancel();
        resolve(outcome);
      };
      for (const subscription of this.#subscriptions) subscription.connect();
    });
  }

  refresh(): Promise<boolean> {
    // The server pushes what is new; asking again is for a stream that waits for its next try.
    for (const subscription of this.#subscriptions) if (!subscription.connected) subscription.connect();
    return Promise.resolve(true);
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.close();
    this.#watched?.close();
    this.#client.close();
  }

  #watch(): void {
    const files = this.#subscriptions.flatMap((subscription) => subscription.files);
    if (this.#watched !== undefined) this.#watched.replace(files);
    else if (files.length > 0)
      this.#watched = this.#deps.watchFiles?.(files, () => {
        for (const subscription of this.#subscriptions) subscription.readAgain();
      });
  }

  #onSecret(): void {
    this.#secrets = this.#subscriptions.flatMap(({ secret }) => (secret ? [secret] : []));
    this.#watch();
    this.#deps.onChange();
    if (this.ready) this.#settle({ ok: true });
  }
}

/** The same, with the files it read. */
function judgeWithFiles(resource: Readonly<Record<string, unknown>>, deps: SdsFeedDeps): Judged {
  const files = new Set<string>();
  const readFile: ReadFile = (path) => {
    files.add(path);
    return deps.readFile(path);
  };
  const judged = judgeSecret(resource, { ...deps, readFile });
  return judged.ok ? { ...judged, files: [...files] } : judged;
}

/** One SDS resource as JSON, decoded strictly: what cannot be honoured is refused, with what and why. */
function judgeSecret(
  resource: Readonly<Record<string, unknown>>,
  { readFile, unusable }: Pick<SdsFeedDeps, "readFile" | "unusable">,
): Judged {
  const { "@type": _type, ...json } = resource;
  const at = new Cursor({ extensions, readFile });
  const secret = decodeSecret(json, at);
  const errors = at.issues.filter((issue) => issue.severity === "error");
  if (errors.length > 0) {
    return { ok: false, problem: errors.map(({ path, message }) => `${path.join(".")}: ${message}`.replace(/^: /, "")).join("; ") };
  }
  if (!secret.certificate && !secret.validation) return { ok: false, problem: "it is neither a certificate nor a validation context" };
  const problem = secret.certificate && unusable(secret.certificate, `of secret ${secret.name}`);
  return problem === undefined ? { ok: true, secret, files: [] } : { ok: false, problem };
}
