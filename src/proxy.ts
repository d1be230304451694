// The composition root: builds every part of the process and wires them. Start, reload, drain and stop on one page.
import type { AdminContext, ConfigView, LocatedIssue, ServerState } from "./admin/admin-context.ts";
import { startAdminServer } from "./admin/admin-server.ts";
import { prometheusPage } from "./admin/stats-page.ts";
import type { Clock } from "./clock.ts";
import type { SocketAddress } from "./envoy/address.ts";
import { explainLive } from "./explain/live.ts";
import type { Node } from "./envoy/bootstrap.ts";
import { filterSupport } from "./filter/registry.ts";
import type { HttpServer } from "./net/http-server.ts";
import { checkCertificates } from "./proxy/certificates.ts";
import type { ConfigSource, LoadedConfig } from "./proxy/config-source.ts";
import { bindProblem } from "./proxy/bind-problem.ts";
import { descriptorLimit, fewDescriptors } from "./net/descriptor-guard.ts";
import { missingRights, processRights } from "./proxy/missing-rights.ts";
import { startMeshDns } from "./proxy/mesh-dns.ts";
import type { MeshDns, MeshDnsSettings } from "./proxy/mesh-dns.ts";
import { localAddress } from "./proxy/local-address.ts";
import { ExpiryWatch } from "./identity/expiry-watch.ts";
import { listCertificates } from "./identity/inventory.ts";
import { SecretFeeds } from "./proxy/secret-feeds.ts";
import type { WorkloadOrigin } from "./proxy/workload-origin.ts";
import { watchFiles } from "./source/watch.ts";
import type { FileWatch } from "./source/watch.ts";
import { diffSnapshots, isEmptyUpdate } from "./snapshot/diff.ts";
import { ResourceTable } from "./snapshot/resource-table.ts";
import { buildSnapshot } from "./snapshot/snapshot.ts";
import type { Snapshot } from "./snapshot/snapshot.ts";
import type { SnapshotUpdate } from "./snapshot/update.ts";
import { workloadOfNode } from "./telemetry/istio/workload.ts";
import type { LogLevel, LogStyle, ProcessLogger } from "./telemetry/pino-logger.ts";
import { StatsSlab } from "./telemetry/stats-slab.ts";
import { StatsReader } from "./telemetry/stats/stats-reader.ts";
import type { ListenerView } from "./telemetry/views.ts";
import { WorkerPool } from "./worker/pool.ts";

/** What to run. */
export interface ProxyOptions {
  readonly source: ConfigSource;
  readonly concurrency: number;
  /** Wins over the bootstrap's own; neither = no admin server. */
  readonly admin: SocketAddress | undefined;
  readonly dns: SocketAddress | undefined;
  /** Where a sidecar answers DNS when `dns` says nothing; a gateway then answers none, since it has no application. */
  readonly sidecarDns?: SocketAddress | undefined;
  /** Servers for names that are not the mesh's; undefined = resolv.conf's. */
  readonly dnsForward: readonly SocketAddress[] | undefined;
  readonly dnsSettings?: MeshDnsSettings;
  /** Folder of the workload's certificate, served as the secrets `default` and `ROOTCA`. */
  readonly certsFolder: string | undefined;
  /** Another place that the workload's certificate comes from; wins over the folder. */
  readonly workload?: WorkloadOrigin | undefined;
  /** Longest wait for connections to end, once draining. */
  readonly drainTimeMs: number;
  readonly accessLogFlushMs: number;
  readonly logLevel: LogLevel;
  readonly logStyle: LogStyle;
  readonly version: string;
  /** Load again when files change. */
  readonly watch: boolean;
}

/** What a proxy needs of its surroundings. */
export interface ProxyDeps {
  readonly clock: Clock;
  readonly logger: ProcessLogger;
}

/** A running proxy. */
export interface Proxy {
  readonly stats: StatsReader;
  readonly admin: SocketAddress | undefined;
  readonly dns: SocketAddress | undefined;
  listeners(): Promise<readonly ListenerView[]>;
  /** Loads everything again; true when it is in force without an error. */
  reload(): Promise<boolean>;
  reopenLogs(): void;
  /** Envoy's state of the server; LIVE = traffic is served. */
  state(): ServerState;
  /** Who this proxy is, as its configuration says. */
  node(): Node;
  /** The page of /stats/prometheus. */
  prometheus(): string;
  /** Open connections of all listeners. */
  connections(): number;
  /** Tells connections to go elsewhere and turns inbound ones away; outbound ones are accepted until `drainAndStop` or `stop`. */
  drainInbound(): Promise<void>;
  /** Tells connections to go elsewhere, stops accepting, waits for them to end, then stops. */
  drainAndStop(): Promise<void>;
  stop(): Promise<void>;
  /** Resolves when stopped, whoever asked for it. */
  readonly stopped: Promise<void>;
}

