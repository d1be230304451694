// The host and port of an absolute URL, as Envoy's parser takes it apart.

// scheme, user information, host (names, IPv4, bracketed IPv6), port, the rest. Without a path a fragment is not taken.
const absolute =
  /^[A-Za-z]+:\/\/(?:[A-Za-z0-9\-_.!~*'()%;:&=+$,]+@)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(?:%[\w.~%-]+)?\])(:\d{1,5})?(?:[/?][\x21-\x7e\x80-\xff]*)?$/;

/** `HOST[:PORT]` as written; a text that is no absolute URL comes back as it is. */
export function hostAndPort(text: string): string {
  const found = absolute.exec(text);
  if (found === null) return text;
  const [, host = "", port = ""] = found;
  return Number(port.slice(1)) > 65_535 ? text : host + port;
}
