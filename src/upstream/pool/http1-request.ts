// The bytes of an HTTP/1.1 request head.
import { encodeFields } from "../../wire/http1-encode.ts";
import type { RequestHead } from "./exchange.ts";

// Methods whose requests carry no `content-length: 0` (Envoy's requestShouldHaveNoBody).
const bodilessMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "DELETE", "TRACE", "CONNECT"]);

/**
 * The head as bytes (latin1).
 * @param chunked a body of unknown length follows
 * @param bodiless no body follows
 */
export function encodeRequestHead(request: RequestHead, chunked: boolean, bodiless: boolean): string {
  const connect = request.method === "CONNECT";
  const target = connect ? request.authority : request.path;
  let text = `${request.method} ${target} HTTP/1.1\r\nhost: ${request.authority}\r\n${encodeFields(request.headers)}`;
  if (request.upgrade !== "" && !connect) text += `connection: Upgrade\r\nupgrade: ${request.upgrade}\r\n`;
  if (request.expectContinue) text += "expect: 100-continue\r\n";
  if (chunked) text += "transfer-encoding: chunked\r\n";
  else if (bodiless && request.upgrade === "" && !bodilessMethods.has(request.method) && !request.headers.has("content-length")) {
    text += "content-length: 0\r\n";
  }
  return `${text}\r\n`;
}
