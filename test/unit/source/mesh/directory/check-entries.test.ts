import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { formatPath } from "../../../../../src/source/yaml-document.ts";
import { loadFiles, workload } from "../mesh-folder.ts";

const entry = (name: string, spec: string, namespace = "default"): string =>
  `---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: {${spec}}\n`;
const tcp = "ports: [{number: 9000, name: tcp, protocol: TCP}]";
const tls = "ports: [{number: 9000, name: tls, protocol: TLS}]";
const http = "ports: [{number: 9000, name: http, protocol: HTTP}]";
const fixed = "resolution: STATIC, endpoints: [{address: 192.0.2.9}]";
const at = (address: string): string => `addresses: [${address}]`;

suite("service entries that are without effect", () => {
  const cases: readonly (readonly [string, readonly string[], readonly (readonly [string, RegExp])[]])[] = [
    ["entries that do not meet are fine", [entry("a", `hosts: [a.b], ${tcp}, ${fixed}`), entry("c", `hosts: [c.d], ${tcp}, ${fixed}`)], []],
    [
      "DYNAMIC_DNS",
      [entry("a", `hosts: ["*.b"], ${http}, resolution: DYNAMIC_DNS`)],
      [["spec.resolution", /not supported.*every call fails/]],
    ],
    ["STATIC without endpoints", [entry("a", `hosts: [a.b], ${http}, resolution: STATIC`)], [["spec.resolution", /every call fails/]]],
    [
      "STATIC that selects workloads is fine",
      [entry("a", `hosts: [a.b], ${http}, resolution: STATIC, workloadSelector: {labels: {a: b}}`)],
      [],
    ],
    [
      "a wildcard by DNS without endpoints",
      [entry("a", `hosts: ["*.b"], ${http}, resolution: DNS`)],
      [["spec.hosts[0]", /cannot be looked up/]],
    ],
    [
      "the name of a Kubernetes Service",
      [entry("a", `hosts: [web.default.svc.cluster.local], ${http}, ${fixed}`)],
      [["spec.hosts[0]", /name of a Kubernetes Service/]],
    ],
    [
      "a host that another entry has with another resolution",
      [entry("a", `hosts: [a.b], ${http}, ${fixed}`), entry("c", `hosts: [a.b], ${http}, resolution: DNS`)],
      [["spec.hosts[0]", /a has it with resolution STATIC, this one with DNS/]],
    ],
    [
      "a host of several entries that agree is fine",
      [entry("a", `hosts: [a.b], ${tcp}, ${fixed}`), entry("c", `hosts: [a.b], ${tcp}, ${fixed}`)],
      [],
    ],
    [
      "a host that another namespace has for all",
      [entry("a", `hosts: [a.b], ${http}, ${fixed}`), entry("c", `hosts: [a.b], ${http}, ${fixed}`, "other")],
      [["spec.hosts[0]", /seen in namespace other only: default\/a is older/]],
    ],
    [
      "a host that another namespace keeps to itself is fine",
      [entry("a", `hosts: [a.b], ${http}, ${fixed}, exportTo: [.]`), entry("c", `hosts: [a.b], ${http}, ${fixed}`, "other")],
      [],
    ],
    [
      "one address and port for two hosts",
      [entry("a", `hosts: [a.b], ${at("192.0.2.1")}, ${tcp}, ${fixed}`), entry("c", `hosts: [c.d], ${at("192.0.2.1")}, ${tls}, ${fixed}`)],
      [["spec.ports[0]", /c\.d: ServiceEntry default\/a already has 192\.0\.2\.1 port 9000/]],
    ],
    [
      "one range and port for two hosts",
      [
        entry("a", `hosts: [a.b], ${at("192.0.2.0/24")}, ${tcp}, ${fixed}`),
        entry("c", `hosts: [c.d], ${at("192.0.2.0/24")}, ${tcp}, ${fixed}`),
      ],
      [["spec.ports[0]", /already has 192\.0\.2\.0\/24 port 9000/]],
    ],
    [
      "one address for HTTP of two hosts is fine",
      [
        entry("a", `hosts: [a.b], ${at("192.0.2.1")}, ${http}, ${fixed}`),
        entry("c", `hosts: [c.d], ${at("192.0.2.1")}, ${http}, ${fixed}`),
      ],
      [],
    ],
    [
      "the address of a Service",
      [entry("a", `hosts: [a.b], ${at("10.96.0.5")}, ports: [{number: 8000, name: tcp, protocol: TCP}], ${fixed}`)],
      [["spec.ports[0]", /Service default\/web already has 10\.96\.0\.5 port 8000/]],
    ],
    [
      "an address that status gives twice",
      ["a.b", "c.d"].map(
        (host) => `${entry(host, `hosts: [${host}], ${tcp}, ${fixed}`)}status: {addresses: [{host: ${host}, value: 240.240.1.1}]}\n`,
      ),
      [["spec.ports[0]", /ServiceEntry default\/a\.b already has 240\.240\.1\.1 port 9000/]],
    ],
    [
      "two that take every connection of a port",
      [entry("a", `hosts: [a.b], ${tcp}, resolution: NONE`), entry("c", `hosts: [c.d], ${tcp}, resolution: NONE`)],
      [["spec.ports[0]", /already has every address, port 9000/]],
    ],
    ["TLS without resolution is told apart by name", [entry("a", `hosts: [a.b], ${tls}`), entry("c", `hosts: [c.d], ${tls}`)], []],
  ];
  for (const [title, entries, expected] of cases) {
    test(title, async (t) => {
      const { issues } = await loadFiles(t, {
        "k8s/c1.yaml": workload({ name: "web", vip: "10.96.0.5", podIp: "10.0.0.5" }),
        "istio/entries.yaml": entries.join(""),
      });
      assert.deepEqual(
        issues.map((issue) => [issue.severity, formatPath(issue.path)]),
        expected.map(([path]) => ["warning", path]),
      );
      expected.forEach(([, message], index) => assert.match(issues[index]?.message ?? "", message));
    });
  }
});

