import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { Command } from "commander";
import { makeCa } from "../../support/certs.ts";
import { type CheckDeps, honouredFilters, registerCheck } from "../../../src/cli/check.ts";

const folder = mkdtempSync(join(tmpdir(), "isthmus-check-"));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  return path;
}
async function check(args: readonly string[], deps: CheckDeps = {}): Promise<{ text: string; code: number | undefined }> {
  let text = "";
  let code: number | undefined;
  const program = new Command().exitOverride();
  registerCheck(program, { ...deps, write: (more) => void (text += more), exit: (given) => void (code = given) });
  await program.parseAsync(["check", ...args], { from: "user" });
  return { text: text.replaceAll(`${folder}/`, ""), code };
}

const good = file("good/a.yaml", "static_resources: {clusters: [{name: a}]}\n");
const dangling = `static_resources:
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: 80}}
    filter_chains:
    - filters:
      - name: tcp
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: t
          cluster: gone
`;

suite("isthmus check", () => {
  test("ends with 0 and a count when nothing is wrong", async () => {
    assert.deepEqual(await check([good]), { text: "0 errors, 0 warnings\n", code: 0 });
  });

  test("prints each issue with its place, and ends with 1 when one is an error", async () => {
    const bad = file("bad.yaml", "static_resources:\n  clusters:\n  - nam: a\n    dns_jitter: 1s\n");
    assert.deepEqual(await check([bad]), {
      text: [
        "bad.yaml:3:5 error static_resources.clusters[0].name: required, but not given",
        "bad.yaml:3:5 error static_resources.clusters[0].nam: unknown field, did you mean name",
        "bad.yaml:4:5 warning static_resources.clusters[0].dns_jitter: is not honoured",
        "2 errors, 1 warning",
        "",
      ].join("\n"),
      code: 1,
    });
  });

  test("ends with 0 for warnings, those about references included", async () => {
    assert.deepEqual(await check([file("dangling.yaml", dangling)]), {
      text: "dangling.yaml:6:7 warning static_resources.listeners[0].filter_chains[0]: the TCP proxy goes to cluster gone, which does not exist (yet)\n0 errors, 1 warning\n",
      code: 0,
    });
  });

  test("tells certificates that cannot serve, where they are given", async () => {
    const ca = makeCa();
    const good = ca.issue();
    const late = ca.issue({ notBeforeMs: -7_200_000, notAfterMs: -3_600_000 });
    for (const [name, text] of Object.entries({
      "good.pem": good.chain,
      "good.key": good.key,
      "late.pem": late.chain,
      "late.key": late.key,
    }))
      file(`tls/${name}`, text);
    const pair = (chain: string, key: string): string =>
      `{certificate_chain: {filename: ${folder}/tls/${chain}}, private_key: {filename: ${folder}/tls/${key}}}`;
    const config = file(
      "tls/a.yaml",
      `static_resources:
  clusters:
  - name: a
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context:
          tls_certificates:
          - ${pair("late.pem", "late.key")}
  secrets:
  - name: mixed
    tls_certificate: ${pair("good.pem", "late.key")}
  - name: fine
    tls_certificate: ${pair("good.pem", "good.key")}
`,
    );
    const { text, code } = await check([config]);
    const [mixed, expired, ...rest] = text.trimEnd().split("\n");
    assert.match(
      mixed ?? "",
      /^tls\/a\.yaml:13:5 error static_resources\.secrets\[0\]\.tls_certificate: the private key does not belong to certificate/,
    );
    assert.match(
      expired ?? "",
      /^tls\/a\.yaml:10:13 error static_resources\.clusters\[0\]\..*tls_certificates\[0\]: certificate of cluster a expired/,
    );
    assert.deepEqual(rest, ["2 errors, 0 warnings"]);
    assert.equal(code, 1);
  });

  test("asks what this build supports", async () => {
    const { text, code } = await check([file("dangling.yaml", dangling)], {
      supported: { ...honouredFilters, supportedNetworkFilters: new Set() },
    });
    assert.match(text, /error .* the network filter envoy\.filters\.network\.tcp_proxy is not supported\n/);
    assert.equal(code, 1);
  });

  test("prints JSON for programs", async () => {
    const { text } = await check(["--json", file("empty.yaml", "")]);
    assert.deepEqual(JSON.parse(text), [
      { file: "empty.yaml", line: 1, column: 1, severity: "error", path: "", message: "the file is empty" },
    ]);
  });

  test("takes several paths and folders of files", async () => {
    file("good/b.json", '{"stats_config": {}}');
    const { text } = await check([join(folder, "good"), join(folder, "nowhere.yaml")]);
    assert.equal(
      text,
      "good/b.json:1:2 warning stats_config: is not honoured\nnowhere.yaml:1:1 error cannot read the file: there is no such file\n1 error, 1 warning\n",
    );
  });

  test("hands mesh directories to their loader", async () => {
    const mesh = join(file("mesh/meshconfig.yaml", "{}"), "..");
    const deps: CheckDeps = {
      checkMesh: async (path) => [
        { severity: "error", path: ["spec"], message: "is bad", file: `${path}/istio/x.yaml`, line: 7, column: 3 },
      ],
    };
    assert.deepEqual(await check([mesh], deps), { text: "mesh/istio/x.yaml:7:3 error spec: is bad\n1 error, 0 warnings\n", code: 1 });
    assert.equal((await check([mesh])).code, 1);
  });
});
