// HTTP filters over real sockets: tables of requests, what comes back, what is logged and what is counted.
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import type { FilterTable } from "../../support/filter-cases/case.ts";
import { filterCases } from "../../support/filter-cases/all.ts";
import { askAll, type Outcome, serveHere, tableBootstrap } from "../../support/filter-cases/run.ts";

function runs(table: FilterTable): void {
  suite(table.name, () => {
    let outcomes: readonly Outcome[] = [];
    let records: readonly Record<string, unknown>[] = [];
    let stat: (name: string) => number = () => 0;
    const ends: (() => Promise<void> | void)[] = [];
    before(async () => {
      const t = { after: (end: () => Promise<void> | void) => void ends.unshift(end) };
      const served = await serveHere(t, await tableBootstrap(t, table));
      outcomes = await askAll(served, table.cases);
      records = await served.accessLog(table.cases.length);
      stat = served.stat;
    });
    after(async () => {
      for (const end of ends) await end();
    });
    for (const [i, each] of table.cases.entries()) {
      test(each.title, () => {
        const { status, lines } = outcomes[i]!;
        const record = records[i]!;
        assert.equal(status, each.status, lines.join("\n"));
        for (const line of each.has ?? []) assert.ok(lines.includes(line), `${line} is missing in\n${lines.join("\n")}`);
        for (const line of each.lacks ?? []) assert.ok(!lines.includes(line), `${line} is in\n${lines.join("\n")}`);
        const { details, flags } = record;
        assert.deepEqual({ details, flags: flags ?? "-" }, { details: each.details, flags: each.flags ?? "-" });
        for (const [name, value] of Object.entries(each.log ?? {})) assert.deepEqual(record[name], value, name);
      });
    }
    test("counts", () => {
      for (const [name, value] of Object.entries(table.stats)) assert.equal(stat(name), value, name);
    });
  });
}

for (const table of filterCases) runs(table);
