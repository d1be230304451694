// A filter in TypeScript, run by redact.yaml beside it: refuses bodies that are no JSON, tells the application who asks, and keeps fields
// that nobody outside is to see out of responses. What a module may export and what it is given: "isthmus/filter-api".
import type { BodyVerdict, FilterContext, FilterReply, FilterRequest, FilterResponse } from "isthmus/filter-api";

/** `config` of the filter in redact.yaml. */
interface Config {
  /** Names of fields whose values are replaced, wherever they stand. */
  readonly fields: readonly string[];
}

/** Before the request goes on: who asks is known from the certificate alone, so what a client says of itself is dropped. */
export function onRequestHeaders(request: FilterRequest, { metadata }: FilterContext<Config>): void {
  request.headers.delete("x-caller");
  if (request.peer !== "") request.headers.set("x-caller", request.peer);
  metadata.set("caller", request.peer);
}

/** With the whole body there: a reply that is returned is sent instead of asking the application. */
export function onRequestBody(body: Uint8Array): FilterReply | undefined {
  try {
    JSON.parse(new TextDecoder().decode(body));
    return undefined;
  } catch {
    return { status: 400, headers: { "content-type": "application/json" }, body: '{"error":"the body is no JSON"}' };
  }
}

/** With the whole response there: what is returned is its new body. An exception (JSON that is none, say) makes it a 500. */
export function onResponseBody(body: Uint8Array, response: FilterResponse, { config }: FilterContext<Config>): BodyVerdict {
  if (response.headers.get("content-type")?.startsWith("application/json") !== true) return undefined;
  const hidden = new Set(config.fields);
  const redact = (key: string, value: unknown): unknown => (hidden.has(key) ? "***" : value);
  return JSON.stringify(JSON.parse(new TextDecoder().decode(body)), redact);
}
