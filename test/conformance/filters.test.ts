// HTTP filters beside the real Envoy, where a machine has it: the same bootstrap, the same requests, and the same bytes, logs and
// counters.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { envoyProgram, startEnvoy } from "../support/envoy-program.ts";
import { filterCases } from "../support/filter-cases/all.ts";
import { callAll, grpcBootstrap, grpcCalls, grpcTables } from "../support/filter-cases/grpc.ts";
import { askAll, type Outcome, serveHere, tableBootstrap } from "../support/filter-cases/run.ts";

// The order of fields is of no consequence where their names differ.
const comparable = ({ lines }: Outcome): readonly string[] => {
  const end = lines.indexOf("");
  return [...lines.slice(0, 1), ...lines.slice(1, end).sort(), ...lines.slice(end)];
};

suite("HTTP filters answer as Envoy's do", { skip: "missing" in envoyProgram ? envoyProgram.missing : false }, () => {
  for (const table of filterCases) {
    test(table.name, async (t) => {
      const bootstrap = await tableBootstrap(t, table);
      const [envoy, ours] = [await startEnvoy(t, bootstrap), await serveHere(t, bootstrap)];
      const [theirOutcomes, ourOutcomes] = [await askAll(envoy, table.cases), await askAll(ours, table.cases)];
      const [theirLog, ourLog] = [await envoy.accessLog(table.cases.length), await ours.accessLog(table.cases.length)];
      for (const [i, { title }] of table.cases.entries()) {
        assert.deepEqual(comparable(ourOutcomes[i]!), comparable(theirOutcomes[i]!), title);
        // An HTTP/1 body that is refused has not been counted to its end by either.
        const [own, their] = [ourLog[i], theirLog[i]].map((record) => ({
          ...record,
          flags: record?.["flags"] ?? "-",
          host: "",
          received: 0,
        }));
        assert.deepEqual(own, their, title);
      }
      for (const name of Object.keys(table.stats)) assert.equal(ours.stat(name), (await envoy.stat(name)) ?? 0, name);
    });
  }

  for (const table of grpcTables) {
    test(`grpc_stats: ${table.name}`, async (t) => {
      const bootstrap = await grpcBootstrap(t, table.config);
      const [envoy, ours] = [await startEnvoy(t, bootstrap), await serveHere(t, bootstrap)];
      for (const served of [envoy, ours]) await callAll(t, served.port("in"), grpcCalls);
      const [theirLog, ourLog] = [await envoy.accessLog(grpcCalls.length), await ours.accessLog(grpcCalls.length)];
      for (const [i, { path }] of grpcCalls.entries()) {
        const [own, their] = [ourLog[i], theirLog[i]].map((record) => [record?.["status"], record?.["details"], record?.["counts"]]);
        assert.deepEqual(own, their, path);
      }
      const theirs = (await envoy.stats()).matchAll(/^(cluster\.\w+\.grpc\.\S+): (\d+)$/gm);
      for (const [, name = "", value] of theirs) assert.equal(ours.stat(name), Number(value), name);
    });
  }
});
