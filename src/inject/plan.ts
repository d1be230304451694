// What injecting one pod changes, decided from plain JSON: nothing, nothing because of an obstacle, or a list of edits.
import { flagsFromAnnotations } from "../intercept/annotations.ts";
import { initName, type InjectOptions, proxyName, proxyUid, statusPort } from "./options.ts";
import { isObject, type JsonObject, type PodPlace } from "./pods.ts";
import { applicationContainers, type Edit, rewriteProbes } from "./probes.ts";
import { initContainer, proxyContainer, type SidecarInput, volumes } from "./sidecar.ts";

/** The outcome for one pod. Paths of edits start at the mapping with the pod's `metadata` and `spec`; undefined takes away. */
export type Plan =
  | { readonly kind: "inject"; readonly edits: readonly Edit[]; readonly warnings: readonly string[] }
  | { readonly kind: "leave"; readonly reason: string }
  | { readonly kind: "refuse"; readonly problems: readonly string[] };

type Texts = Readonly<Record<string, string>>;

const injectKey = "sidecar.istio.io/inject";
const own = [initName, proxyName];

/** Decides. Doing what it says and asking again gives the same pod. */
export function planInjection(place: PodPlace, options: InjectOptions): Plan {
  const { pod } = place;
  const metadata = isObject(pod["metadata"]) ? pod["metadata"] : {};
  const spec = isObject(pod["spec"]) ? pod["spec"] : {};
  const labels = texts(metadata["labels"]);
  const annotations = texts(metadata["annotations"]);
  // The label counts above the annotation, and whatever is not one of Istio's words for yes is no.
  const asked = labels[injectKey] ?? annotations[injectKey];
  if (asked !== undefined && asked !== "" && !/^(?:y|yes|true|on)$/i.test(asked))
    return { kind: "leave", reason: `${injectKey} is "${asked}"` };
  const problems = obstacles(spec);
  const before = earlier(spec);
  const rewrite = annotations["sidecar.istio.io/rewriteAppHTTPProbers"] !== "false";
  const probes = rewriteProbes(spec, own, before.probers, rewrite);
  problems.push(...probes.problems);
  const flags = flagsFromAnnotations(annotations);
  if (!flags.ok) problems.push(...flags.issues.map(({ path, message }) => `${path.join(".")}: ${message}`));
  if (problems.length > 0 || !flags.ok) return { kind: "refuse", problems };
  const metrics = mergeMetrics(annotations, before.prometheus);
  const input: SidecarInput = {
    annotations,
    interception: flags.value,
    workload: { ...place, namespace: place.namespace ?? options.namespace },
    serviceAccount: textOf(spec["serviceAccountName"]) ?? textOf(spec["serviceAccount"]) ?? "default",
    probers: Object.keys(probes.originals).length > 0 ? JSON.stringify(probes.originals) : undefined,
    prometheus: metrics.environment,
  };
  const edits: Edit[] = [
    ...Object.entries(ownLabels(labels, place.name)).map(([name, value]) => ({ path: ["metadata", "labels", name], value })),
    ...Object.entries({ ...metrics.annotations, ...status(input, options) }).map(([name, value]) => ({
      path: ["metadata", "annotations", name],
      value,
    })),
    ...probes.edits.map(({ path, value }) => ({ path: ["spec", ...path], value })),
    ...containerEdits(spec, input, options),
    ...listEdits(spec, "volumes", volumes(input, options), "end"),
  ];
  return { kind: "inject", edits, warnings: flags.issues.map(({ path, message }) => `${path.join(".")}: ${message}`) };
}

function obstacles(spec: JsonObject): string[] {
  const problems: string[] = [];
  if (spec["hostNetwork"] === true)
    problems.push(
      'hostNetwork is true: packet rules would change the node\'s own traffic; take it away, or set the label sidecar.istio.io/inject: "false"',
    );
  const containers = [...list(spec["initContainers"]), ...list(spec["containers"])];
  for (const container of containers)
    if (own.includes(String(container["name"])) && !isOurs(container))
      problems.push(`container ${String(container["name"])} is already there and not of isthmus: this pod has another mesh's sidecar`);
  // Its traffic would count as the proxy's own, and pass the mesh by unseen.
  for (const [place, holder] of [
    ["the pod", spec] as const,
    ...applicationContainers(spec, own).map(([, c]) => [`container ${String(c["name"])}`, c] as const),
  ]) {
    const security = isObject(holder["securityContext"]) ? holder["securityContext"] : {};
    for (const field of ["runAsUser", "runAsGroup"])
      if (security[field] === proxyUid)
        problems.push(`${place} has ${field} ${proxyUid}, which is the proxy's own: its traffic would not be intercepted`);
  }
  return problems;
}

