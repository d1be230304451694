// How ServiceEntry hosts without addresses get one. Istio sets this on its control plane; here every proxy is its own, so the
// mesh says it once in `defaultConfig.proxyMetadata`, and a proxy's environment or flag can say otherwise.
import type { Issue } from "../../error.ts";
import { type AddressRanges, defaultRanges, rangeProblem } from "./registry/address-range.ts";

/** The settings. */
export interface AutoAllocateSettings {
  /**
   * `hash` (default): by the host's name, stable while the mesh changes. `sequence`: one after the other, oldest entry first;
   * what Istio's controller hands out, which however remembers it in `status`.
   */
  readonly order: "hash" | "sequence";
  /** Only proxies with DNS_AUTO_ALLOCATE see the addresses, as with Istio's legacy allocator. Default false: DNS_CAPTURE is enough. */
  readonly optIn: boolean;
  readonly ranges: AddressRanges;
}

/** By hash, for every proxy that captures DNS, from Istio's ranges. */
export const defaultAutoAllocate: AutoAllocateSettings = { order: "hash", optIn: false, ranges: defaultRanges };

/** Istio's names of the settings, as variables of the environment and of `proxyMetadata`. */
export const autoAllocateVariables = {
  enable: "PILOT_ENABLE_IP_AUTOALLOCATE",
  v4: "PILOT_IP_AUTOALLOCATE_IPV4_PREFIX",
  v6: "PILOT_IP_AUTOALLOCATE_IPV6_PREFIX",
} as const;

type Variables = Readonly<Record<string, string | undefined>>;

/** Reads the variables over `base`; what is wrong is an issue at its name, and leaves the base in place. */
export function readAutoAllocate(
  variables: Variables,
  base: AutoAllocateSettings,
): { readonly settings: AutoAllocateSettings; readonly issues: readonly Issue[] } {
  const issues: Issue[] = [];
  const complain = (name: string, message: string): void => void issues.push({ severity: "error", path: [name], message });
  const range = (name: string, family: 4 | 6, fallback: string): string => {
    const value = variables[name];
    const problem = value === undefined ? undefined : rangeProblem(value, family);
    if (problem !== undefined) complain(name, problem);
    return value === undefined || problem !== undefined ? fallback : value;
  };
  const enabled = variables[autoAllocateVariables.enable];
  if (enabled !== undefined && enabled !== "true" && enabled !== "false")
    complain(autoAllocateVariables.enable, `"${enabled}" is neither true (in sequence) nor false (by hash, opted in by DNS_AUTO_ALLOCATE)`);
  const order: Pick<AutoAllocateSettings, "order" | "optIn"> =
    enabled === "true" ? { order: "sequence", optIn: false } : enabled === "false" ? { order: "hash", optIn: true } : base;
  const ranges = {
    v4: range(autoAllocateVariables.v4, 4, base.ranges.v4),
    v6: range(autoAllocateVariables.v6, 6, base.ranges.v6),
  };
  return { settings: { order: order.order, optIn: order.optIn, ranges }, issues };
}

/** `--virtual-addresses V4/LENGTH,V6/LENGTH`, either or both, as variables. */
export function variablesFromFlag(flag: string | undefined): Variables {
  if (flag === undefined) return {};
  const ranges = flag.split(",").map((range) => range.trim());
  const v6 = ranges.find((range) => range.includes(":"));
  const v4 = ranges.find((range) => range !== v6);
  // More than one of a family goes on as it is, so that the check of the range refuses it.
  const one = ranges.length <= (v4 === undefined ? 0 : 1) + (v6 === undefined ? 0 : 1);
  if (!one) return { [autoAllocateVariables.v4]: flag };
  return {
    ...(v4 === undefined ? {} : { [autoAllocateVariables.v4]: v4 }),
    ...(v6 === undefined ? {} : { [autoAllocateVariables.v6]: v6 }),
  };
}

/** The flag and its help, the same for every command that loads a mesh. */
export const virtualAddressesFlag = [
  "--virtual-addresses <ranges>",
  `ranges of the addresses of ServiceEntry hosts without one (default: the mesh's, ${defaultRanges.v4},${defaultRanges.v6})`,
] as const;
