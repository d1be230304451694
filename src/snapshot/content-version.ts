// The version of a resource: a hash of what it says, the same for the same content however its keys were ordered.
import { createHash } from "node:crypto";

/** 16 hexadecimal digits; 64 bits keep accidental equality out of reach for any number of resources. */
export function contentVersion(value: unknown): string {
  return createHash("sha256").update(stableJson(value)).digest("hex").slice(0, 16);
}

/** JSON with the keys of every object sorted. */
export function stableJson(value: unknown): string {
  return JSON.stringify(value, (_key, entry: unknown) => {
    if (typeof entry !== "object" || entry === null || Array.isArray(entry)) return entry;
    return Object.fromEntries(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });
}
