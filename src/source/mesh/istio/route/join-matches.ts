// The matches of a route and of those that stand in its place: a request has to pass both, so the inner ones may only narrow.
import type { HttpMatch, ProxyMatch } from "./http-match.ts";
import type { StringMatch } from "./string-match.ts";

/** Every pair of an outer and an inner match that go together; undefined when an inner one goes with no outer one. */
export function joinMatches(outer: readonly HttpMatch[], inner: readonly HttpMatch[]): readonly HttpMatch[] | undefined {
  if (outer.length === 0) return inner;
  if (inner.length === 0) return outer;
  const joined: HttpMatch[] = [];
  for (const own of inner) {
    const fitting = outer.filter((root) => !conflicts(root, own));
    if (fitting.length === 0) return undefined;
    joined.push(...fitting.map((root) => join(root, own)));
  }
  return joined;
}

function join(root: HttpMatch, own: HttpMatch): HttpMatch {
  return {
    ...root,
    ...own,
    name: root.name === "" || own.name === "" ? root.name + own.name : `${root.name}-${own.name}`,
    headers: new Map([...root.headers, ...own.headers]),
    withoutHeaders: new Map([...root.withoutHeaders, ...own.withoutHeaders]),
    queryParams: new Map([...root.queryParams, ...own.queryParams]),
    proxy: {
      port: own.proxy.port === 0 ? root.proxy.port : own.proxy.port,
      sourceLabels: { ...root.proxy.sourceLabels, ...own.proxy.sourceLabels },
      sourceNamespace: own.proxy.sourceNamespace === "" ? root.proxy.sourceNamespace : own.proxy.sourceNamespace,
      gateways: own.proxy.gateways.length === 0 ? root.proxy.gateways : own.proxy.gateways,
    },
  };
}

function conflicts(root: HttpMatch, own: HttpMatch): boolean {
  const fields = (["uri", "scheme", "method", "authority"] as const).some((key) => textConflicts(root[key], own[key]));
  const maps = (["headers", "withoutHeaders", "queryParams"] as const).some((key) =>
    [...own[key]].some(([name, match]) => textConflicts(root[key].get(name), match)),
  );
  return fields || maps || root.ignoreUriCase !== own.ignoreUriCase || proxyConflicts(root.proxy, own.proxy);
}

/** An inner match may name what the outer one leaves open, or a part of a prefix. */
function textConflicts(root: StringMatch | undefined, own: StringMatch | undefined): boolean {
  if (root === undefined || own === undefined) return false;
  if (root.kind === "present" || own.kind === "present") return true;
  if (root.kind === "regex" || own.kind === "regex") return true;
  if (root.kind === "exact") return own.kind !== "exact" || own.value !== root.value;
  return !own.value.startsWith(root.value);
}

function proxyConflicts(root: ProxyMatch, own: ProxyMatch): boolean {
  const differs = (a: string | number, b: string | number): boolean => Boolean(a) && Boolean(b) && a !== b;
  if (differs(root.port, own.port)) return true;
  // As in Istio one that says nothing of the namespace does not go with one that does.
  if (root.sourceNamespace !== "" && root.sourceNamespace !== own.sourceNamespace) return true;
  const labels = Object.entries(own.sourceLabels).some(([name, value]) => differs(root.sourceLabels[name] ?? "", value));
  return labels || (root.gateways.length > 0 && own.gateways.some((name) => !root.gateways.includes(name)));
}
