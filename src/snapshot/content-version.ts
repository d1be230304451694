// The version of a resource: a hash of what it says.
import { hash } from "node:crypto";
import type { RouteConfiguration } from "../envoy/route/route.ts";

// Decoded resources are never changed in place, and decoders build them with their fields in one order.
const known = new WeakMap<object, string>();

/** 16 hexadecimal digits; 64 bits keep accidental equality out of reach for any number of resources. */
export function contentVersion(value: object): string {
  return remembered(value, () => JSON.stringify(value));
}

/** The version of a route configuration, from those of its virtual hosts: of thousands, one changes at a time. */
export function routesVersion(config: RouteConfiguration): string {
  return remembered(config, () => {
    const { virtualHosts, ...level } = config;
    return `${JSON.stringify(level)} ${virtualHosts.map(contentVersion).join(" ")}`;
  });
}

function remembered(value: object, textOf: () => string): string {
  let version = known.get(value);
  if (version === undefined) {
    version = hash("sha256", textOf()).slice(0, 16);
    known.set(value, version);
  }
  return version;
}
