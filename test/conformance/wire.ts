// Runs the recorded wire cases against isthmus in a network namespace of their own and compares with what Envoy did.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { isthmusProgram, referenceFolder } from "./reference.ts";

/** Cases that must agree at least; raised with each gain, never lowered. */
export const wireFloor = 265;

/** The whole suite takes about two minutes; a proxy that hangs on every case, fifteen. */
const deadlineMs = 15 * 60_000;

/** What the comparison found. */
export interface WireResult {
  readonly agreed: number;
  readonly total: number;
  readonly differing: readonly string[];
  /** The comparison's own words, case by case. */
  readonly details: string;
  /** The proxy's last lines when it served not one request, so that its own words say why; otherwise empty. */
  readonly proxyLog: string;
}

/** Runs every case, or those whose name contains `only`. */
export async function runWire(only?: string): Promise<WireResult> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "isthmus-conformance-"));
  const recording = path.join(folder, "recording.json");
  const run = path.join(folder, "run");
  const behaviours = path.join(referenceFolder, "behaviours");
  try {
    await runSuite(path.join(behaviours, "static", "run.sh"), recording, run, only);
    const proxyLog = lastWords(path.join(run, "proxy.log"));
    if (fs.statSync(recording).size === 0) return { agreed: 0, total: 0, differing: [], details: "the suite recorded nothing", proxyLog };
    const files = comparable(path.join(behaviours, "recordings", "static.json"), recording, folder, only);
    const compared = spawnSync("python3", [path.join(behaviours, "compare.py"), ...files], {
      encoding: "utf8",
      maxBuffer: 64 << 20,
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
    });
    const [, agreed = "0", total = "0"] = /(\d+) of (\d+) cases agree/.exec(compared.stdout) ?? [];
    const differing = [...compared.stdout.matchAll(/^(?:## |MISSING )(.*)$/gm)].map(([, name = ""]) => name);
    return { agreed: Number(agreed), total: Number(total), differing, details: compared.stdout + compared.stderr, proxyLog };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** Names of the recorded cases. */
export function recordedNames(): readonly string[] {
  const file = path.join(referenceFolder, "behaviours", "recordings", "static.json");
  return (JSON.parse(fs.readFileSync(file, "utf8")) as { name: string }[]).map(({ name }) => name);
}

// The suite leads a process group of its own, so that whatever a broken proxy leaves behind is ended with it.
async function runSuite(script: string, recording: string, run: string, only: string | undefined): Promise<void> {
  const output = fs.openSync(recording, "w");
  const suite = spawn("bash", [script], {
    stdio: ["ignore", output, "inherit"],
    detached: true,
    env: {
      ...process.env,
      PATH: pathOfRecordingClient(),
      RUN: run,
      // One worker, as the recorded Envoy had: circuit breakers and local rate limits are counted per worker.
      PROXY_CMD: `${isthmusProgram} run --concurrency 1 -c`,
      ...(only === undefined ? {} : { ONLY: only }),
    },
  });
  const endGroup = (): void => {
    try {
      if (suite.pid !== undefined) process.kill(-suite.pid, "SIGKILL");
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== "ESRCH") throw thrown; // nothing of the group is left
    }
  };
  process.once("exit", endGroup);
  const deadline = setTimeout(() => suite.kill("SIGTERM"), deadlineMs);
  await once(suite, "exit");
  clearTimeout(deadline);
  process.removeListener("exit", endGroup);
  endGroup();
  fs.closeSync(output);
}

// The cases were recorded with the system's Node as client, and TLS error texts differ between OpenSSL versions: npm's own
// folders, which hold the pinned Node, are left out where another Node is found without them.
function pathOfRecordingClient(): string {
  const all = (process.env["PATH"] ?? "").split(path.delimiter);
  const system = all.filter((folder) => !folder.includes("node_modules"));
  return (system.some((folder) => fs.existsSync(path.join(folder, "node"))) ? system : all).join(path.delimiter);
}

interface RecordedCase {
  readonly name: string;
  readonly got: { readonly reply?: string };
}

/** A cookie is made from the client's port, and it is by that which of two origins answers: of Envoy's answers too. */
const answeredByEither = "hash policy cookie is generated";

const readCases = (file: string): readonly RecordedCase[] => JSON.parse(fs.readFileSync(file, "utf8")) as readonly RecordedCase[];

// The recorded cases (with a selection those that were run again) and these, written without what is left to chance.
function comparable(golden: string, recording: string, folder: string, only: string | undefined): readonly string[] {
  const ran = readCases(recording);
  const names = new Set(ran.map(({ name }) => name));
  const wanted = readCases(golden).filter(({ name }) => only === undefined || names.has(name));
  return Object.entries({ golden: wanted, again: ran }).map(([name, cases]) => {
    const file = path.join(folder, `${name}.json`);
    fs.writeFileSync(file, JSON.stringify(cases.map(withoutChance)));
    return file;
  });
}

function withoutChance(each: RecordedCase): RecordedCase {
  const { reply } = each.got;
  if (each.name !== answeredByEither || reply === undefined) return each;
  return { ...each, got: { ...each.got, reply: reply.replace(/"origin":"[AB]"/, '"origin":"either"') } };
}

function lastWords(file: string): string {
  const text = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
  // Access-log records of the suite open with a time in brackets.
  return /^\[\d{4}-/m.test(text) ? "" : text.slice(-4000);
}