/** Ours start with one of our commands; Istio's own with `proxy` and `istio-iptables`. */
const isOurs = ({ args }: JsonObject): boolean => Array.isArray(args) && (args[0] === "run" || args[0] === "intercept");

interface Earlier {
  readonly probers: Readonly<Record<string, JsonObject>>;
  readonly prometheus: string | undefined;
}

// What an injection before this one put away.
function earlier(spec: JsonObject): Earlier {
  const proxy = list(spec["initContainers"]).find(({ name }) => name === proxyName);
  const value = (name: string): string | undefined => textOf(list(proxy?.["env"]).find((entry) => entry["name"] === name)?.["value"]);
  const probers = parse(value("ISTIO_KUBE_APP_PROBERS") ?? "{}");
  return {
    probers: Object.fromEntries(Object.entries(probers).filter((entry): entry is [string, JsonObject] => isObject(entry[1]))),
    prometheus: value("ISTIO_PROMETHEUS_ANNOTATIONS"),
  };
}

// The scraper is sent to the sidecar, which asks the application where its annotations said.
function mergeMetrics(
  annotations: Texts,
  before: string | undefined,
): { readonly environment: string | undefined; readonly annotations: Texts } {
  const names = ["scrape", "path", "port"];
  const given = Object.fromEntries(
    names.flatMap((name) => {
      const value = annotations[`prometheus.io/${name}`];
      return value === undefined ? [] : [[name, value]];
    }),
  ) as Texts;
  const unwanted = annotations["prometheus.istio.io/merge-metrics"] === "false" || given["scrape"] === "false";
  if (unwanted) return { environment: undefined, annotations: {} };
  const injected = given["port"] === String(statusPort) && given["path"] === "/stats/prometheus";
  const environment = injected ? before : Object.keys(given).length > 0 ? JSON.stringify(given) : undefined;
  return {
    environment,
    annotations: { "prometheus.io/scrape": "true", "prometheus.io/port": String(statusPort), "prometheus.io/path": "/stats/prometheus" },
  };
}

// tlsMode is how other sidecars know that this pod speaks mTLS; the canonical names are those of its metrics.
function ownLabels(labels: Texts, workload: string): Texts {
  const name = labels["app.kubernetes.io/name"] ?? labels["app"] ?? workload;
  const revision = labels["app.kubernetes.io/version"] ?? labels["version"] ?? "latest";
  const wanted: Texts = {
    "security.istio.io/tlsMode": "istio",
    "service.istio.io/canonical-name": name,
    "service.istio.io/canonical-revision": revision,
  };
  return Object.fromEntries(Object.entries(wanted).filter(([key]) => labels[key] === undefined));
}

function status(input: SidecarInput, options: InjectOptions): Texts {
  const initContainers = initContainer(input, options) === undefined ? [proxyName] : own;
  const value = {
    initContainers,
    containers: null,
    volumes: volumes(input, options).map(({ name }) => name),
    imagePullSecrets: null,
    revision: "isthmus",
  };
  return { "sidecar.istio.io/status": JSON.stringify(value) };
}

// First of all containers, so that the application's own init containers are in the mesh as well.
function containerEdits(spec: JsonObject, input: SidecarInput, options: InjectOptions): Edit[] {
  const wanted = [initContainer(input, options), proxyContainer(input, options)].filter((container) => container !== undefined);
  return listEdits(spec, "initContainers", wanted, "start");
}

// The list with what is ours replaced where it stands; new entries come at one end, in their order.
function listEdits(spec: JsonObject, name: string, wanted: readonly JsonObject[], end: "start" | "end"): Edit[] {
  const present = list(spec[name]).map((entry) => String(entry["name"]));
  const edits: Edit[] = [];
  const unknown = wanted.filter((entry) => !present.includes(String(entry["name"])));
  for (const entry of wanted) {
    const index = present.indexOf(String(entry["name"]));
    if (index >= 0) edits.push({ path: ["spec", name, index], value: entry });
  }
  if (name === "initContainers" && !wanted.some((entry) => entry["name"] === initName) && present.includes(initName))
    edits.push({ path: ["spec", name, present.indexOf(initName)], value: undefined });
  if (unknown.length > 0) edits.push({ path: ["spec", name, end === "start" ? "first" : "last"], value: unknown });
  return edits;
}

const list = (value: unknown): readonly JsonObject[] => (Array.isArray(value) ? value.filter(isObject) : []);
const textOf = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

function texts(value: unknown): Texts {
  return isObject(value)
    ? Object.fromEntries(Object.entries(value).map(([key, text]) => [key, typeof text === "string" ? text : JSON.stringify(text)]))
    : {};
}

function parse(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    // Somebody edited it by hand: there are no originals then.
    return {};
  }
}
