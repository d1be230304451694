import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { parse } from "yaml";
import { workloadOrigin } from "../../../src/cli/workload-flags.ts";
import { injectManifests, type Injection } from "../../../src/inject/inject.ts";
import type { InjectOptions } from "../../../src/inject/options.ts";
import { schemaProblems } from "../../support/kubernetes-schema.ts";

const options: InjectOptions = {
  image: "isthmus:1",
  imagePullPolicy: undefined,
  cluster: "c1",
  network: undefined,
  namespace: "shop",
  meshConfigMap: "isthmus-mesh",
  clusters: ["c1"],
  certsSecret: undefined,
  caAddress: undefined,
  dnsCapture: true,
};

const inject = (text: string, more: Partial<InjectOptions> = {}): Injection => injectManifests(text, "app.yaml", { ...options, ...more });

interface PodJson {
  readonly metadata: { readonly labels: Record<string, string>; readonly annotations: Record<string, string> };
  readonly spec: {
    readonly initContainers: readonly Container[];
    readonly containers: readonly Record<string, unknown>[];
    readonly volumes: unknown;
  };
}

interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly securityContext: Record<string, unknown>;
}

/** A pod with these annotations, and with these lines in its only container. */
const pod = (annotations: Record<string, string>, container = "", spec = ""): string => `apiVersion: v1
kind: Pod
metadata:
  name: app
  annotations: ${JSON.stringify(annotations)}
spec:
  containers:
  - name: app
    image: app:1
${container}${spec}`;

function injected(text: string, more?: Partial<InjectOptions>): PodJson {
  const { text: out, outcomes } = inject(text, more);
  assert.ok(out !== undefined, JSON.stringify(outcomes));
  return parse(out) as PodJson;
}

const proxyOf = (json: PodJson): Container => json.spec.initContainers.find(({ name }) => name === "istio-proxy")!;
const variable = (json: PodJson, name: string): string | undefined => proxyOf(json).env?.find((entry) => entry.name === name)?.value;

suite("pods that ask istiod for their certificate", () => {
  const caAddress = "istiod.istio-system.svc:15012";

  test("mount a token and istiod's roots where `run` looks for them, and no Secret", async () => {
    const { text } = inject(pod({}), { caAddress });
    const json = injected(pod({}), { caAddress });
    const args = proxyOf(json).args;
    assert.ok(args.includes(`--ca-address=${caAddress}`) && !args.includes("--certs"), args.join(" "));
    const { volumeMounts } = proxyOf(json) as unknown as {
      readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
    };
    assert.deepEqual(
      volumeMounts.map(({ name, mountPath }) => [name, mountPath]),
      [
        ["isthmus-mesh", "/etc/isthmus/mesh"],
        ["istio-token", "/var/run/secrets/tokens"],
        ["istiod-ca-cert", "/var/run/secrets/istio"],
      ],
    );
    const volumes = json.spec.volumes as readonly { readonly name: string }[];
    assert.deepEqual(volumes.slice(1), [
      {
        name: "istio-token",
        projected: { sources: [{ serviceAccountToken: { audience: "istio-ca", expirationSeconds: 43_200, path: "istio-token" } }] },
      },
      { name: "istiod-ca-cert", configMap: { name: "istio-ca-root-cert" } },
    ]);
    const origin = workloadOrigin({ caAddress: { address: "istiod", port: 15012 } }, {}, true, () => false);
    assert.deepEqual("origin" in origin && origin.origin?.kind === "istiod" && [origin.origin.tokenFile, origin.origin.rootFile], [
      "/var/run/secrets/tokens/istio-token",
      "/var/run/secrets/istio/root-cert.pem",
    ]);
    assert.deepEqual(await schemaProblems(json), []);
    assert.deepEqual(injected(text!, { caAddress }), json, "injected again it stays as it is");
  });
});

suite("pods that are refused", () => {
  for (const [title, text, pattern] of [
    ["hostNetwork", pod({}, "", "  hostNetwork: true\n"), /^Pod shop\/app: hostNetwork is true: .*take it away/],
    ["the proxy's user", pod({}, "    securityContext: {runAsUser: 1337}\n"), /container app has runAsUser 1337/],
    ["the proxy's group for the pod", pod({}, "", "  securityContext: {runAsGroup: 1337}\n"), /the pod has runAsGroup 1337/],
    [
      "another mesh's sidecar",
      pod({}, "  - name: istio-proxy\n    image: proxyv2\n    args: [proxy, sidecar]\n"),
      /istio-proxy is already there/,
    ],
    [
      "a probe of no port",
      pod({}, "    livenessProbe: {httpGet: {port: web}}\n"),
      /app.livenessProbe: port "web" is none of the container's ports/,
    ],
    ["broken YAML", `${pod({})}\n---\na: [\n`, /^app\.yaml:1[0-9]:\d+: /],
    [
      "an alias in the way",
      `x: &spec {containers: [{name: a, image: a}]}\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: *spec\n`,
      /^Pod shop\/a: spec is an alias \(\*spec\): write it out/,
    ],
  ] as const) {
    test(`${title}: one sentence, and nothing comes out`, () => {
      const { text: out, outcomes } = inject(text);
      assert.equal(out, undefined);
      assert.equal(outcomes.filter(({ outcome }) => outcome === "refused").length, 1);
      assert.match(outcomes.at(-1)!.text, pattern);
    });
  }
});

