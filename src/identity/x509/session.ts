// The id inside a serialised session, as OpenSSL writes one (SSL_SESSION: version, protocol, cipher, id, key, ...).
import { readChildren, readElement } from "./der.ts";

const octetString = 0x04;

/** The session's id in hexadecimal; empty when there is none, or the bytes are no session. */
export function readSessionId(session: Buffer): string {
  const sequence = readElement(session, 0, session.length);
  if (sequence === undefined) return "";
  const id = readChildren(session, sequence)[3];
  return id === undefined || id.tag !== octetString ? "" : session.toString("hex", id.start, id.end);
}
