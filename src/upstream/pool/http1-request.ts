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
  if (request.upgrade !== "" && !connect)
    text += `${cased("connection", properCase)}: Upgrade\r\n${cased("upgrade", properCase)}: ${request.upgrade}\r\n`;
  if (request.expectContinue) text += `${cased("expect", properCase)}: 100-continue\r\n`;
  if (chunked) text += `${cased("transfer-encoding", properCase)}: chunked\r\n`;
  else if (bodiless && request.upgrade === "" && !bodilessMethods.has(request.method) && !request.headers.has("content-length")) {
    text += `${cased("content-length", properCase)}: 0\r\n`;
  }
  return `${text}\r\n`;
}

const cased = (lower: string, properCase: boolean): string => (properCase ? properCaseName(lower) : lower);