suite("pods that are left alone", () => {
  for (const [annotation, label, outcome] of [
    ["false", undefined, "left"],
    ["true", "false", "left"],
    ["false", "true", "injected"],
    ["maybe", undefined, "left"],
    ["", undefined, "injected"],
    ["Yes", undefined, "injected"],
  ] as const) {
    test(`annotation ${JSON.stringify(annotation)} and label ${String(label)}: ${outcome}`, () => {
      const labels = label === undefined ? "" : `  labels: {sidecar.istio.io/inject: "${label}"}\n`;
      const text = pod({ "sidecar.istio.io/inject": annotation }).replace("metadata:\n", `metadata:\n${labels}`);
      const result = inject(text);
      assert.deepEqual(
        result.outcomes.map(({ outcome: found }) => found),
        [outcome],
      );
      assert.equal(result.text === text, outcome === "left");
    });
  }

  test("objects without pods, comments and empty documents come out byte for byte", () => {
    const text =
      "# nothing\n---\n\n--- # a\napiVersion:   v1\nkind: ConfigMap\ndata: {a:   b}\n...\n---\nkind: Deployment\napiVersion: example.com/v1\n";
    assert.deepEqual(inject(text), { text, outcomes: [] });
  });
});

suite("what a pod's annotations decide", () => {
  test("interception, as flags of the init container", () => {
    const json = injected(
      pod({ "traffic.sidecar.istio.io/excludeOutboundIPRanges": "10.9.0.0/16", "traffic.sidecar.istio.io/includeInboundPorts": "80" }),
    );
    const [init] = json.spec.initContainers;
    assert.equal(init!.name, "istio-init");
    assert.ok(init!.args.includes("--istio-service-exclude-cidr=10.9.0.0/16") && init!.args.includes("--istio-inbound-ports=80"));
  });

  test("without interception there is no init container, nor any capability", () => {
    const json = injected(pod({ "sidecar.istio.io/interceptionMode": "NONE" }));
    assert.deepEqual(
      json.spec.initContainers.map(({ name, securityContext }) => [name, securityContext["capabilities"]]),
      [["istio-proxy", { drop: ["ALL"] }]],
    );
  });

  test("an earlier injection's init container goes when interception does", () => {
    const first = inject(pod({})).text!;
    const json = injected(first.replace("annotations: {", 'annotations: {"sidecar.istio.io/interceptionMode": "NONE", '));
    assert.deepEqual(
      json.spec.initContainers.map(({ name }) => name),
      ["istio-proxy"],
    );
  });

  test("an annotation of interception that means nothing is warned of", () => {
    const { outcomes } = inject(pod({ "traffic.sidecar.istio.io/excludeOutboundPort": "1" }));
    assert.match(outcomes[0]!.text, /injected; traffic\.sidecar\.istio\.io\/excludeOutboundPort: is no annotation/);
  });

  test("metrics: the scraper goes to the sidecar, unless it should not", () => {
    const own = { "prometheus.io/port": "9090", "prometheus.io/path": "/m", "prometheus.io/scrape": "true" };
    const merged = injected(pod(own));
    assert.equal(variable(merged, "ISTIO_PROMETHEUS_ANNOTATIONS"), '{"scrape":"true","path":"/m","port":"9090"}');
    assert.equal(merged.metadata.annotations["prometheus.io/port"], "15020");
    for (const no of [
      { ...own, "prometheus.io/scrape": "false" },
      { ...own, "prometheus.istio.io/merge-metrics": "false" },
    ]) {
      const json = injected(pod(no));
      assert.equal(variable(json, "ISTIO_PROMETHEUS_ANNOTATIONS"), undefined);
      assert.equal(json.metadata.annotations["prometheus.io/port"], "9090");
    }
  });
});

