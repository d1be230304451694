// The rooms of src/ and who may import whom. The order of the rooms is read from src/README.md, so that the page cannot drift.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { readText, sourceFiles } from "./source-tree.ts";
import type { SourceFile } from "./source-tree.ts";

const files = sourceFiles("src");
const levels = readLevels(readText("src/README.md"));

/** Files directly under src/ that every room may import. */
const freeFiles = new Set(["src/error.ts", "src/clock.ts", "src/regex.ts", "src/kept-list.ts"]);

/** Imports upwards or sideways that the page allows in so many words. */
const sideways = new Map([["net", new Set(["telemetry"])]]);

/** Contract files whose types those who fulfil them may import, although they lie above. */
const contracts = new Map([["http", new Set(["src/filter/filter.ts"])]]);

/** Rooms that may import less than what lies below them. */
const narrow = new Map([["source", new Set(["envoy", "match", "wire", "telemetry"])]]);

/** Packages with a single home: path prefixes from which each may be imported. */
const packageHomes: Readonly<Record<string, readonly string[]>> = {
  "@grpc/grpc-js": ["src/identity/sds/", "src/identity/workload/"],
  "@grpc/proto-loader": ["src/identity/sds/", "src/identity/workload/"],
  commander: ["src/cli/", "src/main.ts"],
  "dns-packet": ["src/dns/codec"],
  koffi: ["src/net/", "src/dns/"],
  "node-forge": ["src/identity/"],
  pino: ["src/telemetry/"],
  re2js: ["src/regex.ts"],
  undici: ["src/upstream/", "src/filter/"],
  yaml: ["src/source/", "src/inject/", "src/cli/"],
};

suite("direction of imports", () => {
  test("src/README.md orders every room that exists", () => {
    const rooms = new Set(files.map((file) => roomOf(file.path)).filter((room) => room !== ""));
    assert.deepEqual(
      [...rooms].filter((room) => !levels.has(room)),
      [],
      "rooms that the arrow block in src/README.md does not name",
    );
  });

  test("rooms import downwards only", () => {
    assert.deepEqual(violations(wrongDirection), []);
  });

  test("nothing but the composition root and the edges imports source/ or admin/", () => {
    const edges = new Set(["main", "cli", "proxy", "explain", "source", "admin"]);
    assert.deepEqual(
      violations((from, to) => (to === "source" || to === "admin") && !edges.has(from)),
      [],
    );
  });

  test("filters never import each other", () => {
    const offences = files.flatMap((file) => {
      const own = filterOf(file.path);
      if (own === undefined) return [];
      return file.imports
        .filter((imported) => imported.relative)
        .filter(({ target }) => filterOf(target) !== undefined && filterOf(target) !== own)
        .map(({ target }) => `${file.path} imports ${target}`);
    });
    assert.deepEqual(offences, []);
  });

  test("each package is imported from its one home", () => {
    const offences = files.flatMap((file) =>
      file.imports
        .filter((imported) => !imported.relative)
        .filter(({ target }) => packageHomes[target]?.every((home) => !file.path.startsWith(home)))
        .map(({ target }) => `${file.path} imports ${target}, whose home is ${packageHomes[target]?.join(" or ")}`),
    );
    assert.deepEqual(offences, []);
  });

  test("src/ imports only Node, its dependencies and itself", () => {
    const { dependencies } = JSON.parse(readText("package.json")) as { dependencies: Record<string, string> };
    const offences = files.flatMap((file) =>
      file.imports
        .filter(({ target, relative }) =>
          relative
            ? !target.startsWith("src/") && !target.startsWith("test/apps/")
            : !target.startsWith("node:") && !(target in dependencies),
        )
        .map(({ target }) => `${file.path} imports ${target}`),
    );
    assert.deepEqual(offences, []);
  });

  test("no file is part of a cycle of imports that exist at run time", () => {
    assert.deepEqual(cycles(files), []);
  });
});

function wrongDirection(from: string, to: string): boolean {
  if (from === to || sideways.get(from)?.has(to)) return false;
  const allowed = narrow.get(from);
  if (allowed) return !allowed.has(to);
  const fromLevel = levels.get(from);
  const toLevel = levels.get(to);
  return fromLevel === undefined || toLevel === undefined || toLevel <= fromLevel;
}

function violations(offends: (from: string, to: string) => boolean): string[] {
  return files.flatMap((file) =>
    file.imports
      .filter(({ relative, target }) => relative && target.startsWith("src/") && !freeFiles.has(target) && !freeFiles.has(file.path))
      .filter(({ target }) => offends(roomOf(file.path), roomOf(target)))
      .filter(({ target, typeOnly }) => !(typeOnly && contracts.get(roomOf(file.path))?.has(target)))
      .map(({ target }) => `${file.path} imports ${target}`),
  );
}

// `src/main.ts` and `src/proxy.ts` are rooms of one file.
function roomOf(file: string): string {
  const [, first = ""] = file.split("/");
  return freeFiles.has(file) ? "" : first.replace(/\.ts$/, "");
}

// A filter is one folder or one file under filter/listener, filter/network or filter/http.
function filterOf(file: string): string | undefined {
  const match = /^src\/filter\/(listener|network|http)\/([^/]+?)(?:\.ts)?(?:\/|$)/.exec(file);
  return match ? `${match[1]}/${match[2]}` : undefined;
}

// Reads `a -> { b | c } -> d` from the first fenced block of the page into room -> depth.
function readLevels(page: string): ReadonlyMap<string, number> {
  const block = /```\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
  const found = new Map<string, number>();
  for (const [depth, step] of block.split("->").entries()) {
    for (const room of step.match(/[a-z][a-z0-9-]*/g) ?? []) found.set(room, depth);
  }
  return found;
}

// Each strongly connected set of files, once, by depth-first search.
function cycles(all: readonly SourceFile[]): string[] {
  const byPath = new Map(all.map((file) => [file.path, file]));
  const state = new Map<string, "open" | "done">();
  const trail: string[] = [];
  const found: string[] = [];
  const visit = (file: SourceFile): void => {
    state.set(file.path, "open");
    trail.push(file.path);
    for (const { target, typeOnly } of file.imports) {
      if (typeOnly) continue;
      const next = byPath.get(target);
      if (next === undefined || next === file) continue;
      if (state.get(target) === "open") found.push([...trail.slice(trail.indexOf(target)), target].join(" -> "));
      else if (!state.has(target)) visit(next);
    }
    trail.pop();
    state.set(file.path, "done");
  };
  for (const file of all) if (!state.has(file.path)) visit(file);
  return found;
}
