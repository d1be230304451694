// What a script is told of a request or response.
import type { HttpStream } from "../../../http/stream.ts";
import type { Hook, Invocation } from "./messages.ts";

/** Which half of an exchange a hook is about. */
export type Direction = "request" | "response";

/** The half that a hook is about. */
export function directionOf(hook: Hook): Direction {
  return hook === "onRequestHeaders" || hook === "onRequestBody" ? "request" : "response";
}

/** A run of `hook` over a stream as it is now. */
export function describeStream(
  { method, path, authority, scheme, headers, responseHeaders, info }: HttpStream,
  state: Invocation["state"],
  hook: Hook,
  direction: Direction,
  body: Uint8Array | undefined,
): Omit<Invocation, "config"> {
  const { names, values } = direction === "request" ? headers : responseHeaders!;
  const flat: string[] = [];
  for (let i = 0; i < names.length; i++) flat.push(names[i]!, values[i]!);
  const { tls, remote } = info.connection;
  return {
    hook,
    method,
    path,
    authority,
    scheme,
    protocol: info.protocol,
    remoteAddress: remote.ip,
    peer: tls?.validated === true ? (tls.uriSans[0] ?? "") : "",
    status: direction === "request" ? 0 : info.responseCode,
    headers: flat,
    body,
    state,
    metadata: info.dynamicMetadata,
  };
}
