// The HTTP health check: a request by http_health_check, judged by status, body and the name of the service that answers.
import type { HealthCheckKind, StatusRange } from "../../envoy/cluster/health-check.ts";
import type { HeaderValueOption } from "../../envoy/route/route.ts";
import { compileStringMatcher } from "../../match/string-matcher.ts";
import type { HeaderMap } from "../../wire/header-map.ts";
import type { HealthStats } from "./health-stats.ts";
import { containsInOrder, type CheckResult } from "./probe.ts";
import { headerMap, type CheckedResponse, type CheckExchange } from "./request-probe.ts";

type HttpCheck = Extract<HealthCheckKind, { readonly kind: "http" }>;

const ok: readonly StatusRange[] = [{ start: 200, end: 201 }];
const within = (ranges: readonly StatusRange[], status: number): boolean =>
  ranges.some(({ start, end }) => status >= start && status < end);
const userAgent = "Envoy/HC";

/** What is asked of a host. */
export function httpCheckExchange(
  check: HttpCheck,
  authority: string,
  scheme: "http" | "https",
  stats: Pick<HealthStats, "verifyCluster">,
): CheckExchange {
  const body = Buffer.from(check.send);
  return {
    body,
    keepBytes: check.receive.length === 0 ? 0 : check.responseBufferBytes || Number.MAX_SAFE_INTEGER,
    head: () => {
      const headers = headerMap(["user-agent", userAgent]);
      if (body.length > 0) headers.add("content-length", String(body.length));
      addHeaders(headers, check.headersToAdd);
      for (const name of check.headersToRemove) headers.remove(name);
      const { method, path } = check;
      return { method, path, authority, scheme, headers, upgrade: "", expectContinue: false, info: { protocol: "HTTP/1.1" } };
    },
    judge: judge(check, stats),
  };
}

/** Applies additions as they are written: a check belongs to no request that could fill in commands of a format. */
export function addHeaders(headers: HeaderMap, options: readonly HeaderValueOption[]): void {
  for (const { key, value, appendAction } of options) {
    const there = headers.has(key);
    if (appendAction === "APPEND_IF_EXISTS_OR_ADD") headers.add(key, value);
    else if (appendAction === "OVERWRITE_IF_EXISTS_OR_ADD" || (appendAction === "OVERWRITE_IF_EXISTS" && there)) headers.set(key, value);
    else if (appendAction === "ADD_IF_ABSENT" && !there) headers.add(key, value);
  }
}

function judge(check: HttpCheck, stats: Pick<HealthStats, "verifyCluster">): (response: CheckedResponse) => CheckResult {
  const expected = check.expectedStatuses.length === 0 ? ok : check.expectedStatuses;
  const isService = check.serviceName === undefined ? undefined : compileStringMatcher(check.serviceName);
  return ({ status, headers, body }) => {
    const exclude = headers.has("x-envoy-immediate-health-check-fail");
    const failure = (why: "active" | "retriable", reason: string): CheckResult => ({ kind: "failure", why, reason, exclude });
    if (!within(expected, status)) return failure(within(check.retriableStatuses, status) ? "retriable" : "active", `status ${status}`);
    if (!containsInOrder(body, check.receive)) return failure("active", "the body is not as expected");
    if (isService !== undefined) {
      stats.verifyCluster.inc();
      const name = headers.get("x-envoy-upstream-healthchecked-cluster") ?? "";
      if (!isService(name)) return failure("active", `the service is ${JSON.stringify(name)}`);
    }
    return { kind: "success", degraded: headers.has("x-envoy-degraded") };
  };
}
