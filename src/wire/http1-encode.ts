// HTTP/1 heads and chunk framing as latin1 strings: one string, one write.
import type { HeaderMap } from "./header-map.ts";

/** `name: value` lines of a header map. */
export function encodeFields(headers: HeaderMap): string {
  const { names, values } = headers;
  let text = "";
  for (let i = 0; i < names.length; i++) text += `${names[i]!}: ${values[i]!}\r\n`;
  return text;
}

const properCased = new Map<string, string>();
// Names come from the network, so the memo has a bound; past it names are cased each time.
const properCasedLimit = 1024;

/** The same with names in Proper-Case (Envoy's proper_case_words). */
export function encodeFieldsProperCase(headers: HeaderMap): string {
  const { names, values } = headers;
  let text = "";
  for (let i = 0; i < names.length; i++) text += `${properCaseName(names[i]!)}: ${values[i]!}\r\n`;
  return text;
}

/** A field name in Proper-Case. */
export function properCaseName(name: string): string {
  const cached = properCased.get(name);
  if (cached !== undefined) return cached;
  const cased = name.replace(/(^|[^a-z0-9])[a-z]/g, (start) => start.toUpperCase());
  if (properCased.size < properCasedLimit) properCased.set(name, cased);
  return cased;
}

/** The last chunk with trailers, if any. */
export function encodeLastChunk(trailers: HeaderMap | undefined): string {
  return trailers === undefined ? "0\r\n\r\n" : `0\r\n${encodeFields(trailers)}\r\n`;
}
