// Flags of `run` for the workload's own certificate, and Istio's variables and paths behind them, in the order of Istio's agent:
// an SDS socket, files, then istiod.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { InvalidArgumentError, type Command } from "commander";
import type { SocketAddress } from "../envoy/address.ts";
import { WORKLOAD_TTL_MS } from "../identity/ca/authority.ts";
import { parseSpiffeId, type WorkloadIdentity } from "../identity/ca/spiffe-id.ts";
import { defaultRenewal, type RenewalSettings } from "../identity/workload/schedule.ts";
import type { WorkloadOrigin } from "../proxy/workload-origin.ts";

/** As commander gives them. */
export interface WorkloadFlags {
  readonly certs?: string;
  readonly sds?: string;
  readonly caDir?: string;
  readonly caAddress?: SocketAddress;
  readonly caRootCert?: string;
  readonly tokenFile?: string;
  readonly certTtl?: number;
  readonly identity?: WorkloadIdentity;
}

/** Istio's paths in a pod. */
const socketPath = "/var/run/secrets/workload-spiffe-uds/socket";
const certsFolder = "/etc/certs";
const rootFile = "/var/run/secrets/istio/root-cert.pem";
const tokenFile = "/var/run/secrets/tokens/istio-token";

/** Adds the flags; `hostPort` reads an address. */
export function addWorkloadFlags(command: Command, hostPort: (text: string) => SocketAddress): void {
  command
    .option("--certs <dir>", "workload certificate from files that may rotate: cert-chain.pem, key.pem, root-cert.pem")
    .option("--sds <unix:path>", `workload certificate from an SDS server (default: ${socketPath} where it is)`, unixSocket)
    .option("--ca-dir <dir>", "workload certificate issued here from a cluster's intermediate (Istio's cacerts layout), and renewed")
    .option("--ca-address <host:port>", "workload certificate from istiod's certificate service (default: CA_ADDR), and renewed", hostPort)
    .option("--ca-root-cert <file>", `roots that istiod's own certificate must lead to (default: ${rootFile})`)
    .option("--token-file <file>", `the service account's token for istiod (default: ${tokenFile})`)
    .option("--cert-ttl <duration>", "life of issued certificates, as in 24h, 30m (default: SECRET_TTL, or 24h)", duration)
    .option("--identity <uri>", "whose certificates are issued (default: the node's namespace and service account)", spiffeId);
}

/** Where the certificate comes from; undefined: nowhere. The problem is the variable's or the flags' that cannot be used. */
export function workloadOrigin(
  flags: WorkloadFlags,
  environment: Readonly<Record<string, string | undefined>>,
  mesh: boolean,
  exists: (path: string) => boolean = existsSync,
): { readonly origin: WorkloadOrigin | undefined } | { readonly problem: string } {
  const given = (["certs", "sds", "caDir", "caAddress"] as const).filter((name) => flags[name] !== undefined);
  if (given.length > 1) {
    return { problem: "give one of --certs, --sds, --ca-dir and --ca-address: a workload's certificate comes from one place" };
  }
  if (flags.certs !== undefined) return { origin: { kind: "files", folder: flags.certs } };
  if (flags.sds !== undefined) return { origin: { kind: "sds", target: flags.sds } };
  const issued = readIssued(flags, environment);
  if ("problem" in issued) return issued;
  if (flags.caDir !== undefined) return { origin: { ...issued, kind: "authority", folder: flags.caDir } };
  if (flags.caAddress === undefined && !mesh) return { origin: undefined };
  if (flags.caAddress === undefined && exists(socketPath)) return { origin: { kind: "sds", target: `unix:${socketPath}` } };
  if (flags.caAddress === undefined && exists(join(certsFolder, "cert-chain.pem"))) {
    return { origin: { kind: "files", folder: certsFolder } };
  }
  const named = environment["CA_ADDR"];
  if (flags.caAddress === undefined && (named === undefined || named === "")) return { origin: undefined };
  const address = flags.caAddress ?? readAddress(named!);
  if (!address) return { problem: `CA_ADDR: "${named}" is no HOST:PORT` };
  return {
    origin: {
      ...issued,
      kind: "istiod",
      address,
      rootFile: flags.caRootCert ?? rootFile,
      tokenFile: flags.tokenFile ?? tokenFile,
      serverName: environment["CA_SNI"] || undefined,
    },
  };
}

interface Issued {
  readonly ttlMs: number;
  readonly renewal: RenewalSettings;
  readonly identity: WorkloadIdentity | undefined;
}

function readIssued(
  { certTtl, identity }: WorkloadFlags,
  environment: Readonly<Record<string, string | undefined>>,
): Issued | { readonly problem: string } {
  const ttl = environment["SECRET_TTL"];
  const ttlMs = certTtl ?? (ttl === undefined || ttl === "" ? WORKLOAD_TTL_MS : readDuration(ttl));
  if (ttlMs === undefined) return { problem: `SECRET_TTL: "${ttl}" is no duration, expected e.g. 24h` };
  const graceRatio = readRatio(environment["SECRET_GRACE_PERIOD_RATIO"], defaultRenewal.graceRatio);
  if (graceRatio === undefined) return { problem: "SECRET_GRACE_PERIOD_RATIO: expected a number from 0 to 1" };
  const graceJitter = readRatio(environment["SECRET_GRACE_PERIOD_RATIO_JITTER"], defaultRenewal.graceJitter);
  if (graceJitter === undefined) return { problem: "SECRET_GRACE_PERIOD_RATIO_JITTER: expected a number from 0 to 1" };
  return { ttlMs, renewal: { graceRatio, graceJitter }, identity };
}

function readRatio(text: string | undefined, otherwise: number): number | undefined {
  if (text === undefined || text === "") return otherwise;
  const value = Number(text);
  return value >= 0 && value <= 1 ? value : undefined;
}

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000 };

// Go's form, as Istio's variables have it: 24h0m0s.
function readDuration(text: string): number | undefined {
  if (!/^(\d{1,6}(\.\d{1,3})?[hms])+$/.test(text)) return undefined;
  let ms = 0;
  for (const [, amount, unit = ""] of text.matchAll(/([\d.]+)([hms])/g)) ms += Number(amount) * (unitMs[unit] ?? 0);
  return ms > 0 ? ms : undefined;
}

function duration(text: string): number {
  const ms = readDuration(text);
  if (ms === undefined) throw new InvalidArgumentError("Expected a duration, e.g. 24h, 30m or 90s.");
  return ms;
}

function unixSocket(text: string): string {
  const [, path] = /^unix:(?:\/\/)?(.+)$/.exec(text) ?? [];
  if (path === undefined) throw new InvalidArgumentError("Expected a Unix socket, e.g. unix:/var/run/sds.sock.");
  return `unix:${resolve(path)}`;
}

function spiffeId(text: string): WorkloadIdentity {
  const identity = parseSpiffeId(text);
  if (!identity) throw new InvalidArgumentError("Expected spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT.");
  return identity;
}

function readAddress(text: string): SocketAddress | undefined {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = bracketed ?? plain;
  return address === undefined || Number(port) > 65_535 ? undefined : { address, port: Number(port) };
}
