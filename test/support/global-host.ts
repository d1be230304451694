// Replicated control planes: two meshes that know nothing of each other but `httpbin.bar.global`, a ServiceEntry in each. In
// cluster1 its endpoint is the gateway of cluster2, in cluster2 the workload; one root signs an intermediate for each cluster.
import http from "node:http";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Proxy } from "../../src/proxy.ts";
import { type Ending, issueMeshCertificates, startMeshProxy, writeMesh } from "./mesh-proxy.ts";

/** Addresses, all of this machine. */
export interface GlobalHostOptions {
  /** The address that sleep knows httpbin.bar.global by. */
  readonly address: string;
  /** Three octets of the loopback network that everything else is on. */
  readonly network: string;
  /** `subjectAltNames` of the entry in cluster1. */
  readonly subjectAltNames?: readonly string[];
}

/** The running pair of meshes. */
export interface GlobalHost {
  readonly sleep: Proxy;
  readonly gateway: Proxy;
  readonly httpbin: Proxy;
  /** Requests that reached the application. */
  served(): number;
  /** Asks sleep's DNS for the name. */
  resolve(): Promise<readonly string[]>;
  /** A request as sleep's application sends it, to what the name resolves to. */
  request(method: string, path: string): Promise<Answer>;
}

/** What came back. */
export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** The service account of httpbin, as its certificate says it. */
export const httpbinIdentity = "spiffe://cluster.local/ns/bar/sa/httpbin";
const host = "httpbin.bar.global";
const servicePort = 8000;

/** Starts the application, both sidecars and the gateway. */
export async function startGlobalHost(t: Ending, options: GlobalHostOptions): Promise<GlobalHost> {
  const app = await startApp(t);
  const one = await writeMesh(t, nearMesh(options));
  const two = await writeMesh(t, farMesh(options, app.port));
  const certs = await issueMeshCertificates(t, {
    sleep: { cluster: "cluster1", namespace: "foo", serviceAccount: "sleep" },
    gateway: { cluster: "cluster2", namespace: "istio-system", serviceAccount: "gateway" },
    httpbin: { cluster: "cluster2", namespace: "bar", serviceAccount: "httpbin" },
  });
  const httpbin = await startMeshProxy(t, { mesh: two, node: "httpbin", certs: certs.httpbin });
  const gateway = await startMeshProxy(t, { mesh: two, node: "gateway", certs: certs.gateway });
  const sleep = await startMeshProxy(t, { mesh: one, node: "sleep", certs: certs.sleep });
  const resolver = new Resolver({ timeout: 2000, tries: 2 });
  resolver.setServers([`${sleep.dns?.address ?? ""}:${sleep.dns?.port ?? 0}`]);
  const resolve = (): Promise<readonly string[]> => resolver.resolve4(host);
  return {
    sleep,
    gateway,
    httpbin,
    served: app.served,
    resolve,
    request: async (method, path) => {
      const [address = ""] = await resolve();
      return request(address, method, path);
    },
  };
}

// It says what it was told: the headers it got.
async function startApp(t: Ending): Promise<{ readonly port: number; served(): number }> {
  let served = 0;
  const server = http.createServer((request, response) => {
    served++;
    response.writeHead(200, { "content-type": "application/json", server: "the app" });
    response.end(JSON.stringify(request.headers));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, served: () => served };
}

function request(address: string, method: string, path: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: address, port: servicePort, method, path, headers: { host: `${host}:${servicePort}` }, timeout: 10_000 };
    const sent = http.request(options, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      response.once("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    sent.once("timeout", () => sent.destroy(new Error("no answer within 10 s")));
    sent.once("error", reject);
    sent.end();
  });
}

const node = (kind: string, name: string, namespace: string, cluster: string, address: string, labels: string): string =>
  `- name: ${name}
  id: ${kind}~${address}~${name}.${namespace}~${namespace}.svc.cluster.local
  metadata: {CLUSTER_ID: ${cluster}, NAMESPACE: ${namespace}, INSTANCE_IPS: ${address}, INTERCEPTION_MODE: NONE, DNS_CAPTURE: "true", LABELS: {${labels}}}
`;

const pod = (name: string, namespace: string, address: string, labels = ""): string => `---
apiVersion: v1
kind: Pod
metadata:
  name: ${name}
  namespace: ${namespace}
  labels: {app: ${name}, security.istio.io/tlsMode: istio}
  annotations: {${labels}}
spec: {serviceAccountName: ${name}}
status: {phase: Running, podIP: ${address}}
`;

function nearMesh({ address, network, subjectAltNames = [] }: GlobalHostOptions): Readonly<Record<string, string>> {
  return {
    "meshconfig.yaml": "trustDomain: cluster.local\n",
    "nodes.yaml": `nodes:\n${node("sidecar", "sleep", "foo", "cluster1", `${network}.10`, "app: sleep")}`,
    "k8s/cluster1.yaml": pod("sleep", "foo", `${network}.10`),
    "istio/global.yaml": `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: httpbin-bar, namespace: foo}
spec:
  hosts: [${host}]
  location: MESH_INTERNAL
  ports: [{name: http1, number: ${servicePort}, protocol: http}]
  resolution: DNS
  addresses: [${address}]
  subjectAltNames: [${subjectAltNames.join(", ")}]
  endpoints:
  - {address: ${network}.2, network: external, ports: {http1: 15443}, labels: {cluster: cluster2}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: httpbin-global, namespace: foo}
spec: {host: ${host}, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}
`,
  };
}

function farMesh({ network }: GlobalHostOptions, appPort: number): Readonly<Record<string, string>> {
  const takesNoOutbound = 'traffic.sidecar.istio.io/includeOutboundIPRanges: ""';
  return {
    "meshconfig.yaml": "trustDomain: cluster.local\n",
    "nodes.yaml": `nodes:
${node("sidecar", "httpbin", "bar", "cluster2", `${network}.20`, "app: httpbin")}${node("router", "gateway", "istio-system", "cluster2", `${network}.2`, "istio: gateway")}`,
    "k8s/cluster2.yaml": pod("httpbin", "bar", `${network}.20`, takesNoOutbound),
    "istio/global.yaml": `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway, namespace: istio-system}
spec:
  selector: {istio: gateway}
  servers:
  - port: {number: 15443, name: tls, protocol: TLS}
    tls: {mode: AUTO_PASSTHROUGH}
    hosts: ["*.global"]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: httpbin-bar, namespace: bar}
spec:
  hosts: [${host}]
  location: MESH_INTERNAL
  ports: [{name: http1, number: ${servicePort}, targetPort: ${appPort}, protocol: HTTP}]
  resolution: STATIC
  workloadSelector: {labels: {app: httpbin}}
`,
  };
}
