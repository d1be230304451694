// A mesh of two clusters on two networks with one mistake of each kind, written to a folder, and questions to its proxies.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Node } from "../../src/envoy/bootstrap.ts";
import { explain } from "../../src/explain/explain.ts";
import type { Explanation } from "../../src/explain/explanation.ts";
import { explainMesh } from "../../src/explain/mesh/load.ts";
import { parseQuestion, type QuestionText } from "../../src/explain/question.ts";
import { loadMeshDirectory } from "../../src/source/mesh/directory/load.ts";

const nodes = `
nodes:
- {name: client, id: sidecar~10.1.0.9~client.shop~shop.svc.cluster.local, locality: r1/z1, metadata: {CLUSTER_ID: east, NETWORK: east-net, NAMESPACE: shop, NODE_NAME: n1, DNS_CAPTURE: 'true', DNS_AUTO_ALLOCATE: 'true', LABELS: {app: client}}}
- {name: plain, id: sidecar~10.1.0.9~client.shop~shop.svc.cluster.local, metadata: {CLUSTER_ID: east, NETWORK: east-net, NAMESPACE: shop, LABELS: {app: client}}}
- {name: picky, id: sidecar~10.1.0.8~picky.choosy~choosy.svc.cluster.local, metadata: {CLUSTER_ID: east, NETWORK: east-net, NAMESPACE: choosy, DNS_CAPTURE: 'true', LABELS: {app: picky}}}
- {name: gateway, id: router~10.2.0.5~gateway-0.istio-system~istio-system.svc.cluster.local, metadata: {CLUSTER_ID: west, NETWORK: west-net, NAMESPACE: istio-system, REQUESTED_NETWORK_VIEW: west-net, LABELS: {istio: eastwest}}}
`;

/** One service with its pods in one cluster. Pods: `NAME IP [unready] [bare] [label=value]`. */
function service(
  name: string,
  ip: string,
  pods: readonly string[],
  extra: { namespace?: string; annotations?: string; port?: number; portName?: string } = {},
): string {
  const { namespace = "shop", annotations = "", port = 80, portName = "http" } = extra;
  const parsed = pods.map((pod) => {
    const [podName = "", address = "", ...flags] = pod.split(" ");
    return { podName, address, flags };
  });
  const labels = (flags: readonly string[]): string =>
    [
      `app: ${name}`,
      ...(flags.includes("bare") ? [] : ["security.istio.io/tlsMode: istio"]),
      ...flags.filter((flag) => flag.includes("=")).map((flag) => flag.replace("=", ": ")),
    ].join(", ");
  return [
    `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: ${namespace}${annotations}}\nspec: {clusterIP: ${ip}, selector: {app: ${name}}, ports: [{name: ${portName}, port: ${port}, targetPort: 8080}]}`,
    ...parsed
      .filter(({ flags }) => !flags.includes("podless"))
      .map(
        ({ podName, address, flags }) =>
          `apiVersion: v1\nkind: Pod\nmetadata: {name: ${podName}, namespace: ${namespace}, labels: {${labels(flags)}}}\nspec: {serviceAccountName: ${name}}\nstatus: {podIP: '${address}'}`,
      ),
    `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: ${name}-1, namespace: ${namespace}, labels: {kubernetes.io/service-name: ${name}}}\naddressType: IPv4\nports: [{name: ${portName}, port: 8080}]\nendpoints:${parsed.length === 0 ? " []" : ""}`,
    parsed
      .map(({ podName, address, flags }) => {
        const ready = !flags.includes("unready") && !flags.includes("terminating");
        return `- {addresses: ['${address}'], conditions: {ready: ${ready}, terminating: ${flags.includes("terminating")}}, targetRef: {kind: Pod, name: ${podName}, namespace: ${namespace}}}`;
      })
      .join("\n"),
  ]
    .join("\n---\n")
    .replace("endpoints:\n---\n", "endpoints:\n");
}

const east = [
  service("books", "10.100.0.1", [
    "books-0 10.1.0.20 version=v1",
    "books-1 10.1.0.21 version=v2",
    "books-2 10.1.0.22 unready",
    "books-3 10.1.0.23 podless",
    "books-4 10.1.0.24 terminating",
  ]),
  service("empty", "10.100.0.2", []),
  service("locked", "10.100.0.3", ["locked-0 10.1.0.30"]),
  service("near", "10.100.0.4", ["near-0 10.1.0.40"]),
  service("secret", "10.100.0.5", ["secret-0 10.1.0.50"], {
    namespace: "vault",
    annotations: ", annotations: {networking.istio.io/exportTo: '.'}",
  }),
  service("db", "10.100.0.6", ["db-0 10.1.0.60"], { portName: "tcp", port: 5432 }),
  service("split", "10.100.0.7", ["split-0 10.1.0.70 version=v1"]),
  service("onnode", "10.100.0.8", ["onnode-0 10.1.0.80"]).replace("spec: {clusterIP", "spec: {internalTrafficPolicy: Local, clusterIP"),
].join("\n---\n");

