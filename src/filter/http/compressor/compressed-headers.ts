// What compression has to do with other header fields: Cache-Control, ETag, Vary, Upgrade.
import type { HttpStream } from "../../../http/stream.ts";
import type { HeaderMap } from "../../../wire/header-map.ts";

/** True when a list has the token, in any case. */
export function hasToken(list: string, token: string): boolean {
  return list.split(",").some((member) => member.trim().toLowerCase() === token);
}

/** True for a message that nobody on the way may change. */
export function refusesTransform(headers: HeaderMap): boolean {
  const value = headers.getAll("cache-control");
  return value !== undefined && hasToken(value, "no-transform");
}

/** True while the exchange is, or asks to become, a tunnel. */
export function isUpgrade(stream: HttpStream): boolean {
  return stream.upgrade !== "";
}

/** A strong ETag promises the very bytes: it goes, or says less. */
export function sanitizeEtag(headers: HeaderMap, weaken: boolean): void {
  const etag = headers.get("etag");
  if (etag === undefined || etag.startsWith("W/") || etag.startsWith("w/")) return;
  if (weaken) headers.set("etag", `W/${etag}`);
  else headers.remove("etag");
}

/** Says that the response depends on Accept-Encoding. */
export function addVary(headers: HeaderMap): void {
  const vary = headers.getAll("vary");
  if (vary === undefined || vary === "") headers.set("vary", "Accept-Encoding");
  // Envoy looks for its own spelling, and makes one field of several.
  else headers.set("vary", vary.split(",").some((member) => member.trim() === "Accept-Encoding") ? vary : `${vary}, Accept-Encoding`);
}
