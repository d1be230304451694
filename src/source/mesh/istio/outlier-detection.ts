// OutlierDetection of a traffic policy: when an endpoint that fails is left alone for a while.
import { readDuration } from "../object/duration.ts";
import type { Fields } from "../object/fields.ts";

/** OutlierDetection; undefined means that Envoy's default holds, 0 of an error count that such errors do not eject. */
export interface OutlierDetection {
  readonly consecutive5xxErrors: number | undefined;
  readonly consecutiveGatewayErrors: number | undefined;
  readonly splitLocalOriginErrors: boolean;
  readonly consecutiveLocalOriginFailures: number;
  /** proto3 JSON. */
  readonly interval: string | undefined;
  /** proto3 JSON. */
  readonly baseEjectionTime: string | undefined;
  /** 0: not given. */
  readonly maxEjectionPercent: number;
  /** Share of healthy endpoints below which all are used again; 0, the default, never does that. */
  readonly minHealthPercent: number;
}

const count = { min: 0, max: 0xffff_ffff };
const percent = { min: 0, max: 100 };

/** Reads `outlierDetection`. */
export function readOutlierDetection(policy: Fields): OutlierDetection | undefined {
  const fields = policy.child("outlierDetection");
  if (fields === undefined) return undefined;
  const detection: OutlierDetection = {
    consecutive5xxErrors: fields.integer("consecutive5xxErrors", count),
    consecutiveGatewayErrors: fields.integer("consecutiveGatewayErrors", count),
    splitLocalOriginErrors: fields.boolean("splitExternalLocalOriginErrors") ?? false,
    consecutiveLocalOriginFailures: fields.integer("consecutiveLocalOriginFailures", count) ?? 0,
    interval: readDuration(fields, "interval"),
    baseEjectionTime: readDuration(fields, "baseEjectionTime"),
    maxEjectionPercent: fields.integer("maxEjectionPercent", percent) ?? 0,
    minHealthPercent: fields.integer("minHealthPercent", percent) ?? 0,
  };
  if (detection.consecutiveLocalOriginFailures > 0 && !detection.splitLocalOriginErrors)
    fields.error("consecutiveLocalOriginFailures", "needs splitExternalLocalOriginErrors: true");
  // Deprecated, and without effect in Istio as well.
  fields.notHonoured("consecutiveErrors");
  fields.finish();
  return detection;
}