const west = [
  service("books", "10.200.0.1", ["far-0 10.2.0.20 version=v1", "far-1 10.2.0.21 bare version=v1"]),
  service("remote", "10.200.0.9", ["remote-0 10.2.0.90"]),
  service("hidden", "10.200.0.10", ["hidden-0 10.2.0.100"], { namespace: "private" }),
  service("near", "10.200.0.4", ["near-west 10.2.0.40"]),
  `apiVersion: v1\nkind: Service\nmetadata: {name: gateway, namespace: istio-system, labels: {topology.istio.io/network: west-net}}\nspec: {type: LoadBalancer, clusterIP: 10.200.0.15, selector: {istio: eastwest}, ports: [{name: tls, port: 15443, targetPort: 15443}]}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.15}]}}`,
  `apiVersion: v1\nkind: Pod\nmetadata: {name: gateway-0, namespace: istio-system, labels: {istio: eastwest}}\nspec: {}\nstatus: {podIP: 10.2.0.5}`,
].join("\n---\n");

const lost = [service("books", "10.250.0.1", ["lost-0 10.3.0.20 version=v1"])].join("\n---\n");

const istio = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: cross, namespace: istio-system}
spec: {selector: {istio: eastwest}, servers: [{port: {number: 15443, name: tls, protocol: TLS}, tls: {mode: AUTO_PASSTHROUGH}, hosts: ['*.shop.svc.cluster.local']}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: books, namespace: shop}
spec:
  host: books
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v9, labels: {version: v9}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: locked, namespace: shop}
spec: {host: locked, trafficPolicy: {tls: {mode: DISABLE}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: near, namespace: shop}
spec:
  host: near
  trafficPolicy:
    loadBalancer: {localityLbSetting: {enabled: true, failover: [{from: r1, to: r2}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: books, namespace: shop}
spec:
  hosts: [books]
  http:
  - name: gold
    match: [{uri: {prefix: /gold}, headers: {tier: {exact: gold}}}]
    route: [{destination: {host: books, subset: v1}}]
  - name: nobody
    match: [{uri: {prefix: /v9}}]
    route: [{destination: {host: books, subset: v9}}]
  - name: typo
    match: [{uri: {prefix: /typo}}]
    route: [{destination: {host: books, subset: v7}}]
  - name: moved
    match: [{uri: {exact: /old}}]
    redirect: {uri: /new}
  - name: teapot
    match: [{uri: {exact: /teapot}}]
    directResponse: {status: 418}
  - name: rest
    match: [{uri: {prefix: /api}}]
    timeout: 3s
    route: [{destination: {host: books}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: split, namespace: shop}
spec:
  hosts: [split]
  http:
  - route:
    - {destination: {host: split}, weight: 75}
    - {destination: {host: empty}, weight: 25}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: picky, namespace: choosy}
spec:
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
  egress:
  - hosts: ['shop/books.shop.svc.cluster.local']
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: shop}
spec: {hosts: [api.example.org], location: MESH_EXTERNAL, resolution: STATIC, ports: [{number: 443, name: tls, protocol: TLS}], endpoints: [{address: 198.51.100.7}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: locked, namespace: shop}
spec: {selector: {matchLabels: {app: locked}}, mtls: {mode: STRICT}}
`;

const files: Readonly<Record<string, string>> = {
  "meshconfig.yaml": "defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}}\n",
  "networks.yaml":
    "networks:\n  east-net: {endpoints: [{fromRegistry: east}], gateways: []}\n  west-net: {endpoints: [{fromRegistry: west}], gateways: [{registryServiceName: gateway.istio-system.svc.cluster.local, port: 15443}]}\n  lost-net: {endpoints: [{fromRegistry: lost}], gateways: []}\n",
  "nodes.yaml": nodes,
  "k8s/east.yaml": east,
  "k8s/west.yaml": west,
  "k8s/lost.yaml": lost,
  "istio/mesh.yaml": istio,
};

/** Writes the mesh; `changes` replaces whole files. Gives the folder and how to remove it. */
export function writeExplainedMesh(changes: Readonly<Record<string, string>> = {}): {
  readonly folder: string;
  readonly remove: () => void;
} {
  const folder = mkdtempSync(join(tmpdir(), "isthmus-explain-"));
  for (const [name, text] of Object.entries({ ...files, ...changes })) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Asks a node of a mesh directory, named as in its nodes.yaml. */
export async function askMesh(
  folder: string,
  nodeName: string,
  text: QuestionText,
  change: (node: Node) => Node = (node) => node,
): Promise<Explanation> {
  const loaded = await loadMeshDirectory(folder, { variables: {} });
  const node = loaded.nodes.get(nodeName);
  if (node === undefined) throw new Error(`${folder} has no node ${nodeName}: ${JSON.stringify(loaded.issues)}`);
  const question = parseQuestion(text);
  if ("problem" in question) throw new Error(question.problem);
  return explain((await explainMesh(loaded, change(node))).config, question);
}

/** Every sentence of an explanation, to search in. */
export function sentences({ steps, warnings, verdict }: Explanation): string {
  const of = ({ text, place }: { readonly text: string; readonly place?: { readonly file: string; readonly line: number } }): string =>
    place === undefined ? text : `${text} @${place.file.replace(/^.*\/(?=[^/]*\/[^/]*$)/, "")}:${place.line}`;
  return [
    ...steps.flatMap((step) => [
      `${step.at === "" ? "" : `[${step.at}] `}${step.kind}: ${step.answer}`,
      ...step.reasons.map((reason) => `  ${of(reason)}`),
    ]),
    ...warnings.map((warning) => `warning ${warning.code}: ${of(warning)}`),
    `${verdict.status ?? ""} ${verdict.flags} ${verdict.details} ${verdict.text}`,
  ].join("\n");
}
