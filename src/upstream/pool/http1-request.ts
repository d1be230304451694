// The bytes of an HTTP/1.1 request head.
import { encodeFields, encodeFieldsProperCase, properCaseName } from "../../wire/http1-encode.ts";
import type { RequestHead } from "./exchange.ts";

// Methods whose requests carry no `content-length: 0` (Envoy's requestShouldHaveNoBody).
const bodilessMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "DELETE", "TRACE", "CONNECT"]);

/**
 * The head as bytes (latin1).
 * @param chunked a body of unknown length follows
 * @param bodiless no body follows
 * @param properCase names in Proper-Case
 */
export function encodeRequestHead(request: RequestHead, chunked: boolean, bodiless: boolean, properCase = false): string {
  const connect = request.method === "CONNECT";
  const target = connect ? request.authority : request.path;
  let text = `${request.method} ${target} HTTP/1.1\r\n`;
  text += properCase
    ? `Host: ${request.authority}\r\n${encodeFieldsProperCase(request.headers)}`
    : `host: ${request.authority}\r\n${encodeFields(request.headers)}`;
  const name = (lower: string): string => (properCase ? properCaseName(lower) : lower);
  if (request.upgrade !== "" && !connect) text += `${name("connection")}: Upgrade\r\n${name("upgrade")}: ${request.upgrade}\r\n`;
  if (request.expectContinue) text += `${name("expect")}: 100-continue\r\n`;
  if (chunked) text += `${name("transfer-encoding")}: chunked\r\n`;
  else if (bodiless && request.upgrade === "" && !bodilessMethods.has(request.method) && !request.headers.has("content-length")) {
    text += `${name("content-length")}: 0\r\n`;
  }
  return `${text}\r\n`;
}
