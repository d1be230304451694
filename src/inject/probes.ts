// Probes and lifecycle handlers of an application, led to the sidecar's status port: kubelet has no mesh certificate.
// The originals go to the sidecar as ISTIO_KUBE_APP_PROBERS, in Istio's form, and are found there when a pod is injected again.
import { isObject, type JsonObject } from "./pods.ts";
import { statusPort } from "./options.ts";

/** A value to be put into the pod. */
export interface Edit {
  /** From the pod's `spec`. */
  readonly path: readonly (string | number)[];
  readonly value: unknown;
}

/** What a pod's probes become. */
export interface RewrittenProbes {
  readonly edits: readonly Edit[];
  /** Originals by the path that stands for them. */
  readonly originals: Readonly<Record<string, JsonObject>>;
  readonly problems: readonly string[];
}

/** Where handlers stand in a container, and the last word of the path that Istio gives them. */
const handlers: readonly (readonly [path: readonly string[], word: string, prefix: string])[] = [
  [["livenessProbe"], "livez", "/app-health"],
  [["readinessProbe"], "readyz", "/app-health"],
  [["startupProbe"], "startupz", "/app-health"],
  [["lifecycle", "preStop"], "prestopz", "/app-lifecycle"],
  [["lifecycle", "postStart"], "poststartz", "/app-lifecycle"],
];

/** Containers of a pod that are not the mesh's, with their paths in its `spec`. */
export function applicationContainers(
  spec: JsonObject,
  own: readonly string[],
): readonly (readonly [path: readonly (string | number)[], JsonObject])[] {
  return ["initContainers", "containers"].flatMap((list) => {
    const containers = spec[list];
    if (!Array.isArray(containers)) return [];
    return containers.flatMap((container: unknown, index) =>
      isObject(container) && !own.includes(String(container["name"])) ? [[[list, index], container] as const] : [],
    );
  });
}

/** Leads them to the sidecar; `before` are the originals of an earlier injection. */
export function rewriteProbes(
  spec: JsonObject,
  own: readonly string[],
  before: Readonly<Record<string, JsonObject>>,
  rewrite: boolean,
): RewrittenProbes {
  const edits: Edit[] = [];
  const problems: string[] = [];
  const originals: Record<string, JsonObject> = {};
  for (const [path, container] of applicationContainers(spec, own)) {
    for (const [at, word, prefix] of handlers) {
      const handler = at.reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), container);
      if (!isObject(handler)) continue;
      const key = `${prefix}/${String(container["name"])}/${word}`;
      const original = isOurs(handler, key) ? before[key] : originalOf(handler, container);
      if (original === undefined) continue;
      if (typeof original === "string") problems.push(`${String(container["name"])}.${at.join(".")}: ${original}`);
      else if (rewrite) {
        originals[key] = original;
        edits.push(...replaceAction(handler, [...path, ...at], ledTo(key)));
      } else if (isOurs(handler, key)) edits.push(...replaceAction(handler, [...path, ...at], actionOf(original)));
    }
  }
  return { edits, originals, problems };
}

const actions = ["httpGet", "tcpSocket", "grpc"] as const;

const isOurs = ({ httpGet }: JsonObject, key: string): boolean => isObject(httpGet) && httpGet["path"] === key;

// Undefined for what kubelet does inside the container, or asks somebody else about; text for what cannot be led on.
function originalOf(handler: JsonObject, container: JsonObject): JsonObject | string | undefined {
  const kind = actions.find((name) => isObject(handler[name]));
  if (kind === undefined) return undefined;
  const action = handler[kind] as JsonObject;
  if (typeof action["host"] === "string" && action["host"] !== "") return undefined;
  const port = portNumber(action["port"], container);
  if (port === undefined) return `port ${JSON.stringify(action["port"])} is none of the container's ports`;
  const { timeoutSeconds } = handler;
  const { httpHeaders: _stay, ...rest } = action;
  return { [kind]: { ...rest, port }, ...(typeof timeoutSeconds === "number" ? { timeoutSeconds } : {}) };
}

function portNumber(port: unknown, container: JsonObject): number | undefined {
  if (typeof port === "number") return port;
  if (typeof port !== "string") return undefined;
  if (/^\d+$/.test(port)) return Number(port);
  const ports = Array.isArray(container["ports"]) ? container["ports"] : [];
  const named = ports.find((entry: unknown) => isObject(entry) && entry["name"] === port) as JsonObject | undefined;
  return typeof named?.["containerPort"] === "number" ? named["containerPort"] : undefined;
}

// Headers stay with kubelet, which sends them here, and from here they go on.
const ledTo = (path: string): JsonObject => ({ httpGet: { path, port: statusPort } });

const actionOf = ({ timeoutSeconds: _own, ...action }: JsonObject): JsonObject => action;

// Field by field, so that what is not the action keeps its place and its comments.
function replaceAction(handler: JsonObject, path: readonly (string | number)[], action: JsonObject): Edit[] {
  const kind = actions.find((name) => isObject(action[name])) ?? "httpGet";
  const fields = action[kind] as JsonObject;
  const present = actions.filter((name) => handler[name] !== undefined);
  if (present.length === 1 && present[0] === kind) {
    const was = handler[kind] as JsonObject;
    const gone = ["path", "port", "scheme", "service"].filter((name) => was[name] !== undefined && fields[name] === undefined);
    return [
      ...gone.map((name) => ({ path: [...path, kind, name], value: undefined })),
      ...Object.entries(fields)
        .filter(([name, value]) => was[name] !== value)
        .map(([name, value]) => ({ path: [...path, kind, name], value })),
    ];
  }
  return [...present.map((name) => ({ path: [...path, name], value: undefined })), { path: [...path, kind], value: fields }];
}
