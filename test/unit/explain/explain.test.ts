// Explanations over a mesh with one mistake of each kind: what is said, and how it ends.
import assert from "node:assert/strict";
import { after, suite, test } from "node:test";
import type { Explanation, StepKind, WarningCode } from "../../../src/explain/explanation.ts";
import type { QuestionText } from "../../../src/explain/question.ts";
import { askMesh, sentences, writeExplainedMesh } from "../../support/explained-mesh.ts";

const { folder, remove } = writeExplainedMesh();
after(remove);

interface Case {
  readonly title: string;
  readonly node?: string;
  readonly ask: QuestionText;
  /** `STATUS FLAGS DETAILS`, or `sent`. */
  readonly ends: string;
  /** Sentences that have to be there. */
  readonly says: readonly (string | RegExp)[];
  /** The warnings, no others. */
  readonly warns?: readonly WarningCode[];
}

const cases: readonly Case[] = [
  {
    title: "a subset over two clusters and a network: each endpoint that is there, and each that is not with its reason",
    ask: { target: "http://books/gold", headers: ["Tier: gold"] },
    ends: "sent",
    says: [
      "from VirtualService shop/books, http[0] @istio/mesh.yaml:35",
      "DestinationRule shop/books, subset v1: version=v1 @istio/mesh.yaml:13",
      "10.1.0.20:8080 books-0, east, east-net: no locality, priority 0 (100 % of the load), weight 1",
      /192\.0\.2\.15:15443 gateway of west-net, west: .* @k8s\/west\.yaml:\d+/,
      /not there: 10\.1\.0\.21:8080 in east, books-1: its labels are not those of the subset \(subset_labels\) @istio\/mesh\.yaml:13/,
      "not there: 10.1.0.22:8080 in east, books-2: it is not ready (not_ready)",
      "not there: 10.2.0.21:8080 in west, far-1: it takes no mTLS, and gateways of networks route by the SNI of mTLS (no_mutual_tls)",
      /not there: 10\.1\.0\.23:8080 in east, its Pod shop\/books-3 is not in the directory \(no_pod\)/,
      /not there: 10\.1\.0\.24:8080 in east, it is terminating \(terminating\)/,
      "SNI outbound_.80_.v1_.books.shop.svc.cluster.local",
      "ALPN istio-http/1.1, istio, http/1.1 (from the istio.alpn filter)",
      "the server has to be spiffe://cluster.local/ns/shop/sa/books",
      "auto mTLS: books-0 has a sidecar, PeerAuthentication PERMISSIVE",
      "[gateway-0.istio-system in west] endpoints: 1 endpoint",
    ],
    warns: ["no_gateway"],
  },
  {
    title: "routes before the one that matches are told with what they miss",
    ask: { target: "http://books/api/x" },
    ends: "sent",
    says: [
      'before it: route gold wants path prefix "/gold", header tier exact "gold"',
      'before it: route moved wants path "/old"',
      "timeout 3 s",
    ],
    warns: ["no_gateway"],
  },
  {
    title: "no route of the virtual host matches",
    ask: { target: "http://books/none" },
    ends: "404 NR route_not_found",
    says: ["route: no route of books.shop.svc.cluster.local:80 matches", 'route rest wants path prefix "/api"'],
  },
  {
    title: "a subset without endpoints",
    ask: { target: "http://books/v9" },
    ends: "503 UH no_healthy_upstream",
    says: ["endpoints: no endpoints"],
    warns: ["no_endpoints"],
  },
  {
    title: "a subset that no DestinationRule has",
    ask: { target: "http://books/typo" },
    ends: "503 NC cluster_not_found",
    says: ["books.shop.svc.cluster.local has no subset v7: DestinationRule shop/books has v1, v9 @istio/mesh.yaml:7"],
    warns: ["unknown_name"],
  },
  { title: "a redirect is an answer", ask: { target: "http://books/old" }, ends: "sent", says: ["answered with 301 to http://books/new"] },
  {
    title: "an answer of the route's own that is an error fails",
    ask: { target: "http://books/teapot" },
    ends: "418 - direct_response",
    says: [],
  },
  {
    title: "a Service without endpoints",
    ask: { target: "http://empty/" },
    ends: "503 UH no_healthy_upstream",
    says: ["outbound|80||empty.shop.svc.cluster.local has no endpoints"],
    warns: ["no_endpoints"],
  },
  {
    title: "one share of a split fails",
    ask: { target: "http://split/" },
    ends: "503 UH no_healthy_upstream",
    says: ["cluster: outbound|80||split.shop.svc.cluster.local (75 %)", "25 % of it: answered with 503"],
    warns: ["no_endpoints"],
  },
  {
    title: "plain text to a workload that is STRICT",
    ask: { target: "http://locked/" },
    ends: "503 UC upstream_reset_before_response_started{connection_termination}",
    says: ["DestinationRule shop/locked says tls mode DISABLE @istio/mesh.yaml:19"],
    warns: ["strict_mtls"],
  },
  {
    title: "failover without outlier detection",
    ask: { target: "http://near/" },
    ends: "sent",
    says: [/warning no_outlier_detection: near\.shop\.svc\.cluster\.local is to fail over by locality.* @istio\/mesh\.yaml:\d+/],
    warns: ["no_outlier_detection"],
  },
  {
    title: "a Service that is not exported to the caller is passed through",
    ask: { target: "http://secret.vault/" },
    ends: "sent",
    says: [
      /secret\.vault\.svc\.cluster\.local is exported to \. only, not to namespace shop \(exportTo\) @k8s\/east\.yaml:\d+/,
      "cluster: PassthroughCluster",
    ],
    warns: ["not_visible", "wildcard_only"],
  },
  {
    title: "a Service of another cluster alone, behind its gateway",
    ask: { target: "http://remote/" },
    ends: "sent",
    says: [
      "east has no such Service: the address is west's",
      "gateway: the gateway of west-net in west sees SNI outbound_.80_._.remote.shop.svc.cluster.local",
    ],
    warns: [],
  },
  {
    title: "a Service that the far gateway does not export",
    ask: { target: "http://hidden.private/" },
    ends: "503 URX,UF upstream_reset_before_response_started{remote_connection_failure}",
    says: [
      "[gateway-0.istio-system in west] filter_chain: none: host_not_exported",
      "the gateway in west refuses it (NR host_not_exported)",
    ],
  },
  {
    title: "TCP to its own address",
    ask: { target: "db:5432", tcp: true },
    ends: "sent",
    says: ["listener: 10.100.0.6_5432", "ALPN istio-peer-exchange, istio"],
  },
  {
    title: "endpoints of other Nodes, where the Service keeps its traffic on the caller's",
    ask: { target: "http://onnode/" },
    ends: "503 UH no_healthy_upstream",
    says: ["onnode-0: it is on another Node, and the Service has internalTrafficPolicy Local (node_local)"],
    warns: ["no_endpoints"],
  },
  {
    title: "a handed-out address of a ServiceEntry, and TLS that stays the client's own",
    ask: { target: "https://api.example.org/" },
    ends: "sent",
    says: ["the address was handed out: the entry gives none", /tls: the client's own TLS is passed on, unopened, to 198\.51\.100\.7:443/],
  },
  {
    title: "bytes that are no HTTP at a port of HTTP take the default chain",
    ask: { target: "books:80", tcp: true },
    ends: "sent",
    says: ["the default chain: no other one matches", "chain 0.0.0.0_80 chain 0 wants application_protocols http/1.1, h2c"],
  },
  {
    title: "a port that the Service does not have",
    ask: { target: "10.100.0.1:81", tcp: true },
    ends: " UF,URX -",
    says: [
      "listener: virtualOutbound: none is for 10.100.0.1:81",
      "books.shop.svc.cluster.local has no port 81, it has 80",
      /outboundTrafficPolicy ALLOW_ANY: on to PassthroughCluster @.*meshconfig\.yaml:1/,
    ],
    warns: ["unknown_name", "no_endpoints"],
  },
  {
    title: "a name that nobody has, with the nearest",
    ask: { target: "http://boks/" },
    ends: " - -",
    says: ["the nearest names are books", "boks does not resolve"],
    warns: ["unknown_name"],
  },
  {
    title: "a proxy that answers no DNS leaves names to its cluster",
    node: "plain",
    ask: { target: "http://books/api" },
    ends: "sent",
    says: [
      "dns: books is 10.100.0.1, as the cluster's own DNS says",
      "this proxy answers no DNS: ISTIO_META_DNS_CAPTURE is not true for it",
    ],
  },
  {
    title: "a proxy that answers no DNS has no name for what lives elsewhere",
    node: "plain",
    ask: { target: "http://remote/" },
    ends: " - -",
    says: ["remote does not resolve"],
  },
  {
    title: "a Sidecar that does not import the Service, with REGISTRY_ONLY",
    node: "picky",
    ask: { target: "http://near.shop/" },
    ends: "502 - direct_response",
    says: [
      /Sidecar choosy\/picky does not import shop\/near\.shop\.svc\.cluster\.local @istio\/mesh\.yaml:\d+/,
      /outboundTrafficPolicy of Sidecar choosy\/picky: on to BlackHoleCluster/,
    ],
    warns: ["not_visible", "wildcard_only"],
  },
  {
    title: "TCP to nowhere with REGISTRY_ONLY",
    node: "picky",
    ask: { target: "198.51.100.9:9000", tcp: true },
    ends: " UH -",
    says: ["the outbound traffic policy is REGISTRY_ONLY"],
  },
  {
    title: "a name outside the mesh",
    ask: { target: "http://www.example.com/" },
    ends: "sent",
    says: ["dns: www.example.com is no name of the mesh: forwarded upstream", "cluster: PassthroughCluster"],
    warns: ["unknown_outside", "wildcard_only"],
  },
  {
    title: "a path that cannot be normalised",
    ask: { target: "http://books/a%00b" },
    ends: "400 - path_normalization_failed",
    says: [],
  },
];

suite("explanations of requests", () => {
  for (const { title, node = "client", ask, ends, says, warns } of cases) {
    test(title, async () => {
      const explanation = await askMesh(folder, node, ask);
      const text = sentences(explanation);
      assert.equal(endOf(explanation), ends, text);
      for (const wanted of says)
        assert.ok(typeof wanted === "string" ? text.includes(wanted) : wanted.test(text), `${String(wanted)} is not in\n${text}`);
      if (warns !== undefined)
        assert.deepEqual([...new Set(explanation.warnings.map(({ code }) => code))].toSorted(), warns.toSorted(), text);
    });
  }

  test("steps come in the order in which a request meets them", async () => {
    const { steps } = await askMesh(folder, "client", { target: "http://remote/" });
    const own = steps.filter(({ at }) => at === "").map(({ kind }) => kind);
    const order: readonly StepKind[] = ["dns", "listener", "filter_chain", "route", "cluster", "endpoints", "tls", "gateway"];
    assert.deepEqual(own, order);
  });
});

suite("explanations of ClientHellos", () => {
  const exported = "outbound_.80_._.remote.shop.svc.cluster.local";
  for (const [title, sni, alpn, ends, says] of [
    ["is passed on", exported, "istio", "sent", "10.2.0.90:8080 remote-0"],
    ["without a mesh protocol", exported, "h2", " NR no_mesh_alpn", "wants application_protocols istio"],
    ["without ALPN", exported, "", " NR no_mesh_alpn", "no chain meets application_protocols"],
    ["without a name", "", "istio", " NR no_sni", "no chain meets server_names"],
    ["of a plain name", "books.example.com", "istio", " NR malformed_sni", "server name books.example.com"],
    [
      "of a host that is not exported",
      "outbound_.80_._.hidden.private.svc.cluster.local",
      "istio",
      " NR host_not_exported",
      "AUTO_PASSTHROUGH for *.shop.svc.cluster.local",
    ],
    [
      "of another port",
      "outbound_.81_._.remote.shop.svc.cluster.local",
      "istio",
      " NR unknown_port",
      "the nearest are outbound_.80_._.remote.shop.svc.cluster.local",
    ],
    ["of another subset", "outbound_.80_.v3_.books.shop.svc.cluster.local", "istio", " NR unknown_subset", "no chain meets server_names"],
    [
      "of a service without endpoints here",
      "outbound_.80_._.locked.shop.svc.cluster.local",
      "istio",
      " UH no_mtls_endpoints",
      "its network is none of those this proxy asks to see",
    ],
  ] as const) {
    test(`a hello ${title}`, async () => {
      const explanation = await askMesh(folder, "gateway", { sni, alpn });
      const text = sentences(explanation);
      assert.equal(endOf(explanation), ends, text);
      assert.ok(text.includes(says), `${says} is not in\n${text}`);
    });
  }

  test("a port without a listener", async () => {
    const explanation = await askMesh(folder, "gateway", { sni: exported, alpn: "istio", port: "8443" });
    assert.equal(explanation.verdict.sent, false);
    assert.match(sentences(explanation), /none binds port 8443/);
  });
});

suite("what the mesh itself decides", () => {
  const ask = async (changes: Readonly<Record<string, string>>, question: QuestionText): Promise<string> => {
    const changed = writeExplainedMesh(changes);
    try {
      const explanation = await askMesh(changed.folder, "client", question);
      return `${sentences(explanation)}\n${endOf(explanation)}`;
    } finally {
      changed.remove();
    }
  };

  test("clusterLocal leaves out the endpoints of other clusters", async () => {
    const text = await ask(
      { "meshconfig.yaml": "serviceSettings: [{settings: {clusterLocal: true}, hosts: ['near.shop.svc.cluster.local']}]\n" },
      { target: "http://near/" },
    );
    assert.match(text, /clusterLocal \(serviceSettings of the mesh\): only endpoints in east are used/);
    assert.match(
      text,
      /not there: 10\.2\.0\.40:8080 in west, near-west: it is in another cluster, and the service is clusterLocal \(cluster_local\)/,
    );
  });

  test("discoverySelectors hide a namespace", async () => {
    const text = await ask({ "meshconfig.yaml": "discoverySelectors: [{matchLabels: {seen: 'yes'}}]\n" }, { target: "http://books/api" });
    assert.match(text, /Service shop\/books is not discovered: no discoverySelector of the mesh selects namespace shop @k8s\/east\.yaml:1/);
  });

  test("enableAutoMtls: false calls in plain text", async () => {
    const text = await ask({ "meshconfig.yaml": "enableAutoMtls: false\n" }, { target: "http://near/" });
    assert.match(text, /enableAutoMtls of the mesh is false/);
  });
});

function endOf({ verdict: { sent, status, flags, details } }: Explanation): string {
  return sent ? "sent" : `${status ?? ""} ${flags} ${details}`;
}