suite("service entries that are refused", () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ["DYNAMIC_DNS of an exact name", `hosts: [a.b], ${http}, resolution: DYNAMIC_DNS`, /spec\.hosts: .*wildcards/],
    ["DYNAMIC_DNS inside the mesh", `hosts: ["*.b"], location: MESH_INTERNAL, ${http}, resolution: DYNAMIC_DNS`, /spec\.location: /],
    ["DYNAMIC_DNS with addresses", `hosts: ["*.b"], ${at("192.0.2.1")}, ${http}, resolution: DYNAMIC_DNS`, /spec\.addresses: /],
    ["DYNAMIC_DNS with endpoints", `hosts: ["*.b"], endpoints: [{address: c.d}], ${http}, resolution: DYNAMIC_DNS`, /spec\.endpoints: /],
    ["DYNAMIC_DNS of bare TCP", `hosts: ["*.b"], ${tcp}, resolution: DYNAMIC_DNS`, /spec\.ports: has tcp .*expected HTTP or TLS/],
    ["an address that is none", `hosts: [a.b], ${at("somewhere")}, ${http}, ${fixed}`, /spec\.addresses: .*"somewhere"/],
    ["a range that is none", `hosts: [a.b], ${at("192.0.2.0/33")}, ${http}, ${fixed}`, /spec\.addresses: .*192\.0\.2\.0\/33/],
    ["a range of a name", `hosts: [a.b], ${at("192.0.2.0/24")}, ${http}, resolution: DNS`, /spec\.addresses: .*single addresses/],
    ["endpoints without resolution", `hosts: [a.b], ${http}, endpoints: [{address: 192.0.2.1}]`, /spec\.endpoints: .*resolution NONE/],
    [
      "two endpoints in turn",
      `hosts: [a.b], ${http}, resolution: DNS_ROUND_ROBIN, endpoints: [{address: a.b}, {address: c.d}]`,
      /spec\.endpoints: has 2/,
    ],
    ["names that nobody resolves", `hosts: [a.b], ${http}, resolution: STATIC, endpoints: [{address: a.b}]`, /spec\.endpoints: .*"a\.b"/],
    ["hosts that cannot be told apart", `hosts: [a.b, c.d], ${tcp}, ${fixed}`, /spec\.hosts: .*several hosts/],
  ];
  for (const [title, spec, expected] of cases) {
    test(title, async (t) => {
      const { issues, mesh } = await loadFiles(t, { "istio/entries.yaml": entry("a", spec) });
      assert.equal(issues.length, 1);
      assert.equal(issues[0]?.severity, "error");
      assert.match(`${formatPath(issues[0].path)}: ${issues[0].message}`, expected);
      assert.deepEqual(mesh.serviceEntries, []);
    });
  }
});
