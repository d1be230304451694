import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { suite, test } from "node:test";
import { type LoadedMesh, loadMeshDirectory } from "../../../../../src/source/mesh/directory/load.ts";
import { translate } from "../../../../../src/source/mesh/translate.ts";
import { formatPath } from "../../../../../src/source/yaml-document.ts";
import { loadFiles, meshFolder, sidecar, workload, writeFiles } from "../mesh-folder.ts";

const service = (name: string, port: string): string =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec:\n  clusterIP: 10.0.1.1\n  ports:\n  - name: http\n    port: ${port}\n`;

const serviceNames = (loaded: LoadedMesh): readonly string[] =>
  loaded.mesh.clusters.flatMap((each) => each.services.map(({ meta }) => meta.name));

const issuesOf = (loaded: LoadedMesh, dir: string): readonly string[] =>
  loaded.issues.map(
    (each) => `${each.severity} ${relative(dir, each.file)}:${each.line}:${each.column} ${formatPath(each.path)}: ${each.message}`,
  );

suite("mesh directory", () => {
  const files: readonly (readonly [string, Readonly<Record<string, string>>, readonly RegExp[], readonly string[]])[] = [
    [
      "a bad object alone, with its place",
      { "k8s/c1.yaml": `${service("a", "80")}---\n${service("b", "http")}---\n${service("c", "81")}` },
      [/^error k8s\/c1\.yaml:17:5 spec\.ports\[0\]\.port: is string "http", expected a whole number/],
      ["a", "c"],
    ],
    [
      "a document that is no YAML alone",
      { "k8s/c1.yaml": `${service("a", "80")}---\nkind: [\n---\n${service("c", "81")}` },
      [/^error k8s\/c1\.yaml:1\d:\d+ : /],
      ["a", "c"],
    ],
    [
      "a second object of one name",
      { "k8s/c1.yaml": `${service("a", "80")}---\n${service("a", "81")}` },
      [/metadata\.name: repeats Service default\/a of .*c1\.yaml:1$/],
      ["a"],
    ],
    [
      "a document that is no object",
      { "k8s/c1.yaml": "just: text\n" },
      [/^error k8s\/c1\.yaml:1:1 : is no object, expected apiVersion and kind/],
      [],
    ],
    [
      "a policy that cannot be enforced",
      { "istio/p.yaml": "apiVersion: security.istio.io/v1\nkind: ServiceRole\nmetadata: {name: p}\n" },
      [/^error istio\/p\.yaml:1:1 : ServiceRole is not supported, and leaving it out could change/],
      [],
    ],
    ...["security.istio.io/v1alpha1\nkind: RequestAuthentication", "security.istio.io/v1alpha1\nkind: PeerAuthentication"].map(
      (kind): (typeof files)[number] => [
        `${kind.slice(kind.indexOf(":") + 2)} of ${kind.slice(0, kind.indexOf("\n"))}`,
        { "istio/p.yaml": `apiVersion: ${kind}\nmetadata: {name: p}\n` },
        [/^error istio\/p\.yaml:1:1 : \w+ is not supported, and leaving it out could change/],
        [],
      ],
    ),
    [
      "a policy in the wrong place, which is not left out in silence",
      { "k8s/c1.yaml": "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p}\n" },
      [/^error k8s\/c1\.yaml:1:1 : PeerAuthentication is not read here, expected it under istio\//],
      [],
    ],
    [
      "an unknown field of an Istio resource",
      { "istio/g.yaml": "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\nspec: {host: a, colour: red}\n" },
      [/^error istio\/g\.yaml:4:\d+ spec\.colour: is an unknown field/],
      [],
    ],
    [
      "a client certificate without its key in a DestinationRule",
      {
        "istio/d.yaml":
          "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\nspec: {host: a, trafficPolicy: {tls: {mode: MUTUAL, clientCertificate: /x}}}\n",
      },
      [/spec\.trafficPolicy\.tls\.privateKey: is missing/],
      [],
    ],
    [
      "several hosts that nothing tells apart",
      {
        "istio/s.yaml":
          "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: s}\nspec: {hosts: [a.x, b.x], resolution: STATIC, ports: [{number: 1, name: t, protocol: TCP}]}\n",
      },
      [/spec\.hosts: has several hosts/],
      [],
    ],
    [
      "a wrong meshconfig",
      { "meshconfig.yaml": "trustDomain: 5\n" },
      [/^error meshconfig\.yaml:1:1 trustDomain: is number 5, expected a string/],
      [],
    ],
    [
      "a JSON access log format that is none",
      { "meshconfig.yaml": "accessLogEncoding: JSON\naccessLogFormat: '%START_TIME%'\n" },
      [/accessLogFormat: is no JSON object/],
      [],
    ],
    [
      "a network gateway without an address",
      { "networks.yaml": "networks:\n  n:\n    gateways: [{port: 1}]\n" },
      [/networks\.n\.gateways\[0\]\.address: expected either address or registryServiceName/],
      [],
    ],
    [
      "a node without a valid id",
      { "nodes.yaml": "nodes: [{name: a, id: b}]\n", "k8s/c1.yaml": "" },
      [/nodes\[0\]\.id: "b" is no node id/],
      [],
    ],
  ];
  for (const [title, content, expected, names] of files) {
    test(`refuses ${title}`, async (t) => {
      const dir = await meshFolder(t, content);
      const loaded = await loadMeshDirectory(dir);
      const errors = issuesOf(loaded, dir).filter((line) => line.startsWith("error"));
      assert.equal(errors.length, expected.length, errors.join("\n"));
      expected.forEach((pattern, index) => assert.match(errors[index] ?? "", pattern));
      assert.deepEqual(serviceNames(loaded), names);
    });
  }

  const warnings: readonly (readonly [string, Readonly<Record<string, string>>, RegExp])[] = [
    [
      "a kind that is not read",
      { "k8s/c1.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n" },
      /Deployment of apps\/v1 has no effect: this kind is not read/,
    ],
    ["an object in the wrong folder", { "istio/a.yaml": service("a", "80") }, /Service of v1 has no effect here, expected it under k8s\//],
    [
      "a delegate that is not there",
      {
        "istio/v.yaml":
          "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec: {hosts: [a], http: [{delegate: {name: gone}}]}\n",
      },
      /spec\.http\[0\]\.delegate: names VirtualService default\/gone, which is not there/,
    ],
    [
      "a gateway server that gives way to another",
      {
        "istio/g.yaml":
          "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec: {servers: [{port: {number: 80, name: h, protocol: HTTP}, hosts: [a.com]}, {port: {number: 80, name: t, protocol: TCP}, hosts: [a.com]}]}\n",
      },
      /g\.yaml:4:81 spec\.servers\[1\]: is left out: port 80 already serves HTTP of Gateway default\/g/,
    ],
    [
      "an endpoint whose pod is missing",
      {
        "k8s/c1.yaml": `${service("a", "80")}---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a, labels: {kubernetes.io/service-name: a}}\nendpoints: [{addresses: [1.1.1.1], targetRef: {kind: Pod, name: gone}}]\n`,
      },
      /endpoints\[0\]\.targetRef: names Pod default\/gone, which is not there/,
    ],
    ["a network of an unknown cluster", { "networks.yaml": "networks: {n: {endpoints: [{fromRegistry: moon}]}}\n" }, /names cluster moon/],
    [
      "an ExternalName service that leads nowhere",
      {
        "k8s/c1.yaml":
          "apiVersion: v1\nkind: Service\nmetadata: {name: e}\nspec: {type: ExternalName, externalName: x.default.svc.cluster.local}\n",
      },
      /names a service that is not there/,
    ],
  ];
  for (const [title, content, expected] of warnings) {
    test(`lists ${title} and goes on`, async (t) => {
      const dir = await meshFolder(t, content);
      const lines = issuesOf(await loadMeshDirectory(dir), dir);
      assert.equal(lines.length, 1, lines.join("\n"));
      assert.match(lines[0] ?? "", expected);
      assert.match(lines[0] ?? "", /^warning /);
    });
  }

  test("says so when there is no such directory", async () => {
    const loaded = await loadMeshDirectory("/nowhere/at/all");
    assert.match(loaded.issues[0]?.message ?? "", /cannot be read as a directory/);
  });

  test("reads a cluster from a folder of files, and items of a List", async (t) => {
    const list = `apiVersion: v1\nkind: List\nitems:\n- ${service("b", "81").replaceAll("\n", "\n  ").trim()}\n`;
    const loaded = await loadFiles(t, { "k8s/c1/a.yaml": service("a", "80"), "k8s/c1/b.yml": list, "k8s/c1/notes.txt": "no" });
    assert.deepEqual(loaded.issues, []);
    assert.deepEqual([loaded.mesh.clusters.map((cluster) => cluster.name), serviceNames(loaded)], [["c1"], ["a", "b"]]);
  });

  test("keeps the last good version of what is refused, and drops what was deleted", async (t) => {
    const dir = await meshFolder(t, {
      "k8s/c1.yaml": `${service("a", "80")}---\n${service("b", "81")}`,
      "meshconfig.yaml": "trustDomain: one\n",
    });
    const first = await loadMeshDirectory(dir);
    await writeFiles(dir, { "k8s/c1.yaml": `${service("a", "no")}---\n${service("c", "82")}`, "meshconfig.yaml": "trustDomain: [\n" });
    const second = await loadMeshDirectory(dir, { previous: first });
    assert.deepEqual(serviceNames(second), ["a", "c"]);
    assert.equal(second.mesh.clusters[0]?.services[0]?.spec.ports[0]?.port, 80);
    assert.equal(second.mesh.config.trustDomain, "one");
    await writeFiles(dir, { "k8s/c1.yaml": "a: [\n" });
    assert.deepEqual(serviceNames(await loadMeshDirectory(dir, { previous: second })), ["a", "c"]);
    await rm(join(dir, "k8s/c1.yaml"));
    assert.deepEqual(serviceNames(await loadMeshDirectory(dir, { previous: second })), []);
  });

  test("keeps what a file said that has just been emptied, until it is full again or stays empty", async (t) => {
    const dir = await meshFolder(t, {
      "meshconfig.yaml": "trustDomain: east\n",
      "k8s/c1.yaml": service("a", "80"),
      "k8s/c2.yaml": service("b", "80"),
    });
    const first = await loadMeshDirectory(dir);
    await writeFiles(dir, { "meshconfig.yaml": "", "k8s/c1.yaml": "", "k8s/c2.yaml": service("c", "80") });
    const second = await loadMeshDirectory(dir, { previous: first });
    assert.deepEqual(serviceNames(second), ["a", "c"]);
    assert.deepEqual([second.mesh.config.trustDomain, second.issues, second.unfinished], ["east", [], true]);
    await writeFiles(dir, { "meshconfig.yaml": "trustDomain: west\n", "k8s/c1.yaml": service("d", "80") });
    const third = await loadMeshDirectory(dir, { previous: second });
    assert.deepEqual([serviceNames(third), third.mesh.config.trustDomain, third.unfinished], [["d", "c"], "west", false]);
    await writeFiles(dir, { "k8s/c1.yaml": "" });
    assert.deepEqual(serviceNames(await loadMeshDirectory(dir, { previous: third })), ["d", "c"]);
    // A broken file is repaired in place: for a moment it is empty.
    await writeFiles(dir, { "k8s/c1.yaml": "kind: [" });
    const broken = await loadMeshDirectory(dir, { previous: third });
    assert.deepEqual([serviceNames(broken), broken.issues.length], [["d", "c"], 1]);
    await writeFiles(dir, { "k8s/c1.yaml": "" });
    const repairing = await loadMeshDirectory(dir, { previous: broken });
    assert.deepEqual([serviceNames(repairing), repairing.unfinished], [["d", "c"], true]);
  });

  test("keeps the objects of documents that did not change, and knows where they stand now", async (t) => {
    const dir = await meshFolder(t, {
      "k8s/c1.yaml": `${service("a", "80")}---\n${service("b", "81")}`,
      "k8s/c2.yaml": service("a", "80"),
    });
    const first = await loadMeshDirectory(dir);
    await writeFiles(dir, { "k8s/c1.yaml": `${service("new", "no")}---\n${service("a", "80")}---\n${service("b", "82")}` });
    const second = await loadMeshDirectory(dir, { previous: first });
    const objectsOf = ({ mesh }: LoadedMesh): readonly unknown[] => mesh.clusters.flatMap((cluster) => cluster.services);
    const [a, b, other] = objectsOf(first);
    const [sameA, newB, sameOther] = objectsOf(second);
    assert.deepEqual([a === sameA, b === newB, other === sameOther], [true, false, true]);
    assert.deepEqual(
      second.mesh.clusters[0]?.services.map(({ meta }) => meta.source.line),
      [10, 19],
    );
    assert.match(issuesOf(second, dir).join(), /^error k8s\/c1\.yaml:8:5 /);
  });

  test("takes Endpoints where there are no slices", async (t) => {
    const endpoints =
      "---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: a}\nsubsets: [{addresses: [{ip: 1.1.1.1}], notReadyAddresses: [{ip: 2.2.2.2}], ports: [{name: http, port: 8080}]}]\n";
    const loaded = await loadFiles(t, { "k8s/c1.yaml": service("a", "80") + endpoints });
    assert.deepEqual(loaded.issues, []);
    const text = JSON.stringify(translate(loaded.mesh, sidecar("x", "10.9.9.9")).eds);
    assert.match(text, /"address":"1\.1\.1\.1","port_value":8080/);
    assert.doesNotMatch(text, /2\.2\.2\.2/);
  });

  test("survives any damage to its files", async (t) => {
    const good = workload({ name: "a", vip: "10.0.1.1", podIp: "10.0.0.1" });
    const dir = await meshFolder(t, {});
    let seed = 7;
    const random = (bound: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % bound;
    };
    const alphabet = "{}[]:,-&*!|>'\"%@ \n\t0a\u0000\u00e9";
    for (let round = 0; round < 150; round += 1) {
      let text = good;
      for (let edit = 0; edit < 1 + random(4); edit += 1) {
        const at = random(text.length);
        text = text.slice(0, at) + (alphabet[random(alphabet.length)] ?? "") + text.slice(at + random(3));
      }
      await writeFiles(dir, { "k8s/c1.yaml": text });
      const loaded = await loadMeshDirectory(dir);
      translate(loaded.mesh, sidecar("a", "10.0.0.1"));
      for (const issue of loaded.issues) assert.ok(issue.line >= 1 && issue.column >= 1);
    }
  });
});
