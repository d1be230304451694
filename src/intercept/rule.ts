// A packet rule as data, the same for iptables and nftables: table, chain, what must hold, and what then happens.

/** Tables, by iptables' names. */
export type Table = "nat" | "mangle" | "raw";

/** The kernel's chains that rules hang from. */
export type BuiltInChain = "PREROUTING" | "OUTPUT";

/** Istio's chains. */
export type OwnChain =
  | "ISTIO_INBOUND"
  | "ISTIO_IN_REDIRECT"
  | "ISTIO_OUTPUT"
  | "ISTIO_OUTPUT_DNS"
  | "ISTIO_REDIRECT"
  | "ISTIO_DIVERT"
  | "ISTIO_TPROXY"
  | "ISTIO_DROP";

/** Any chain. */
export type Chain = BuiltInChain | OwnChain;

/** A value that must, or with `not` must not, be there. */
export interface Wanted<T> {
  readonly is: T;
  readonly not?: boolean;
}

/** The owner of the sending socket. Groups may be names, as Istio's settings allow. */
export interface Owner {
  readonly kind: "uid" | "gid";
  readonly id: number | string;
  readonly not?: boolean;
}

/** What must hold; all of it. */
export interface Match {
  readonly inInterface?: string;
  readonly outInterface?: string;
  readonly protocol?: "tcp" | "udp";
  readonly source?: string;
  readonly destination?: Wanted<string>;
  /** With `protocol`. */
  readonly sourcePort?: number;
  /** With `protocol`. */
  readonly destinationPorts?: Wanted<readonly number[]>;
  readonly connectionState?: readonly ("RELATED" | "ESTABLISHED" | "INVALID")[];
  readonly mark?: Wanted<number>;
  readonly connectionMark?: number;
  readonly owners?: readonly Owner[];
}

/** What happens to a packet that matches. */
export type Target =
  | { readonly kind: "return" | "accept" | "drop" | "save-mark" | "restore-mark" }
  | { readonly kind: "jump"; readonly chain: OwnChain }
  | { readonly kind: "redirect"; readonly port: number }
  | { readonly kind: "tproxy"; readonly port: number; readonly mark: number }
  | { readonly kind: "set-mark"; readonly mark: number }
  | { readonly kind: "zone"; readonly zone: number };

/** One rule. */
export interface Rule {
  readonly table: Table;
  readonly chain: Chain;
  /** Of one IP family only. Default: of both. */
  readonly family?: 4 | 6;
  /** Ahead of whatever the built-in chain holds already, instead of behind it. */
  readonly head?: boolean;
  readonly match: Match;
  readonly target: Target;
}

/** The order in which tables are filled: nat, which starts to redirect, when all else is in place. */
export const tables: readonly Table[] = ["raw", "mangle", "nat"];

/** True for Istio's chains, of whichever version. */
export function isOwnChain(chain: string): boolean {
  return chain.startsWith("ISTIO_");
}

/** Makes the rules of one chain, in order. */
export function chainRules(
  table: Table,
  chain: Chain,
  rules: readonly (readonly [Match, Target, (4 | 6 | undefined)?])[],
): readonly Rule[] {
  return rules.map(([match, target, family]) => ({ table, chain, match, target, ...(family === undefined ? {} : { family }) }));
}

/** Leaves the chain. */
export const toReturn: Target = { kind: "return" };

/** Goes on in another chain. */
export function jump(chain: OwnChain): Target {
  return { kind: "jump", chain };
}