/** A proxy, or one line for each thing that is in the way. */
export type StartResult = { readonly ok: true; readonly proxy: Proxy } | { readonly ok: false; readonly problems: readonly string[] };

/** How long new connections are still accepted while draining, so that those on their way are told and not refused. */
const acceptWhileDrainingMs = 250;
/** When to load again what was being written during a load; the end of the writing is mostly noticed before. */
const unfinishedMs = 250;
/** How often draining looks whether connections are left. */
const drainPollMs = 50;

/** Starts a proxy: everything is bound and serving when it resolves. */
export async function startProxy(options: ProxyOptions, deps: ProxyDeps): Promise<StartResult> {
  const runner = new Runner(options, deps);
  const problems = await runner.start();
  if (problems.length === 0) return { ok: true, proxy: runner };
  await runner.stop();
  return { ok: false, problems };
}

/** Gateways are named `router~...` in Istio's node ids. */
const isRouter = (nodeId: string): boolean => nodeId.startsWith("router~");

class Runner implements Proxy {
  readonly stats = new StatsReader();
  readonly stopped: Promise<void>;
  readonly #options: ProxyOptions;
  readonly #deps: ProxyDeps;
  readonly #startedMs: number;
  readonly #pool: WorkerPool;
  readonly #slab = new StatsSlab((announcement) => this.stats.add("main", announcement));
  #watch: FileWatch | undefined = undefined;
  #state: ServerState = "INITIALIZING";
  /** Somebody asked for health checks to fail. */
  #failing = false;
  /** As the source gave it, without what the feeds bring. */
  #loaded: LoadedConfig | undefined = undefined;
  #config: LoadedConfig | undefined = undefined;
  readonly #feeds: SecretFeeds;
  #secretsCurrent = true;
  readonly #expiry: ExpiryWatch;
  #issues: readonly LocatedIssue[] = [];
  #snapshot: Snapshot | undefined = undefined;
  #publishedMs = 0;
  #admin: HttpServer | undefined = undefined;
  #dns: MeshDns | undefined = undefined;
  #onStarted: () => void = () => undefined;
  /** A change during the start is loaded after it. */
  #reloading = new Promise<boolean>((resolve) => (this.#onStarted = () => resolve(true)));
  #stopping: Promise<void> | undefined = undefined;
  #onStopped: () => void = () => undefined;

