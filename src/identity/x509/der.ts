// A reader for the few DER structures a certificate's names live in. Bounds are checked on every step; it never throws
// on bad input, because the bytes come from a peer.

/** One element: its tag and where its content lies in the buffer. */
export interface DerElement {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

/** Reads the element at `offset`, or undefined when it does not fit before `limit` or is not definite-length DER. */
export function readElement(bytes: Uint8Array, offset: number, limit: number): DerElement | undefined {
  if (offset + 2 > limit) return undefined;
  const tag = bytes[offset] ?? 0;
  const first = bytes[offset + 1] ?? 0;
  let start = offset + 2;
  let length = first;
  if (first > 0x7f) {
    const count = first & 0x7f;
    // Four length bytes reach far past any certificate TLS carries; 0 would be BER's indefinite form.
    if (count === 0 || count > 4 || start + count > limit) return undefined;
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[start + i] ?? 0);
    start += count;
  }
  return start + length > limit ? undefined : { tag, start, end: start + length };
}

/** The elements directly inside `parent`; a malformed tail ends the list. */
export function readChildren(bytes: Uint8Array, parent: DerElement): readonly DerElement[] {
  const children: DerElement[] = [];
  for (let at = parent.start; at < parent.end;) {
    const child = readElement(bytes, at, parent.end);
    if (child === undefined) break;
    children.push(child);
    at = child.end;
  }
  return children;
}

/** An OBJECT IDENTIFIER's content as dotted decimals. */
export function formatOid(bytes: Uint8Array, element: DerElement): string {
  const arcs: number[] = [];
  let arc = 0;
  for (let i = element.start; i < element.end; i++) {
    const byte = bytes[i] ?? 0;
    arc = arc * 128 + (byte & 0x7f);
    if (byte & 0x80) continue;
    if (arcs.length === 0) {
      const top = Math.min(2, Math.floor(arc / 40));
      arcs.push(top, arc - top * 40);
    } else arcs.push(arc);
    arc = 0;
  }
  return arcs.join(".");
}
