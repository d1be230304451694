// Destinations of routes: a host, a subset and a port, and the share each takes.
import type { Fields } from "../../object/fields.ts";

/** Destination. */
export interface Destination {
  readonly host: string;
  readonly subset: string;
  /** 0 when not given. */
  readonly port: number;
}

/** A destination with its share. */
export interface RouteDestination extends Destination {
  readonly weight: number;
}

/** Reads the field that holds a Destination. */
export function readDestination(parent: Fields, key: string): Destination {
  const destination = parent.child(key);
  if (destination === undefined) parent.error(key, "is missing, expected a host");
  const port = destination?.child("port");
  const result = {
    host: (destination?.requiredString("host") ?? "").toLowerCase(),
    subset: destination?.string("subset") ?? "",
    port: port?.requiredPort("number") ?? 0,
  };
  port?.finish();
  destination?.finish();
  return result;
}

/** Reads `weight`, 0 when not given. */
export function readWeight(target: Fields): number {
  return target.integer("weight", { min: 0, max: 0xffff_ffff }) ?? 0;
}
