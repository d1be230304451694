import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { formatPath } from "../../../../../src/source/yaml-document.ts";
import { loadFiles, workload } from "../mesh-folder.ts";

const virtualService = (spec: string, namespace = "default"): string =>
  `---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: web, namespace: ${namespace}}\nspec: {${spec}}\n`;
const rule = (name: string, host: string, subsets: string, namespace = "default"): string =>
  `---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: {host: ${host}, subsets: [${subsets}]}\n`;
const entry = (host: string): string =>
  `---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: entry, namespace: far}\nspec: {hosts: ['${host}'], ports: [{number: 80, name: http, protocol: HTTP}], resolution: NONE}\n`;
const http = (destination: string): string => `hosts: [web], http: [{route: [{destination: {${destination}}}]}]`;

interface Case {
  readonly title: string;
  readonly istio: readonly string[];
  readonly warns: readonly (readonly [path: string, message: RegExp])[];
}

const cases: readonly Case[] = [
  { title: "a service of the namespace", istio: [virtualService(http("host: web"))], warns: [] },
  { title: "its full name", istio: [virtualService(http("host: web.default.svc.cluster.local"), "other")], warns: [] },
  {
    title: "a short name in another namespace",
    istio: [virtualService(http("host: web"), "other")],
    warns: [["spec.http[0].route[0].destination.host", /^leads to web\.other\.svc\.cluster\.local, which is the host of no service: /]],
  },
  {
    title: "a host of nobody, whose subset is not looked at",
    istio: [virtualService(http("host: wbe, subset: v1"))],
    warns: [["spec.http[0].route[0].destination.host", /wbe\.default\.svc\.cluster\.local/]],
  },
  { title: "the host of an entry", istio: [entry("api.example.com"), virtualService(http("host: api.example.com"))], warns: [] },
  {
    title: "a host that an entry's wildcard covers",
    istio: [entry("*.example.com"), virtualService(http("host: api.example.com"))],
    warns: [],
  },
  {
    title: "one that it does not",
    istio: [entry("*.example.com"), virtualService(http("host: api.example.org"))],
    warns: [["spec.http[0].route[0].destination.host", /api\.example\.org/]],
  },
  { title: "a subset", istio: [rule("web", "web", "{name: v1}"), virtualService(http("host: web, subset: v1"))], warns: [] },
  {
    title: "a subset of a rule elsewhere, for a wildcard",
    istio: [rule("all", "'*.default.svc.cluster.local'", "{name: v1}", "istio-system"), virtualService(http("host: web, subset: v1"))],
    warns: [],
  },
  {
    title: "a subset without any rule",
    istio: [virtualService(http("host: web, subset: v1"))],
    warns: [
      [
        "spec.http[0].route[0].destination.subset",
        /^leads to subset v1 of web\.default\.svc\.cluster\.local, which no DestinationRule defines: /,
      ],
    ],
  },
  {
    title: "a subset that the rules do not have",
    istio: [
      rule("web", "web", "{name: v1}, {name: v2}"),
      rule("x", "web.default.svc.cluster.local", "", "far"),
      virtualService(http("host: web, subset: v3")),
    ],
    warns: [
      ["spec.http[0].route[0].destination.subset", /defines \(DestinationRule default\/web has v1, v2; DestinationRule far\/x has none\)/],
    ],
  },
  {
    title: "every kind of route, and mirrors",
    istio: [
      virtualService(
        "hosts: [web], http: [{route: [{destination: {host: web}}], mirror: {host: a}}, {redirect: {uri: /x}}], tls: [{match: [{sniHosts: [web]}], route: [{destination: {host: b}}]}], tcp: [{route: [{destination: {host: web}, weight: 1}, {destination: {host: c}, weight: 1}]}]",
      ),
    ],
    warns: [
      ["spec.http[0].mirror.host", /^mirrors to a\.default/],
      ["spec.tls[0].route[0].destination.host", /^leads to b\.default/],
      ["spec.tcp[0].route[1].destination.host", /^leads to c\.default/],
    ],
  },
];

suite("destinations that are not there", () => {
  for (const { title, istio, warns } of cases) {
    test(title, async (t) => {
      const { issues } = await loadFiles(t, {
        "k8s/one.yaml": workload({ name: "web", vip: "10.0.0.1", podIp: "10.1.0.1" }),
        "istio/a.yaml": istio.join(""),
      });
      const told = issues.filter(({ message }) => /^(?:leads|mirrors) to /.test(message));
      assert.deepEqual(
        told.map(({ path }) => formatPath(path)),
        warns.map(([path]) => path),
        JSON.stringify(issues),
      );
      for (const [index, [, message]] of warns.entries()) {
        const issue = told[index]!;
        assert.match(issue.message, message);
        assert.equal(issue.severity, "warning");
        assert.match(issue.file, /istio\/a\.yaml$/);
        assert.ok(issue.line > 0 && issue.column > 0);
      }
    });
  }

  test("the place is that of the destination", async (t) => {
    const { issues } = await loadFiles(t, {
      "k8s/one.yaml": workload({ name: "web", vip: "10.0.0.1", podIp: "10.1.0.1" }),
      "istio/a.yaml": virtualService("hosts: [web]").replace(
        "spec: {hosts: [web]}",
        "spec:\n  hosts: [web]\n  http:\n  - route:\n    - destination:\n        host: wbe",
      ),
    });
    const issue = issues.find(({ message }) => message.startsWith("leads to"));
    assert.deepEqual([issue?.line, issue?.column], [10, 9], JSON.stringify(issue));
  });
});
