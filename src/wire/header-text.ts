// What may stand in a header field that a service of the proxy asks for.

// Pseudo-headers and those that frame a message are nobody else's to set.
const reserved: ReadonlySet<string> = new Set(["host", "content-length", "transfer-encoding", "connection"]);

/** True for a name that a service may set. */
export function isHeaderName(name: string): boolean {
  return /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name) && !reserved.has(name);
}

/** True for a value that can stand in a header. */
export function isHeaderValue(value: string): boolean {
  // oxlint-disable-next-line no-control-regex
  return !/[\x00-\x08\x0a-\x1f\x7f]/.test(value);
}
