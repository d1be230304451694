// Envoy's response flags as bits, so that a request's flags are one integer.

/** Bit per flag; the key is Envoy's short name. */
export const flag = {
  LH: 1 << 0,
  UH: 1 << 1,
  UT: 1 << 2,
  LR: 1 << 3,
  UR: 1 << 4,
  UF: 1 << 5,
  UC: 1 << 6,
  UO: 1 << 7,
  NR: 1 << 8,
  DI: 1 << 9,
  FI: 1 << 10,
  RL: 1 << 11,
  UAEX: 1 << 12,
  RLSE: 1 << 13,
  DC: 1 << 14,
  URX: 1 << 15,
  SI: 1 << 16,
  IH: 1 << 17,
  DPE: 1 << 18,
  UMSDR: 1 << 19,
  RFCF: 1 << 20,
  NFCF: 1 << 21,
  DT: 1 << 22,
  UPE: 1 << 23,
  NC: 1 << 24,
  OM: 1 << 25,
  DF: 1 << 26,
  DO: 1 << 27,
  DR: 1 << 28,
  UDO: 1 << 29,
  /** Not Envoy's: a script failed. */
  SE: 1 << 30,
} as const;

/** Short names. */
export type FlagName = keyof typeof flag;

// Envoy prints URX before the others in the recorded replies (`URX,UF`) for HTTP and `UF,URX` for TCP; the order below is
// Envoy's own bit order, and the access log keeps it.
const names = Object.keys(flag) as FlagName[];

/** The set flags joined by commas, or `-` when there is none. `order` lists names to print first. */
export function formatFlags(flags: number, order: readonly FlagName[] = ["URX"]): string {
  if (flags === 0) return "-";
  const found: string[] = [];
  for (const name of order) if (flags & flag[name]) found.push(name);
  for (const name of names) if (flags & flag[name] && !order.includes(name)) found.push(name);
  return found.join(",");
}
