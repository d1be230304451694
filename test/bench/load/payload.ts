// The bytes of HTTP/1.1 and TCP on the wire (http2-payload.ts has HTTP/2's), prebuilt once and known to both ends, so that a wrong answer is noticed and making or checking
// one costs next to nothing beside the proxy.
import { Buffer } from "node:buffer";

/** The name that TLS clients ask for. */
export const serverName = "a.example.com";

/** A GET with the headers that a small client sends. */
export const http1Request = Buffer.from("GET /bench HTTP/1.1\r\nhost: a.example.com\r\nuser-agent: bench\r\naccept: */*\r\n\r\n");

/** The hosts that a sidecar's chain routes. */
export const chainHosts: readonly string[] = Array.from({ length: 20 }, (_, i) => `service-${i}.bench.svc.cluster.local`);

/** A request for each host and route of a sidecar's chain, in an order that never asks the same host twice in a row. */
export const chainRequests: readonly Buffer[] = [
  { path: "/api/carts?size=10", more: "x-canary: yes\r\n" },
  { path: "/api/orders/2f1c8e5a", more: "" },
  { path: "/api/items/4711", more: "origin: https://example.com\r\n" },
  { path: "/api/users/me", more: "" },
  { path: "/assets/logo.svg", more: "" },
].flatMap(({ path, more }) =>
  chainHosts.map((host) =>
    Buffer.from(
      `GET ${path} HTTP/1.1\r\nhost: ${host}\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64) bench/1.0\r\naccept: application/json\r\n` +
        `accept-encoding: gzip, br\r\naccept-language: en-GB\r\n${more}\r\n`,
    ),
  ),
);

/** The body of every answer. Its last byte occurs nowhere else in an answer, so it marks the end. */
export const http1Body = `${"isthmus ".repeat(16).trim()}~`;

/** The last byte of `http1Body`. */
export const http1LastByte = 0x7e;

/** The upstream's whole answer. */
export const http1Response = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${http1Body.length}\r\n\r\n${http1Body}`,
);

/** What goes forth and back in a TCP round trip. */
export const pingPong = Buffer.alloc(64, "ping-pong ");

/** Bulk data: this block again and again. A prime-sized period inside it lets any lost or moved byte show. */
export const bulkBlock = Buffer.alloc(256 * 1024).map((_, index) => (index % 251) ^ (index >> 13));

/** The byte of a bulk stream at `position`. */
export function bulkByteAt(position: number): number {
  return bulkBlock[position % bulkBlock.length] ?? 0;
}
