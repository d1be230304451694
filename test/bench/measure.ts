// The method: every proxy runs on one core, client and upstream on another; rounds go A B C A B C ..., so that what else the
// machine does falls on all alike; a round in which something else used the proxy's core is run again; the figure is the median
// over the rounds of CPU time per unit of work.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { benchmarks, cpuPerUnit } from "./benchmark.ts";
import type { Benchmark, Traffic } from "./benchmark.ts";
import { makeCertificate, makeMeshCertificate } from "./certificate.ts";
import type { Contender, PortPair } from "./contender/contender.ts";
import type { BenchCertificate, LoadEvent, MeshCertificate, RunLoad, UpstreamStarted } from "./load/messages.ts";
import { serverName } from "./load/payload.ts";
import { coreBusySeconds, cpuSeconds, end, freePorts, startOn, waitForPort } from "./processes.ts";

/** How long and how often. */
export interface Method {
  readonly rounds: number;
  readonly roundMs: number;
  /** Load before the first round, so that compilers and pools are warm. */
  readonly warmUpMs: number;
}

/** What one proxy did in one benchmark. */
export interface Figure {
  readonly contender: string;
  /** Median CPU time per unit of work, in the benchmark's unit; absent when the proxy failed. */
  readonly cpu?: number;
  /** Every round's CPU time per unit of work. */
  readonly rounds: readonly number[];
  /** Median units (or bytes) a second. */
  readonly rate?: number;
  /** Rounds that count although something else was busy on the proxy's core. */
  readonly disturbed: number;
  readonly failure?: string;
}

/** One benchmark's figures, in the order of the contenders. */
export interface Outcome {
  readonly benchmark: Benchmark;
  readonly figures: readonly Figure[];
}

const proxyCore = 0;
const loadCore = 1;

/**
 * Share of a round in which the proxy's core worked on something that is not charged to the proxy. A quiet machine stays below
 * 2 %; from here on batching changes, and a figure would say more about the neighbour (or about work in the kernel that the
 * proxy causes and does not pay for) than about the proxy.
 */
const disturbedShare = 0.05;

/** How often a disturbed round is run again before it counts all the same. */
const repeats = 3;

interface Running {
  readonly contender: Contender;
  readonly child?: ChildProcess;
  readonly ports: Readonly<Record<Traffic, PortPair>>;
  readonly failure?: string;
}

