import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { type FailedBootstrap, loadBootstrap, type LoadedBootstrap } from "../../../../src/source/file/bootstrap.ts";
import type { FileReader } from "../../../../src/source/read-file.ts";
import { readLocalFile } from "../../../../src/source/read-file.ts";
import { formatIssue } from "../../../../src/source/yaml-document.ts";
import { pem } from "../../envoy/decoding.ts";

function files(contents: Readonly<Record<string, string>>): FileReader {
  return (path) => {
    const content = Object.hasOwn(contents, path) ? contents[path] : undefined;
    return content === undefined ? { error: "there is no such file" } : Buffer.from(content);
  };
}
function load(text: string, others: Readonly<Record<string, string>> = {}): Promise<LoadedBootstrap | FailedBootstrap> {
  return loadBootstrap("c.yaml", { readFile: files({ "c.yaml": text, ...others }), environment: () => undefined });
}
const lines = (loaded: LoadedBootstrap | FailedBootstrap): readonly string[] => loaded.issues.map(formatIssue);

const good = `static_resources:
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: 80}}
    filter_chains:
    - filters:
      - name: tcp
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: t
          cluster: a
  clusters:
  - name: a
    type: STATIC
`;

suite("loadBootstrap", () => {
  test("reads YAML and JSON by their content", async () => {
    for (const text of [good, '{"static_resources": {"clusters": [{"name": "a"}]}}']) {
      const loaded = await load(text);
      assert.deepEqual(lines(loaded), []);
      assert.ok(loaded.ok);
      assert.equal(loaded.bootstrap.resources.clusters[0]?.name, "a");
    }
  });

  test("names every file it read, for watching, unreadable ones included", async () => {
    const tls = `static_resources:
  secrets:
  - name: s
    tls_certificate: {certificate_chain: {filename: chain.pem}, private_key: {filename: key.pem}}
`;
    const loaded = await load(tls, { "chain.pem": pem.certificate });
    assert.deepEqual(loaded.files, ["c.yaml", "chain.pem", "key.pem"]);
    assert.deepEqual(lines(loaded), [
      "c.yaml:4:79 error static_resources.secrets[0].tls_certificate.private_key.filename: cannot read key.pem: there is no such file",
    ]);
  });

  test("keeps the good resources of a file with bad ones, each issue at its line", async () => {
    const loaded = await load(good.replace("cluster: a", "clutser: a").replace("type: STATIC", "connect_timeout: 5"));
    assert.ok(loaded.ok);
    assert.deepEqual(loaded.bootstrap.resources.listeners, []);
    assert.deepEqual(loaded.rejected, [
      { kind: "listeners", name: "l" },
      { kind: "clusters", name: "a" },
    ]);
    assert.deepEqual(lines(loaded), [
      "c.yaml:8:9 error static_resources.listeners[0].filter_chains[0].filters[0].typed_config: one of cluster, weighted_clusters is required",
      "c.yaml:11:11 error static_resources.listeners[0].filter_chains[0].filters[0].typed_config.clutser: unknown field, did you mean cluster",
      'c.yaml:14:5 error static_resources.clusters[0].connect_timeout: expected a duration such as "1.5s", got 5',
    ]);
  });

  for (const [title, text, expected] of [
    ["is not there", undefined, "c.yaml:1:1 error cannot read the file: there is no such file"],
    ["is empty", "# nothing\n", "c.yaml:1:1 error the file is empty"],
    ["holds two documents", "admin: {}\n---\nadmin: {}\n", "c.yaml:3:1 error a bootstrap is one document, and here begins another"],
    ["has a key twice", "node: {}\nnode: {}\n", "c.yaml:2:1 error Map keys must be unique"],
    ["is a list", "- a\n", "c.yaml:1:1 error expected an object, got a list"],
    ["asks for xDS", "node: {}\ndynamic_resources: {}\n", "c.yaml:2:1 error dynamic_resources: xDS is not supported by this source"],
  ] as const) {
    test(`fails with the place when the file ${title}`, async () => {
      const loaded = await (text === undefined ? loadBootstrap("c.yaml", { readFile: files({}) }) : load(text));
      assert.equal(loaded.ok, false);
      assert.deepEqual(lines(loaded), [expected]);
    });
  }

  test("gives issues about resources their place, the second of a name included", async () => {
    const loaded = await load(`${good}  - name: a\n    connect_timeout: 1s\n`);
    assert.ok(loaded.ok);
    const place = (occurrence: number, path: readonly string[] = []): string =>
      formatIssue(loaded.locateResource({ severity: "error", kind: "clusters", name: "a", occurrence, path, message: "m" }));
    assert.equal(place(0), "c.yaml:13:5 error static_resources.clusters[0]: m");
    assert.equal(place(1, ["connect_timeout"]), "c.yaml:16:5 error static_resources.clusters[1].connect_timeout: m");
  });
});

suite("sample configurations", () => {
  const root = join(import.meta.dirname, "../../../..");
  for (const name of globSync(["config/*.yaml", "config/tls/*.yaml"], { cwd: root })) {
    test(`${name} loads without an issue, given its certificates`, async () => {
      const readFile: FileReader = (path) => (path.endsWith(".pem") ? Buffer.from(pem.certificate + pem.key) : readFileSync(path));
      const loaded = await loadBootstrap(join(root, name), { readFile });
      assert.deepEqual(lines(loaded), []);
      assert.ok(loaded.ok && loaded.bootstrap.resources.listeners.length > 0);
    });
  }
});

suite("readLocalFile", () => {
  test("says in words why a file cannot be read", () => {
    assert.deepEqual(readLocalFile(join(import.meta.dirname, "gone.yaml")), { error: "there is no such file" });
    assert.deepEqual(readLocalFile(import.meta.dirname), { error: "it is a folder" });
  });
  test("reads what is there", () => assert.ok(readLocalFile(import.meta.filename) instanceof Uint8Array));
});
