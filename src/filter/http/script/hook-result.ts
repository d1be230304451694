// What a script wants changed, done to the stream that it was asked about.
import type { LocalReply } from "../../../http/local-reply.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { setDynamicMetadata } from "../../../telemetry/stream-info.ts";
import type { HeaderMap } from "../../../wire/header-map.ts";
import type { HookResult } from "./messages.ts";

/** Keeps what a script says beside the message. */
export function noteMetadata({ info }: HttpStream, { metadata }: HookResult): void {
  for (const [namespace, key, value] of metadata ?? []) setDynamicMetadata(info, namespace, { [key]: value });
}

/** Changes the request's head. */
export function changeRequest(stream: HttpStream, { headerChanges, line }: HookResult): void {
  applyChanges(stream.headers, headerChanges);
  const { method, path, authority } = line ?? {};
  const { info } = stream;
  if (method !== undefined) stream.method = info.method = method;
  if (path !== undefined) stream.path = info.path = path;
  if (authority !== undefined) stream.authority = info.authority = authority;
}

/** Changes the response's head. */
export function changeResponse(stream: HttpStream, { headerChanges, status }: HookResult): void {
  applyChanges(stream.responseHeaders!, headerChanges);
  if (status !== undefined) stream.info.responseCode = status;
}

function applyChanges(headers: HeaderMap, changes: readonly string[] = []): void {
  for (let i = 0; i + 2 < changes.length; i += 3) {
    const [operation, name, value] = [changes[i], changes[i + 1]!, changes[i + 2]!];
    if (operation === "s") headers.set(name, value);
    else if (operation === "a") headers.add(name, value);
    else headers.remove(name);
  }
}

/** The reply that a script gives by itself. */
export function scriptReply({ status, headers, body }: NonNullable<HookResult["reply"]>): LocalReply {
  const set: { name: string; value: string }[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) set.push({ name: headers[i]!, value: headers[i + 1]! });
  return { status, body: Buffer.from(body).toString("latin1"), details: "script_reply", flags: 0, set };
}
