// What a Sidecar may say, and how a mistake in one is reported.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { readSidecar, type SidecarSpec } from "../../../../../src/source/mesh/istio/sidecar.ts";
import { Fields, IssueSink } from "../../../../../src/source/mesh/object/fields.ts";
import { seededRandom } from "../../../../support/cluster-models.ts";

function read(spec: unknown): { readonly sidecar: SidecarSpec; readonly problems: readonly string[] } {
  const sink = new IssueSink();
  const sidecar = readSidecar(new Fields({ spec }, [], sink));
  return { sidecar, problems: sink.issues.map(({ severity, path, message }) => `${severity} ${path.slice(1).join(".")}: ${message}`) };
}

const http = { number: 80, name: "http", protocol: "HTTP" };

suite("Sidecar", () => {
  test("is read with Istio's defaults", () => {
    const { sidecar, problems } = read({
      egress: [{ port: http, hosts: ["./a.b"] }, { hosts: ["ns/*.B.com", "*/*", "~/*"] }],
      ingress: [{ port: http, defaultEndpoint: "[::1]:81" }],
      outboundTrafficPolicy: {},
    });
    assert.deepEqual(problems, []);
    assert.deepEqual(sidecar.egress[1]?.hosts[0], { namespace: "ns", host: "*.b.com" });
    assert.deepEqual(sidecar.ingress[0]?.defaultEndpoint, { host: "::1", port: 81 });
    assert.equal(sidecar.egress[0]?.captureMode, "DEFAULT");
    assert.equal(sidecar.outboundPolicy?.mode, "REGISTRY_ONLY");
    assert.equal(sidecar.selector, undefined);
  });

  const all = { hosts: ["*/*"] };
  const mistakes: readonly (readonly [string, unknown, RegExp])[] = [
    ["a host without namespace", { egress: [{ hosts: ["a.b"] }] }, /error egress\.0\.hosts: has "a\.b" at 0, expected NAMESPACE\/HOST/],
    ["a host with two slashes", { egress: [{ hosts: ["a/b/c"] }] }, /error egress\.0\.hosts/],
    ["a single host left out", { egress: [{ hosts: ["~ns/a"] }] }, /error egress\.0\.hosts: .*~\/\*/],
    ["no hosts", { egress: [{}] }, /error egress\.0\.hosts: is empty/],
    ["a catch-all that is not the last", { egress: [all, { port: http, ...all }] }, /error egress: has a listener without port/],
    [
      "a port twice",
      {
        egress: [
          { port: http, ...all },
          { port: http, ...all },
        ],
      },
      /error egress: has two listeners for port 80/,
    ],
    ["an ingress port twice", { ingress: [{ port: http }, { port: http }] }, /error ingress: has two listeners/],
    ["a Unix domain socket to bind", { egress: [{ bind: "unix:///a", ...all }] }, /error egress\.0\.bind: is a Unix domain socket/],
    ["a name to bind", { egress: [{ bind: "localhost", ...all }] }, /error egress\.0\.bind: is "localhost", expected an IP address/],
    [
      "an HTTP proxy",
      { egress: [{ port: { ...http, protocol: "HTTP_PROXY" }, ...all }] },
      /error egress\.0\.port\.protocol: is HTTP_PROXY/,
    ],
    ["an unknown protocol", { egress: [{ port: { ...http, protocol: "any" }, ...all }] }, /error egress\.0\.port\.protocol: is "any"/],
    ["an ingress listener without port", { ingress: [{}] }, /error ingress\.0\.port: is missing/],
    [
      "a Unix domain socket behind",
      { ingress: [{ port: http, defaultEndpoint: "unix:///a" }] },
      /error .*defaultEndpoint: is a Unix domain/,
    ],
    [
      "an application elsewhere",
      { ingress: [{ port: http, defaultEndpoint: "10.0.0.1:80" }] },
      /error .*defaultEndpoint: is "10\.0\.0\.1:80"/,
    ],
    ["an endpoint without port", { ingress: [{ port: http, defaultEndpoint: "127.0.0.1" }] }, /error .*defaultEndpoint/],
    ["TLS of its own", { ingress: [{ port: http, tls: { mode: "SIMPLE" } }] }, /error ingress\.0\.tls: is not supported/],
    ["an unknown capture mode", { egress: [{ captureMode: "MAYBE", ...all }] }, /error egress\.0\.captureMode/],
    ["a pool without limits", { inboundConnectionPool: {} }, /error inboundConnectionPool: is empty/],
    ["a misspelt field", { egres: [] }, /error egres: is an unknown field/],
  ];
  for (const [title, spec, expected] of mistakes) {
    test(`${title} is named with its path`, () => {
      assert.match(read(spec).problems.join("\n"), expected);
    });
  }

  test("any YAML in place of one ends in issues, never in an exception", () => {
    const random = seededRandom(20_260);
    const words = [
      "egress",
      "ingress",
      "hosts",
      "port",
      "bind",
      "defaultEndpoint",
      "captureMode",
      "workloadSelector",
      "outboundTrafficPolicy",
    ];
    const value = (depth: number): unknown => {
      const kind = Math.floor(random() * (depth > 4 ? 4 : 6));
      if (kind === 0) return null;
      if (kind === 1) return random() * 100_000;
      if (kind === 2) return ["~/*", "a/b", "/", "127.0.0.1:80", "[", ":::", "unix://"][Math.floor(random() * 7)];
      if (kind === 3) return random() < 0.5;
      const items = Array.from({ length: Math.floor(random() * 4) }, () => value(depth + 1));
      return kind === 4 ? items : Object.fromEntries(items.map((item) => [words[Math.floor(random() * words.length)], item]));
    };
    for (let round = 0; round < 2000; round += 1) read(value(0));
  });
});