/** Runs the chosen benchmarks for the contenders given; everything started here is ended here. */
export async function measure(contenders: readonly Contender[], chosen: readonly Benchmark[], method: Method): Promise<Outcome[]> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "isthmus-bench-"));
  const certificate = makeCertificate(serverName);
  const mesh = makeMeshCertificate(serverName);
  const upstream = startOn(loadCore, [process.execPath, fileFor("load/upstream.ts")], { ipc: true });
  const generator = startOn(loadCore, [process.execPath, fileFor("load/generator.ts")], { ipc: true });
  const running: Running[] = [];
  const runAll = async (): Promise<Outcome[]> => {
    upstream.send({ certificate });
    const [{ ports }] = (await once(upstream, "message")) as [UpstreamStarted];
    for (const contender of contenders) running.push(await startProxy(contender, path.join(folder, contender.name), ports, mesh));
    const outcomes: Outcome[] = [];
    for (const benchmark of chosen) {
      process.stderr.write(`${benchmark.name}: ${method.rounds} rounds of ${method.roundMs} ms\n`);
      outcomes.push(await compare(benchmark, running, generator, { certificate, mesh }, method));
    }
    return outcomes;
  };
  try {
    // Without its ends the bench would blame the proxies for every figure that follows.
    return await Promise.race([runAll(), exited(upstream, "upstream"), exited(generator, "load generator")]);
  } finally {
    await Promise.all([upstream, generator, ...running.flatMap(({ child }) => child ?? [])].map(end));
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

async function startProxy(
  contender: Contender,
  folder: string,
  upstreamPorts: UpstreamStarted["ports"],
  mesh: MeshCertificate,
): Promise<Running> {
  fs.mkdirSync(folder, { recursive: true });
  const listenPorts = await freePorts(benchmarks.length);
  const ports = Object.fromEntries(
    benchmarks.map(({ name }, index) => [name, { listen: listenPorts[index] ?? 0, upstream: upstreamPorts[name] }]),
  ) as Record<Traffic, PortPair>;
  const logFile = path.join(folder, "log");
  const child = startOn(proxyCore, contender.prepare(folder, ports, mesh), { log: fs.openSync(logFile, "w") });
  try {
    for (const port of contender.traffic.map((name) => ports[name].listen)) await waitForPort(port, child, 10_000);
    return { contender, child, ports };
  } catch (thrown) {
    await end(child);
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return { contender, ports, failure: [reason, fs.readFileSync(logFile, "utf8").trim().slice(0, 500)].filter(Boolean).join(": ") };
  }
}

async function compare(
  benchmark: Benchmark,
  all: readonly Running[],
  generator: ChildProcess,
  certificates: { readonly certificate: BenchCertificate; readonly mesh: MeshCertificate },
  method: Method,
): Promise<Outcome> {
  const running = all.filter(({ contender }) => contender.traffic.includes(benchmark.name));
  const failures = new Map(running.flatMap(({ contender, failure }) => (failure === undefined ? [] : [[contender.name, failure]])));
  const kept = new Map<string, RoundResult[]>();
  for (let round = -1; round < method.rounds; round++) {
    for (const { contender, child, ports } of running) {
      if (child?.pid === undefined || failures.has(contender.name)) continue;
      const load: RunLoad = {
        traffic: benchmark.name,
        port: ports[benchmark.name].listen,
        connections: benchmark.connections,
        streams: benchmark.streams ?? 1,
        durationMs: round < 0 ? method.warmUpMs : method.roundMs,
        ...certificates,
      };
      let result = await runLoad(generator, load, child.pid);
      for (let again = 0; round >= 0 && again < repeats && typeof result !== "string" && isDisturbed(result); again++) {
        result = await runLoad(generator, load, child.pid);
      }
      if (typeof result === "string") failures.set(contender.name, result);
      else if (round >= 0) kept.set(contender.name, [...(kept.get(contender.name) ?? []), result]);
    }
  }
  const figures = running.map(({ contender: { name } }): Figure => {
    const failure = failures.get(name);
    const results = kept.get(name) ?? [];
    const rounds = results.map(({ cpu, units }) => cpuPerUnit(benchmark, cpu, units));
    const disturbed = results.filter(isDisturbed).length;
    return failure === undefined
      ? { contender: name, cpu: median(rounds), rounds, disturbed, rate: median(results.map(({ units, seconds }) => units / seconds)) }
      : { contender: name, rounds, disturbed, failure };
  });
  return { benchmark, figures };
}

interface RoundResult {
  /** Seconds of CPU time of the proxy, and of everything else on its core. */
  readonly cpu: number;
  readonly foreign: number;
  readonly units: number;
  readonly seconds: number;
}

function isDisturbed({ foreign, seconds }: RoundResult): boolean {
  return foreign > disturbedShare * seconds;
}

// CPU time is read when the generator says that its connections work, and again as soon as it has counted.
async function runLoad(generator: ChildProcess, load: RunLoad, pid: number): Promise<RoundResult | string> {
  generator.send(load);
  let cpuBefore = 0;
  let busyBefore: number | undefined;
  for (;;) {
    const [event] = (await once(generator, "message")) as [LoadEvent];
    if (event.kind === "failed") return event.reason;
    if (event.kind === "started") {
      cpuBefore = cpuSeconds(pid);
      busyBefore = coreBusySeconds(proxyCore);
      continue;
    }
    const cpu = cpuSeconds(pid) - cpuBefore;
    const busy = coreBusySeconds(proxyCore);
    const foreign = busy === undefined || busyBefore === undefined ? 0 : busy - busyBefore - cpu;
    return { cpu, foreign, units: event.units, seconds: event.seconds };
  }
}

async function exited(child: ChildProcess, name: string): Promise<never> {
  const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
  throw new Error(`the ${name} ended with ${code ?? signal}`);
}

function fileFor(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? NaN) : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}