  constructor(options: ProxyOptions, deps: ProxyDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#startedMs = deps.clock.nowMs();
    this.stopped = new Promise((resolve) => (this.#onStopped = resolve));
    const { accessLogFlushMs, logLevel, logStyle, certsFolder, watch } = options;
    const folder: WorkloadOrigin | undefined = certsFolder === undefined ? undefined : { kind: "files", folder: certsFolder };
    this.#expiry = new ExpiryWatch(deps.clock, deps.logger);
    this.#feeds = new SecretFeeds({
      ...deps,
      origin: options.workload ?? folder,
      watch,
      random: Math.random,
      onChange: () => this.#onSecrets(),
    });
    this.#pool = new WorkerPool({
      concurrency: options.concurrency,
      settings: { accessLogFlushMs, logLevel, logStyle, localAddress: localAddress() },
      clock: deps.clock,
      logger: deps.logger,
      reader: this.stats,
      stats: this.#slab.root,
    });
  }

  get admin(): SocketAddress | undefined {
    return this.#admin?.address;
  }

  get dns(): SocketAddress | undefined {
    return this.#dns?.address;
  }

  /** Everything in the way of a start, nothing when it runs. */
  async start(): Promise<readonly string[]> {
    const server = this.#slab.root.scope("server");
    for (const name of ["config_reload_success", "config_reload_failed"]) server.counter(name);
    await this.#startWatch();
    const loaded = await this.#load(undefined);
    if (!loaded.ok) return loaded.problems;
    for (const issue of this.#issues) this.#deps.logger.warn("configuration is not honoured in full", { issue: issue.text });
    const missing = missingRights(loaded.config.resources.listeners, processRights());
    if (missing !== undefined) return [missing];
    const descriptors = descriptorLimit();
    if (descriptors < fewDescriptors)
      this.#deps.logger.warn("this process may have few open files: raise the limit (ulimit -n, LimitNOFILE)", {
        limit: descriptors,
        connections: Math.floor(descriptors / 2),
      });
    this.#reportFor(loaded.config.node);
    const failures = await this.#publish(loaded.snapshot);
    if (failures.length > 0) return failures;
    const { dnsForward, admin = loaded.config.admin } = this.#options;
    const dns = this.#options.dns ?? (isRouter(loaded.config.node.id) ? undefined : this.#options.sidecarDns);
    try {
      if (dns)
        this.#dns = await startMeshDns({
          address: dns,
          forward: dnsForward,
          settings: this.#options.dnsSettings,
          logQueries: () => this.#deps.logger.level === "debug" || this.#deps.logger.level === "trace",
          config: loaded.config,
          stats: this.#slab.root,
          ...this.#deps,
        });
    } catch (thrown) {
      return [bindProblem("DNS responder", "--dns", dns!, thrown)];
    }
    try {
      if (admin) this.#admin = await startAdminServer(admin, this.#adminContext(), this.#deps.logger);
    } catch (thrown) {
      return [bindProblem("admin server", "--admin", admin!, thrown)];
    }
    this.#enter("LIVE");
    this.#onStarted();
    this.#deps.logger.info("started", {
      version: this.#options.version,
      concurrency: this.#options.concurrency,
      listeners: loaded.snapshot.listeners.size,
      clusters: loaded.snapshot.clusters.size,
      ...(this.admin ? { admin: addressText(this.admin) } : {}),
      ...(this.dns ? { dns: addressText(this.dns) } : {}),
    });
    return [];
  }

  listeners(): Promise<readonly ListenerView[]> {
    return this.#pool.listeners();
  }

  reload(): Promise<boolean> {
    this.#reloading = this.#reloading.then(() => (this.#stopping ? false : this.#reload()));
    return this.#reloading;
  }

  reopenLogs(): void {
    this.#pool.reopenLogs();
  }

  state(): ServerState {
    // Between a crash of every worker and their return nothing is served, whatever was true before.
    // Without its certificate a workload of a mesh serves nobody either.
    if (this.#state !== "LIVE") return this.#state;
    if (this.#pool.live === 0 || !this.#feeds.ready) return "INITIALIZING";
    return this.#failing ? "DRAINING" : "LIVE";
  }

  node(): Node {
    return this.#config?.node ?? { id: "", cluster: "", locality: { region: "", zone: "", subZone: "" }, metadata: {} };
  }

  prometheus(): string {
    return prometheusPage(this.#adminContext(), new URLSearchParams()).body;
  }

  /** Connections open in the workers, those still being inspected included. */
  connections(): number {
    let open = 0;
    for (const stat of this.stats.list())
      if (stat.kind === "gauge" && /^listener\..*\.downstream_(?:pre_)?cx_active$/.test(stat.name)) open += stat.value;
    return open;
  }

  drainInbound(): Promise<void> {
    return this.#drain("inbound");
  }

  async drainAndStop(): Promise<void> {
    const { clock, logger } = this.#deps;
    const endMs = clock.nowMs() + this.#options.drainTimeMs;
    await this.#drain("all");
    while (this.connections() > 0 && clock.nowMs() < endMs && !this.#stopping) await wait(drainPollMs);
    const left = this.connections();
    if (left > 0) logger.warn("connections are closed before they ended", { connections: left, drainTimeMs: this.#options.drainTimeMs });
    await this.stop();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #drain(direction: "all" | "inbound"): Promise<void> {
    this.#enter("DRAINING");
    this.#pool.drain();
    if (this.connections() > 0) await wait(Math.min(acceptWhileDrainingMs, this.#options.drainTimeMs));
    await this.#pool.stopAccepting(direction);
  }

  async #stop(): Promise<void> {
    this.#enter("DRAINING");
    this.#watch?.close();
    this.#feeds.close();
    this.#expiry.close();
    this.#options.source.close?.();
    await Promise.all([this.#pool.stop(), this.#admin?.close(), this.#dns?.close()]);
    this.#onStopped();
  }

  async #reload(): Promise<boolean> {
    const { logger } = this.#deps;
    const server = this.#slab.root.scope("server");
    const loaded = await this.#load(this.#config);
    const refused = loaded.ok ? this.#issues.filter((issue) => issue.severity === "error").map((issue) => issue.text) : loaded.problems;
    if (loaded.ok) refused.push(...(await this.#publish(loaded.snapshot)));
    const ok = refused.length === 0 && this.#secretsCurrent;
    server.counter(ok ? "config_reload_success" : "config_reload_failed").inc();
    for (const problem of refused)
      logger.error(loaded.ok ? "refused, what was in force of it stays" : "configuration refused, the running one stays", { problem });
    if (ok) logger.info("configuration loaded", { version: this.#snapshot?.version });
    return ok;
  }

  async #load(
    previous: LoadedConfig | undefined,
  ): Promise<
    { readonly ok: true; readonly config: LoadedConfig; readonly snapshot: Snapshot } | { readonly ok: false; readonly problems: string[] }
  > {
    const { source } = this.#options;
    const result = await source.load(previous);
    this.#watch?.replace(result.ok ? result.config.paths : result.paths);
    if (previous) this.#secretsCurrent = await this.#feeds.refresh(result.ok ? result.config : previous);
    if (!result.ok) return { ok: false, problems: result.issues.filter((issue) => issue.severity === "error").map((issue) => issue.text) };
    const { config } = result;
    if (config.unfinished) this.#deps.clock.after(unfinishedMs, () => void this.reload());
    const problems = await this.#feeds.follow(config);
    // At the start only: later everything else that is new is served, and a feed goes on trying.
    if (!previous && problems.some((problem) => problem.fatal)) return { ok: false, problems: problems.flatMap((each) => each.problems) };
    for (const problem of problems.flatMap((each) => each.problems)) this.#deps.logger.error("secrets are missing", { problem });
    // A mesh's own secrets are many gateways' certificates, each judged by its source: one that expired is that host's trouble alone.
    const judged = source.kind === "mesh" ? { ...config.resources, secrets: [] } : config.resources;
    const unusable = checkCertificates(judged, this.#deps.clock.wallMs());
    return unusable.length > 0 ? { ok: false, problems: [...unusable] } : this.#build(config, previous);
  }

  // Once: who a proxy is does not change while it runs.
  #reportFor(node: Node): void {
    const everywhere = this.#options.source.kind === "mesh";
    this.#pool.setNodeCluster(node.cluster);
    this.#pool.setIstioMetrics({ own: workloadOfNode(node), everywhere, gateway: isRouter(node.id) });
  }

  /** What the source and the feeds give together. */
  #build(
    config: LoadedConfig,
    previous: LoadedConfig | undefined,
  ):
    | { readonly ok: true; readonly config: LoadedConfig; readonly snapshot: Snapshot }
    | { readonly ok: false; readonly problems: string[] } {
    const { source } = this.#options;
    const resources = { ...config.resources, secrets: [...config.resources.secrets, ...this.#feeds.secrets] };
    const built = buildSnapshot(resources, {
      ...filterSupport,
      rejected: config.rejected,
      ...(config.meantAbsent ? { meantAbsent: config.meantAbsent } : {}),
      ...(this.#snapshot ? { previous: this.#snapshot } : {}),
    });
    const issues = [...config.issues, ...built.issues.map((issue) => ({ severity: issue.severity, text: config.locate(issue) }))];
    const errors = built.issues.filter((issue) => issue.severity === "error").map(config.locate);
    // A start has nothing to fall back on, and a bootstrap is taken whole or not at all.
    if (errors.length > 0 && (!previous || source.kind === "bootstrap")) return { ok: false, problems: errors };
    this.#loaded = config;
    this.#config = { ...config, resources };
    this.#issues = issues;
    return { ok: true, config, snapshot: built.snapshot };
  }

  // Whatever is wrong with newer configuration, a renewed certificate is published with the one in force.
  #onSecrets(): void {
    this.#reloading = this.#reloading.then(async () => {
      if (this.#stopping || !this.#loaded) return false;
      const built = this.#build(this.#loaded, this.#loaded);
      const problems = built.ok ? await this.#publish(built.snapshot) : built.problems;
      for (const problem of problems) this.#deps.logger.error("renewed secrets are not in force", { problem });
      return problems.length === 0;
    });
  }

  /** Brings the workers to a snapshot; gives one line for each listener that failed. */
  async #publish(snapshot: Snapshot): Promise<string[]> {
    const previous = this.#snapshot;
    const update = diffSnapshots(previous, snapshot);
    this.#snapshot = snapshot;
    const changes = !isEmptyUpdate(update) || this.#publishedMs === 0;
    if (changes) this.#publishedMs = this.#deps.clock.wallMs();
    const published = changes
      ? this.#pool.publish(update, (failed) => {
          this.#snapshot = withoutFailed(snapshot, previous, failed);
          return diffSnapshots(undefined, this.#snapshot);
        })
      : [];
    // On their way to the workers listeners overtake the names that lead to them.
    if (this.#config) this.#dns?.setNames(this.#config);
    const failures = await published;
    if (this.#config && bringsCertificates(update)) this.#expiry.follow(listCertificates(this.#config.resources));
    return failures.map((failure) => failure.message);
  }

  async #startWatch(): Promise<void> {
    if (!this.#options.watch) return;
    const { clock } = this.#deps;
    const { source } = this.#options;
    source.onChange?.(() => void this.reload());
    this.#watch = watchFiles(source.paths, () => void this.reload(), { clock, debounceMs: source.quietMs });
    await this.#watch.ready;
  }

  #enter(state: ServerState): void {
    this.#state = state;
    const server = this.#slab.root.scope("server");
    server.gauge("live").set(state === "LIVE" ? 1 : 0);
    server.gauge("state").set(["LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING"].indexOf(state));
  }

  #adminContext(): AdminContext {
    const { clock, logger } = this.#deps;
    const uptimeMs = (): number => clock.nowMs() - this.#startedMs;
    return {
      reader: this.stats,
      version: `isthmus/${this.#options.version}/node-${process.versions.node}/openssl-${process.versions.openssl}`,
      options: { concurrency: this.#options.concurrency, drain_time: `${this.#options.drainTimeMs / 1000}s`, log_level: logger.level },
      state: () => this.state(),
      uptimeMs,
      wallMs: () => clock.wallMs(),
      node: () => this.node(),
      config: () => this.#configView(),
      clusters: () => this.#pool.clusters(),
      listeners: () => this.#pool.listeners(),
      dns: () => this.#dns?.view(),
      explain: async (question) => {
        const clusters = await this.#pool.clusters();
        const [config, snapshot] = [this.#config, this.#snapshot];
        return config && snapshot ? explainLive({ ...config, snapshot, clusters }, question) : { problem: "nothing is loaded yet" };
      },
      logLevel: () => logger.level,
      setLogLevel: (level) => {
        logger.setLevel(level);
        this.#pool.setLogLevel(level);
      },
      reopenLogs: () => this.reopenLogs(),
      failHealthChecks: (failing) => {
        this.#pool.failHealthChecks(failing);
        this.#failing = failing;
      },
      drainListeners: ({ graceful, inboundOnly }) => {
        if (graceful && !inboundOnly) this.#pool.drain();
        clock.after(graceful ? this.#options.drainTimeMs : 0, () => void this.#pool.stopAccepting(inboundOnly ? "inbound" : "all"));
      },
      // After the answer has left.
      quit: () => void clock.after(10, () => void this.stop()),
    };
  }

  #configView(): ConfigView {
    const config = this.#config;
    return {
      version: this.#snapshot?.version ?? 0,
      lastUpdatedMs: this.#publishedMs,
      source: this.#options.source.kind,
      resources: config?.resources ?? { listeners: [], clusters: [], routes: [], endpoints: [], secrets: [] },
      bootstrap: config?.bootstrap,
      json: config?.json ?? { listeners: [], clusters: [], routes: [], endpoints: [] },
      issues: this.#issues,
    };
  }
}

// Endpoints and routes change all the time and have none.
const bringsCertificates = ({ secrets, clusters, listeners }: SnapshotUpdate): boolean =>
  [secrets, clusters, listeners].some(({ set, removed }) => set.length + removed.length > 0);

const addressText = ({ address, port }: SocketAddress): string => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);

// What is in force after listeners failed: their version of before, if there was one, so that the next load tries them again.
function withoutFailed(snapshot: Snapshot, previous: Snapshot | undefined, failed: readonly { readonly name: string }[]): Snapshot {
  if (failed.length === 0) return snapshot;
  const names = new Set(failed.map(({ name }) => name));
  const list = snapshot.listeners.list.flatMap((listener) =>
    names.has(listener.name) ? (previous?.listeners.get(listener.name) ?? []) : [listener],
  );
  return { ...snapshot, listeners: new ResourceTable(list) };
}

// Unlike the clock's timers this one keeps the process alive: nothing else may be left while connections drain.
const wait = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));