suite("probes", () => {
  const probes = `    ports: [{name: web, containerPort: 8080}]
    livenessProbe: {httpGet: {path: /live, port: web, scheme: HTTPS, httpHeaders: [{name: a, value: b}]}, timeoutSeconds: 3}
    readinessProbe: {exec: {command: ["true"]}}
    startupProbe: {httpGet: {path: /start, port: 80, host: other.example}}
`;

  test("of the application over the network go to the sidecar, which is told what they were", () => {
    const json = injected(pod({}, probes));
    const [app] = json.spec.containers;
    assert.deepEqual(app!["livenessProbe"], {
      httpGet: { path: "/app-health/app/livez", port: 15020, httpHeaders: [{ name: "a", value: "b" }] },
      timeoutSeconds: 3,
    });
    assert.deepEqual(app!["readinessProbe"], { exec: { command: ["true"] } });
    assert.deepEqual(app!["startupProbe"], { httpGet: { path: "/start", port: 80, host: "other.example" } });
    assert.deepEqual(JSON.parse(variable(json, "ISTIO_KUBE_APP_PROBERS")!), {
      "/app-health/app/livez": { httpGet: { path: "/live", port: 8080, scheme: "HTTPS" }, timeoutSeconds: 3 },
    });
  });

  test("come back when they shall not be rewritten any more", () => {
    const first = inject(pod({}, probes)).text!;
    const json = injected(first.replace("annotations: {", 'annotations: {"sidecar.istio.io/rewriteAppHTTPProbers": "false", '));
    assert.deepEqual(json.spec.containers[0]!["livenessProbe"], {
      httpGet: { path: "/live", port: 8080, scheme: "HTTPS", httpHeaders: [{ name: "a", value: "b" }] },
      timeoutSeconds: 3,
    });
    assert.equal(variable(json, "ISTIO_KUBE_APP_PROBERS"), undefined);
  });
});

suite("the form of what comes out", () => {
  test("JSON stays JSON", () => {
    const text = JSON.stringify({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "a" },
      spec: { containers: [{ name: "a", image: "a" }] },
    });
    assert.equal((JSON.parse(inject(text).text!) as PodJson).spec.initContainers.length, 2);
  });

  test("another image, injected again, replaces the first", () => {
    const json = injected(inject(pod({})).text!, { image: "isthmus:2" });
    assert.deepEqual(
      json.spec.initContainers.map((container) => (container as unknown as { image: string }).image),
      ["isthmus:2", "isthmus:2"],
    );
  });
});

suite("injected twice", () => {
  const head = "apiVersion: v1\nkind: Pod\n";
  const cases: readonly (readonly [string, string])[] = [
    [
      "flow style with spaces",
      `${head}metadata: { name: app, annotations: { a: b } }\nspec:\n  containers:\n  - { name: app, image: app }\n`,
    ],
    ["flow style without", `${head}metadata: {name: app, annotations: {a: b}}\nspec:\n  containers:\n  - {name: app, image: app}\n`],
    [
      "both of them",
      `${head}metadata: { name: app, annotations: {a: b} }\nspec:\n  containers:\n  - { name: app, image: app, args: [a, b] }\n`,
    ],
    [
      "brackets in texts",
      `${head}metadata:\n  name: app\n  annotations: { note: 'it says {x} and [y]' }\nspec:\n  containers:\n  - name: app\n    image: app\n    args: [ sh, "{z}" ]\n`,
    ],
    [
      "an empty mapping and a comment",
      `${head}metadata:\n  name: app # ours\n  annotations: {}\n  labels: { app: x }\nspec:\n    containers:\n        - name: app\n          image: app\n`,
    ],
    [
      "several lines",
      `${head}metadata:\n  name: app\n  annotations: { a: b,\n     c: d }\nspec:\n  containers:\n  - name: app\n    image: app\n`,
    ],
    ["JSON", '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"app"},"spec":{"containers":[{"name":"app","image":"a"}]}}\n'],
  ];
  for (const [title, text] of cases) {
    test(`${title}: not a byte changes`, () => {
      const once = inject(text).text!;
      assert.notEqual(once, text);
      const twice = inject(once);
      assert.equal(twice.text, once);
      assert.deepEqual(
        twice.outcomes.map(({ outcome }) => outcome),
        ["injected"],
      );
      assert.equal(
        inject(once, { image: "isthmus:2" }).text,
        once.replaceAll("isthmus:1", "isthmus:2"),
        "another image changes nothing else",
      );
    });
  }

  test("what somebody wrote otherwise since stays as it is", () => {
    const once = inject(pod({})).text!.replace("kind: Pod", "kind:   Pod   # a pod");
    assert.equal(inject(once).text, once);
  });
});

suite("the schemas that tests judge by", () => {
  const base = { apiVersion: "v1", kind: "Pod", metadata: { name: "a" } };
  for (const [title, spec, problems] of [
    ["an unknown field", { containers: [{ name: "a", imag: "b" }] }, ["v1/Pod/spec/containers/0/imag: unknown field"]],
    ["a wrong type", { containers: [{ name: "a", tty: "yes" }] }, ['v1/Pod/spec/containers/0/tty: type {"type":"boolean"}']],
    ["a missing field", {}, ['v1/Pod/spec: required {"missingProperty":"containers"}']],
    ["nothing", { containers: [{ name: "a", restartPolicy: "Always" }] }, []],
  ] as const) {
    test(`find ${title}`, async () => assert.deepEqual(await schemaProblems({ ...base, spec }), problems));
  }
});
