// The version of a resource: a hash of what it says.
import { hash } from "node:crypto";

// Decoded resources are never changed in place, and decoders build them with their fields in one order.
const known = new WeakMap<object, string>();

/** 16 hexadecimal digits; 64 bits keep accidental equality out of reach for any number of resources. */
export function contentVersion(value: object): string {
  let version = known.get(value);
  if (version === undefined) {
    version = hash("sha256", JSON.stringify(value)).slice(0, 16);
    known.set(value, version);
  }
  return version;
}
