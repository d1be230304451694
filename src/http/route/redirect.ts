// Redirects: RedirectAction compiled, and the redirect to https of virtual hosts that require TLS.
import type { RedirectAction, RouteMatch } from "../../envoy/route/route.ts";
import { portStart } from "../../match/domains.ts";
import { compilePathRewrite } from "./rewrite.ts";
import type { CompiledRedirect, RouteRequest } from "./route-table.ts";

/** Compiles a redirect of a route. Throws when its regex is not valid RE2. */
export function compileRedirect(model: RedirectAction, match: RouteMatch): CompiledRedirect {
  const scheme = model.schemeRedirect || (model.httpsRedirect ? "https" : "");
  const port = model.portRedirect ? `:${model.portRedirect}` : "";
  const host = model.hostRedirect ?? "";
  const path = compilePath(model, match);
  return {
    kind: "redirect",
    status: model.responseCode,
    location: (request) => {
      const toScheme = scheme || request.scheme;
      return `${toScheme}://${host || keptHost(request, toScheme, port)}${port}${path(request.path)}`;
    },
  };
}

/** The scheme the client used, by x-forwarded-proto where a proxy in front said so. */
export function forwardedScheme(request: RouteRequest): string {
  return request.headers.get("x-forwarded-proto") ?? request.scheme;
}

/** What require_tls answers plaintext requests with. */
export const httpsRedirect: CompiledRedirect = {
  kind: "redirect",
  status: 301,
  location: (request) => `https://${request.authority}${request.path}`,
};

function compilePath(model: RedirectAction, match: RouteMatch): (path: string) => string {
  const { path: to, stripQuery } = model;
  const strip = (path: string): string => (stripQuery ? path.slice(0, endOfPath(path)) : path);
  const rooted = (path: string): string => (path.startsWith("/") ? path : `/${path}`);
  switch (to.kind) {
    case "none":
      return (path) => strip(rooted(path));
    case "path": {
      const target = rooted(to.value);
      // A query of its own replaces the request's, and is not stripped.
      if (target.includes("?")) return () => target;
      return (path) => (stripQuery ? target : target + path.slice(endOfPath(path)));
    }
    case "prefix":
    case "regex": {
      const change = to.kind === "regex" ? { prefix: "", regex: to } : { prefix: to.value, regex: undefined };
      const rewrite = compilePathRewrite(match, change);
      return (path) => strip(rooted(rewrite === undefined ? path : rewrite(path)));
    }
  }
}

function endOfPath(path: string): number {
  const query = path.indexOf("?");
  return query < 0 ? path.length : query;
}

// The request's host, without its port when the redirect names one, or when it is the default port of a scheme that the
// redirect leaves.
function keptHost(request: RouteRequest, toScheme: string, port: string): string {
  const { authority } = request;
  const colon = portStart(authority);
  if (colon < 0) return authority;
  const from = forwardedScheme(request);
  const defaultPort = from === "https" ? ":443" : ":80";
  const drop = port !== "" || (toScheme !== from && authority.slice(colon) === defaultPort);
  return drop ? authority.slice(0, colon) : authority;
}
