// npm run bench [-- NAME...] [--json] [--rounds N] [--seconds S] [--only CONTENDER,...] [--services N]
// Compares isthmus with Envoy, HAProxy and nginx, each where it is found ($PEERS_BIN or PATH); see measure.ts for the method.
// `tls` is all of what begins with tls-, `http` is http-chain, http2 and grpc. `mesh` measures isthmus alone over a big mesh directory (mesh/mesh-bench.ts).
import os from "node:os";
import { parseArgs } from "node:util";
import { benchmarks } from "./benchmark.ts";
import { findContenders } from "./contender/contender.ts";
import { measure } from "./measure.ts";
import { formatMesh, runMeshBench } from "./mesh/mesh-bench.ts";
import { pinningProblem } from "./processes.ts";
import { formatTable, toJson } from "./report.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
    only: { type: "string" },
    services: { type: "string", default: "10000" },
  },
});

const names = [...benchmarks.map(({ name }) => name), "tls", "http", "mesh"];
const unknown = positionals.filter((name) => !names.includes(name));
if (process.platform !== "linux") {
  process.stdout.write("the bench reads CPU time from /proc, so it runs on Linux only\n");
} else if (unknown.length > 0) {
  process.stderr.write(`unknown benchmark ${unknown.join(", ")}; there are ${names.join(" ")}\n`);
  process.exitCode = 2;
} else {
  const only = values.only?.split(",");
  const contenders = findContenders().filter(({ name }) => only?.includes(name) ?? true);
  const chosen = benchmarks.filter(
    ({ name, group }) => positionals.length === 0 || positionals.includes(name) || positionals.includes(group ?? name),
  );
  const roundMs = Number(values.seconds) * 1000;
  const outcomes =
    chosen.length === 0
      ? []
      : await measure(
          contenders.filter(({ missing }) => missing === undefined),
          chosen,
          { rounds: Number(values.rounds), roundMs, warmUpMs: roundMs },
        );
  const meshSettings = { services: Number(values.services) };
  const mesh = positionals.length === 0 || positionals.includes("mesh") ? runMeshBench(meshSettings) : undefined;
  const cpu = os.cpus()[0]?.model ?? "unknown processor";
  const machine = { cpu, cores: os.availableParallelism(), kernel: os.release(), node: process.version };
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ ...toJson(outcomes, contenders, machine), mesh }, null, 2)}\n`);
  } else {
    const versions = contenders.filter(({ version }) => version !== "").map(({ name, version }) => `${name} ${version}`);
    process.stdout.write(
      `\n${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}; ${versions.join(", ")}\n`,
    );
    const problem = pinningProblem();
    if (problem !== undefined) process.stdout.write(`${problem}\n`);
    process.stdout.write(
      formatTable(
        outcomes,
        contenders.filter(({ missing }) => missing !== undefined),
      ),
    );
    if (mesh !== undefined) process.stdout.write(formatMesh(meshSettings, mesh));
  }
  if (outcomes.some(({ figures }) => figures.some(({ failure }) => failure !== undefined)) || (mesh !== undefined && "failure" in mesh))
    process.exitCode = 1;
}
