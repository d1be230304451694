// Reads server name and ALPN out of the first bytes of a TLS connection (RFC 8446 section 4.1.2, RFC 6066, RFC 7301).
// Bytes in, verdict out: it never throws, never waits, and keeps nothing. It does not decide whether the hello is acceptable.

/** What the bytes are. */
export type ClientHelloInspection =
  | {
      readonly kind: "hello";
      /** SNI host name in lower case; absent when none was sent. */
      readonly serverName?: string;
      /** Offered protocols in the client's order; empty when none were. */
      readonly alpn: readonly string[];
    }
  /** A prefix of a ClientHello: read on, up to the caller's own limit. */
  | { readonly kind: "incomplete" }
  /** The first bytes are no TLS handshake record. */
  | { readonly kind: "not-tls" }
  /** A TLS record, but no well-formed ClientHello in it. */
  | { readonly kind: "invalid"; readonly reason: string };

const recordHeaderBytes = 5;
const contentTypeHandshake = 22;
const handshakeClientHello = 1;
const extensionServerName = 0;
const extensionAlpn = 16;
// 2^14 is the limit of a plaintext record; a ClientHello is never encrypted.
const maxRecordBytes = 16384;
// RFC 1035: a DNS name has at most 255 octets.
const maxServerNameBytes = 255;

/** The reason given when the server_name extension is what is wrong: an empty name, a name with a NUL, two names. */
export const malformedServerName = "malformed server_name";

const incomplete: ClientHelloInspection = { kind: "incomplete" };
const notTls: ClientHelloInspection = { kind: "not-tls" };
const invalid = (reason: string): ClientHelloInspection => ({ kind: "invalid", reason });

/** Looks at everything received so far on a connection. Call again with more bytes (the old ones included) after `incomplete`. */
export function inspectClientHello(bytes: Uint8Array): ClientHelloInspection {
  const gathered = gatherHandshake(bytes);
  return "kind" in gathered ? gathered : readHello(gathered.message);
}

// The handshake message may be cut into any number of records, each cut into any number of segments.
function gatherHandshake(bytes: Uint8Array): ClientHelloInspection | { readonly message: Uint8Array } {
  const parts: Uint8Array[] = [];
  let have = 0;
  let need = 4;
  for (let at = 0; ;) {
    const left = bytes.length - at;
    if (left > 0 && bytes[at] !== contentTypeHandshake)
      return at === 0 ? notTls : invalid("record that is no handshake inside a ClientHello");
    if (left > 1 && bytes[at + 1] !== 3) return at === 0 ? notTls : invalid("record version changed");
    if (left < recordHeaderBytes) return incomplete;
    const length = ((bytes[at + 3] as number) << 8) | (bytes[at + 4] as number);
    if (length === 0 || length > maxRecordBytes) return invalid("record length out of range");
    const part = bytes.subarray(at + recordHeaderBytes, Math.min(at + recordHeaderBytes + length, bytes.length));
    if (have === 0 && part.length > 0 && part[0] !== handshakeClientHello) return invalid("first handshake message is not a ClientHello");
    parts.push(part);
    have += part.length;
    if (have >= 4 && need === 4) need = 4 + helloLength(parts);
    if (have >= need && need > 4) return { message: joined(parts, have).subarray(4, need) };
    if (have >= need) return invalid("empty ClientHello");
    if (part.length < length) return incomplete;
    at += recordHeaderBytes + length;
  }
}

function joined(parts: readonly Uint8Array[], total: number): Uint8Array {
  if (parts.length === 1) return parts[0] as Uint8Array;
  const all = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function helloLength(parts: readonly Uint8Array[]): number {
  const head: number[] = [];
  for (const part of parts) for (let i = 0; i < part.length && head.length < 4; i++) head.push(part[i] as number);
  return ((head[1] as number) << 16) | ((head[2] as number) << 8) | (head[3] as number);
}

// A position in a message with an end. Reading past the end gives -1, which every caller checks.
class Cursor {
  at: number;
  readonly end: number;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  uint(size: 1 | 2): number {
    if (this.left < size) return -1;
    const high = this.bytes[this.at++] as number;
    return size === 1 ? high : (high << 8) | (this.bytes[this.at++] as number);
  }

  /** The vector that a length of `size` bytes announces, or undefined when it does not fit. */
  vector(size: 1 | 2): Cursor | undefined {
    const length = this.uint(size);
    if (length < 0 || length > this.left) return undefined;
    const inner = new Cursor(this.bytes, this.at, this.at + length);
    this.at += length;
    return inner;
  }

  text(): string {
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + this.at, this.left).toString("latin1");
  }
}

function readHello(message: Uint8Array): ClientHelloInspection {
  const hello = new Cursor(message, 0, message.length);
  if (hello.left < 34) return invalid("ClientHello shorter than its fixed part");
  if (message[0] !== 3) return invalid("legacy_version is not 3.x");
  hello.at += 34;
  const sessionId = hello.vector(1);
  if (!sessionId || sessionId.left > 32) return invalid("session id out of range");
  const ciphers = hello.vector(2);
  if (!ciphers || ciphers.left < 2 || ciphers.left % 2 !== 0) return invalid("cipher suites out of range");
  const compression = hello.vector(1);
  if (!compression || compression.left < 1) return invalid("compression methods out of range");
  if (hello.left === 0) return { kind: "hello", alpn: [] };
  const extensions = hello.vector(2);
  if (!extensions || hello.left !== 0) return invalid("extensions out of range");
  return readExtensions(extensions);
}

function readExtensions(extensions: Cursor): ClientHelloInspection {
  let serverName: string | undefined;
  let alpn: readonly string[] | undefined;
  while (extensions.left > 0) {
    const type = extensions.uint(2);
    const body = extensions.vector(2);
    if (type < 0 || !body) return invalid("extension out of range");
    // Unknown types are skipped, GREASE (RFC 8701) with them.
    if (type === extensionServerName) {
      const name = serverName === undefined ? readServerName(body) : undefined;
      if (name === undefined) return invalid(malformedServerName);
      serverName = name;
    } else if (type === extensionAlpn) {
      const protocols = alpn === undefined ? readAlpn(body) : undefined;
      if (!protocols) return invalid("malformed application_layer_protocol_negotiation");
      alpn = protocols;
    }
  }
  return serverName === undefined ? { kind: "hello", alpn: alpn ?? [] } : { kind: "hello", serverName, alpn: alpn ?? [] };
}

// RFC 6066 allows one name a type and knows one type; BoringSSL refuses everything else too.
function readServerName(body: Cursor): string | undefined {
  const list = body.vector(2);
  if (!list || body.left !== 0 || list.uint(1) !== 0) return undefined;
  const name = list.vector(2);
  if (!name || list.left !== 0 || name.left === 0 || name.left > maxServerNameBytes) return undefined;
  const text = name.text();
  return text.includes("\0") ? undefined : lowerAscii(text);
}

// toLowerCase would fold Latin-1 letters as well, and two different names must not become one.
function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (upper) => upper.toLowerCase());
}

function readAlpn(body: Cursor): readonly string[] | undefined {
  const list = body.vector(2);
  if (!list || body.left !== 0 || list.left === 0) return undefined;
  const protocols: string[] = [];
  while (list.left > 0) {
    const protocol = list.vector(1);
    if (!protocol || protocol.left === 0) return undefined;
    protocols.push(protocol.text());
  }
  return protocols;
}
