// Settings of outlier detection for tests of the upstream room.
import { decodeOutlierDetection, type OutlierDetection } from "../../src/envoy/cluster/outlier-detection.ts";
import { accepted } from "../unit/envoy/decoding.ts";

/** Envoy's defaults, changed by `over`; unlike them any number of hosts may be ejected, and each for exactly as long. */
export function outlierDetection(over: Partial<OutlierDetection> = {}): OutlierDetection {
  return { ...accepted(decodeOutlierDetection, {}), maxEjectionPercent: 100, ...over };
}
