// envoy.filters.http.csrf: refuses requests that change something when the page they come from is another origin's.
import type { CsrfPolicy } from "../../../envoy/http-filter/csrf.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import type { LocalReply } from "../../../http/local-reply.ts";
import { perRoute } from "../../../http/route/per-route.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { compileStringMatcher } from "../../../match/string-matcher.ts";
import { hostAndPort } from "./origin.ts";

/** The CSRF filter. */
export const csrf: HttpFilterSpec = {
  extension: "envoy.filters.http.csrf",
  create: (config, context) => createCsrf(config as CsrfPolicy, context),
};

interface Policy {
  readonly model: CsrfPolicy;
  readonly alsoAllows: (origin: string) => boolean;
}

const changing = new Set(["POST", "PUT", "DELETE", "PATCH"]);
const refusal: LocalReply = { status: 403, body: "Invalid origin", details: "csrf_origin_mismatch", flags: 0 };

function createCsrf(config: CsrfPolicy, context: HttpFilterContext): HttpFilter {
  const own = compilePolicy(config);
  const override = perRoute(context.filterName, compilePolicy);
  const scope = context.scope.scope("csrf");
  const stats = {
    missing: scope.counter("missing_source_origin"),
    invalid: scope.counter("request_invalid"),
    valid: scope.counter("request_valid"),
  };
  const draw = (fraction: number): boolean => fraction >= 1 || (fraction > 0 && context.random() < fraction);
  return {
    onRequestHeaders: (stream) => {
      const { model, alsoAllows } = override(stream) ?? own;
      const enabled = draw(model.enabledFraction);
      if ((!enabled && !draw(model.shadowFraction)) || !changing.has(stream.method)) return "continue";
      const source = sourceOrigin(stream);
      const allowed = source !== "" && (source === hostAndPort(stream.authority) || alsoAllows(source));
      (allowed ? stats.valid : source === "" ? stats.missing : stats.invalid).inc();
      if (allowed || !enabled) return "continue";
      stream.sendLocalReply(refusal);
      return "stop";
    },
  };
}

function compilePolicy(model: CsrfPolicy): Policy {
  const tests = model.additionalOrigins.map(compileStringMatcher);
  return { model, alsoAllows: (origin) => tests.some((test) => test(origin)) };
}

// Browsers say `null` where they keep the origin to themselves; the page's address must not stand in for it then.
function sourceOrigin({ headers }: HttpStream): string {
  const origin = headers.getAll("origin") ?? "";
  if (origin === "null") return "";
  return hostAndPort(origin === "" ? (headers.getAll("referer") ?? "") : origin);
}
