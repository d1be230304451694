// X.500 names as RFC 2253 text, the way BoringSSL's XN_FLAG_RFC2253 prints them (and so XFCC and access logs): last RDN
// first, short attribute names, everything outside printable ASCII escaped by its UTF-8 bytes.
import { formatOid, readChildren } from "./der.ts";
import type { DerElement } from "./der.ts";

// OpenSSL's short names of the attributes seen in practice; others print as dotted OID with a hex dump, as it does.
const shortNames: Readonly<Record<string, string>> = {
  "2.5.4.3": "CN",
  "2.5.4.4": "SN",
  "2.5.4.5": "serialNumber",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.9": "street",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "2.5.4.12": "title",
  "2.5.4.42": "GN",
  "2.5.4.43": "initials",
  "1.2.840.113549.1.9.1": "emailAddress",
  "0.9.2342.19200300.100.1.1": "UID",
  "0.9.2342.19200300.100.1.25": "DC",
};

/** Formats a Name (RDNSequence). */
export function formatName(bytes: Buffer, name: DerElement): string {
  return readChildren(bytes, name)
    .map((rdn) =>
      readChildren(bytes, rdn)
        .map((attribute) => formatAttribute(bytes, attribute))
        .toReversed()
        .join("+"),
    )
    .toReversed()
    .join(",");
}

function formatAttribute(bytes: Buffer, attribute: DerElement): string {
  const [type, value] = readChildren(bytes, attribute);
  if (type === undefined || value === undefined) return "";
  const oid = formatOid(bytes, type);
  const short = shortNames[oid];
  if (short === undefined) return `${oid}=#${bytes.toString("hex", type.end, value.end).toUpperCase()}`;
  return `${short}=${escape(decodeString(bytes, value))}`;
}

// The value as UTF-8 bytes. BMPString is UTF-16BE, T61String is read as Latin-1 (as BoringSSL does); the rest is ASCII or UTF-8.
function decodeString(bytes: Buffer, value: DerElement): Buffer {
  const raw = bytes.subarray(value.start, value.end);
  if (value.tag === 0x1e && raw.length % 2 === 0) return Buffer.from(Buffer.from(raw).swap16().toString("utf16le"));
  if (value.tag === 0x14) return Buffer.from(raw.toString("latin1"));
  return raw;
}

function escape(text: Buffer): string {
  let out = "";
  for (let i = 0; i < text.length; i++) {
    const byte = text[i] ?? 0;
    const char = String.fromCharCode(byte);
    const edgeSpace = char === " " && (i === 0 || i === text.length - 1);
    if (byte < 0x20 || byte > 0x7e) out += `\\${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    else if (',+"\\<>;'.includes(char) || edgeSpace || (char === "#" && i === 0)) out += `\\${char}`;
    else out += char;
  }
  return out;
}
