// strict_check_headers: refuses requests whose control headers say nothing, instead of going on as if they were not there.
import type { LocalReply } from "../../../http/local-reply.ts";
import { flag } from "../../../telemetry/response-flag.ts";
import type { HeaderMap } from "../../../wire/header-map.ts";

const words = (text: string): ReadonlySet<string> => new Set(text.split(" "));
const conditions: Readonly<Record<string, ReadonlySet<string>>> = {
  "x-envoy-retry-on": words(
    "5xx gateway-error reset reset-before-request connect-failure envoy-ratelimited retriable-4xx refused-stream " +
      "retriable-status-codes retriable-headers http3-post-connect-failure",
  ),
  "x-envoy-retry-grpc-on": words("cancelled deadline-exceeded resource-exhausted internal unavailable"),
};

function says(name: string, value: string): boolean {
  const known = conditions[name];
  if (known === undefined) return /^[0-9]{1,10}$/.test(value);
  return value === "" || value.split(",").every((condition) => known.has(condition.trim()));
}

/** The reply to a request with such a header, as Envoy makes it; undefined when all are fine. */
export function refusedByStrictCheck(headers: HeaderMap, names: readonly string[]): LocalReply | undefined {
  for (const name of names) {
    const value = headers.get(name);
    if (value === undefined || says(name, value)) continue;
    return {
      status: 400,
      body: `invalid header '${name}' with value '${value}'`,
      details: `request_headers_failed_strict_check{${name}}`,
      flags: flag.IH,
      close: true,
    };
  }
  return undefined;
}
