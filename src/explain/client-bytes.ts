// The first bytes of a client, so that the listener filters themselves say what they make of them.
import type { RequestQuestion } from "./question.ts";
import { authorityOf } from "./question.ts";

/** What the client of a question sends first. A TCP client is one that speaks neither HTTP nor TLS. */
export function clientBytes(question: RequestQuestion): Buffer {
  const { protocol, method, path, host } = question;
  if (protocol === "tcp") return Buffer.from([0, 0, 0, 8]);
  // Names only: RFC 6066 has no addresses in server_name. Browsers and curl offer these two protocols.
  if (protocol === "tls") return helloBytes(/^[\d.]+$|:/.test(host) ? "" : host, ["h2", "http/1.1"]);
  return Buffer.from(`${method} ${path} HTTP/1.1\r\nhost: ${authorityOf(question)}\r\n\r\n`, "latin1");
}

/** A ClientHello (RFC 8446, section 4.1.2) with a server name, unless it is empty, and protocols, unless there are none. */
export function helloBytes(serverName: string, alpn: readonly string[]): Buffer {
  const name = Buffer.from(serverName, "utf8");
  const extensions = Buffer.concat([
    ...(name.length === 0 ? [] : [extension(0, prefixed(2, Buffer.concat([Buffer.of(0), prefixed(2, name)])))]),
    ...(alpn.length === 0 ? [] : [extension(16, prefixed(2, Buffer.concat(alpn.map((each) => prefixed(1, Buffer.from(each, "latin1"))))))]),
  ]);
  // Version, random, no session id, TLS_AES_128_GCM_SHA256, no compression.
  const body = Buffer.concat([
    Buffer.of(3, 3),
    Buffer.alloc(32),
    Buffer.of(0),
    Buffer.of(0, 2, 0x13, 1),
    Buffer.of(1, 0),
    prefixed(2, extensions),
  ]);
  return Buffer.concat([Buffer.of(22, 3, 1), prefixed(2, Buffer.concat([Buffer.of(1), prefixed(3, body)]))]);
}

function extension(type: number, data: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0, type), prefixed(2, data)]);
}

/** `data` behind its length in `bytes` bytes. */
function prefixed(bytes: number, data: Buffer): Buffer {
  const length = Buffer.alloc(bytes);
  length.writeUIntBE(data.length, 0, bytes);
  return Buffer.concat([length, data]);
}
