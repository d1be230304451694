// `isthmus ca`: mints and inspects the certificates of a mesh. A shell over identity/ca: arguments in, files and text out.
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { InvalidArgumentError, Option, type Command } from "commander";
import { systemClock } from "../clock.ts";
import type { Issue, Result } from "../error.ts";
import {
  AUTHORITY_TTL_MS,
  WORKLOAD_TTL_MS,
  createIntermediateCa,
  createRootCa,
  issueWorkload,
  type CertificateAuthority,
  type KeyKind,
  type WorkloadCertificate,
} from "../identity/ca/authority.ts";
import {
  caFileNames,
  readAuthority,
  readCertificates,
  readKey,
  writeIntermediateCa,
  writeRootCa,
  writeWorkload,
} from "../identity/ca/ca-files.ts";
import { describeCertificate, type CertificateDescription } from "../identity/ca/describe.ts";
import { parseSpiffeId, type WorkloadIdentity } from "../identity/ca/spiffe-id.ts";
import { verifyChain } from "../identity/ca/verify.ts";

interface IssueFlags {
  readonly out: string;
  readonly ttl: number;
  readonly key: KeyKind;
  readonly force: boolean;
  readonly json: boolean;
}

interface IntermediateFlags extends IssueFlags {
  readonly root: string;
  readonly cluster: string;
  readonly organization: string;
  readonly pathLength: number;
}

interface WorkloadFlags extends IssueFlags {
  readonly ca: string;
  readonly identity?: string;
  readonly namespace?: string;
  readonly serviceAccount?: string;
  readonly trustDomain: string;
  readonly dns: readonly string[];
}

interface VerifyFlags {
  readonly root?: string;
  readonly identity?: string;
  readonly json: boolean;
}

/** The thing asked about is wrong. */
const EXIT_WRONG = 1;
/** The command was used wrongly. */
const EXIT_USAGE = 2;

/** Adds `ca` and its subcommands to `program`. */
export function registerCa(program: Command): void {
  const ca = program.command("ca").description("mint and inspect the certificates of a mesh (Istio's cacerts layout)");

  issuing(ca.command("root").description("make a self-signed root"), AUTHORITY_TTL_MS)
    .option("--organization <name>", "organization in the subject", "Istio")
    .action((flags: IssueFlags & { organization: string }, command: Command) => {
      const made = createRootCa({ ...issue(flags), organization: flags.organization });
      finish(command, flags, { ok: true, value: made, issues: [] }, writeRootCa);
    });

  issuing(ca.command("intermediate").description("make a cluster's intermediate below a root"), AUTHORITY_TTL_MS)
    .requiredOption("--root <dir>", "directory of the root, or of an intermediate whose path length allows another")
    .requiredOption("--cluster <name>", "the cluster it is for")
    .option("--organization <name>", "organization in the subject", "Istio")
    .option("--path-length <n>", "how many authorities may stand below it (default: 0, workloads only)", parsePathLength, 0)
    .action((flags: IntermediateFlags, command: Command) => {
      const root = expect(command, readAuthority(flags.root));
      const { cluster, organization, pathLength } = flags;
      const made = createIntermediateCa(root, { ...issue(flags), cluster, organization, pathLength });
      finish(command, flags, made, writeIntermediateCa);
    });

  issuing(ca.command("workload").description("make a workload's certificate"), WORKLOAD_TTL_MS)
    .requiredOption("--ca <dir>", "directory of the cluster's intermediate (or of the root)")
    .option("--identity <uri>", "spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT")
    .option("--namespace <name>", "namespace of the workload")
    .option("--service-account <name>", "service account of the workload")
    .option("--trust-domain <name>", "trust domain of the mesh", "cluster.local")
    .option("--dns <name>", "a DNS name beside the identity; may be repeated", collect, [])
    .action((flags: WorkloadFlags, command: Command) => {
      const identity = readIdentity(command, flags);
      const made = issueWorkload(expect(command, readAuthority(flags.ca)), { ...issue(flags), ...identity, dns: flags.dns });
      finish(command, flags, made, writeWorkload);
    });

  ca.command("show")
    .description("print what the certificates of a file say")
    .argument("<file>", "PEM file")
    .option("--json", "print JSON", false)
    .action((file: string, { json }: { json: boolean }, command: Command) => {
      const descriptions = expect(command, readCertificates(file)).map(describeCertificate);
      print(command, json ? `${JSON.stringify(descriptions, null, 2)}\n` : descriptions.map(formatDescription).join("\n"));
    });

  ca.command("verify")
    .description("check a chain: signatures, dates, usages, path lengths, and the key beside it")
    .argument("<path>", "PEM file with the chain, or a directory written by this command")
    .option("--root <file>", "PEM file with the trusted roots (default: root-cert.pem beside the chain)")
    .option("--identity <uri>", "the SPIFFE ID that the first certificate must have")
    .option("--json", "print JSON", false)
    .action(verify);
}

function issuing(command: Command, ttlMs: number): Command {
  return command
    .requiredOption("--out <dir>", "directory to write to; made when missing")
    .addOption(new Option("--ttl <duration>", "life, as in 90d, 24h, 30m").argParser(parseTtl).default(ttlMs, formatTtl(ttlMs)))
    .addOption(new Option("--key <kind>", "kind of key").choices(["ec", "rsa"]).default("ec"))
    .option("--force", "replace files that are there", false)
    .option("--json", "print JSON", false);
}

function issue(flags: IssueFlags): { readonly nowMs: number; readonly ttlMs: number; readonly keyKind: KeyKind } {
  return { nowMs: systemClock.wallMs(), ttlMs: flags.ttl, keyKind: flags.key };
}

function collect(value: string, values: readonly string[]): readonly string[] {
  return [...values, value];
}

const UNIT_MS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000 } as const;

function parseTtl(text: string): number {
  const match = /^([1-9][0-9]{0,6})([dhms])$/.exec(text);
  if (!match) throw new InvalidArgumentError("a number and d, h, m or s was expected, as in 24h.");
  return Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
}

function parsePathLength(text: string): number {
  if (!/^[0-9]$/.test(text)) throw new InvalidArgumentError("a number from 0 to 9 was expected.");
  return Number(text);
}

function formatTtl(ms: number): string {
  return ms % UNIT_MS.d === 0 && ms > UNIT_MS.d ? `${ms / UNIT_MS.d}d` : `${ms / UNIT_MS.h}h`;
}

function readIdentity(command: Command, flags: WorkloadFlags): WorkloadIdentity {
  const { identity, namespace, serviceAccount, trustDomain } = flags;
  if (identity !== undefined) {
    const parsed = parseSpiffeId(identity);
    return parsed ?? usage(command, `--identity ${identity} is not of the form spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT`);
  }
  if (namespace !== undefined && serviceAccount !== undefined) return { trustDomain, namespace, serviceAccount };
  return usage(command, "either --identity or both --namespace and --service-account are needed");
}

function finish<Made extends CertificateAuthority | WorkloadCertificate>(
  command: Command,
  flags: IssueFlags,
  made: Result<Made>,
  write: (directory: string, made: Made, options: { force: boolean }) => Result<readonly string[]>,
): void {
  const value = expect(command, made);
  const files = expect(command, write(flags.out, value, { force: flags.force }));
  // The default life is as long as that of the signer made just before: being cut is news only for a life that was asked for.
  const warnings = command.getOptionValueSource("ttl") === "cli" ? made.issues : [];
  for (const { message } of warnings) command.configureOutput().writeErr?.(`warning: ${message}\n`);
  const certificate = describeCertificate(value.certificate);
  if (flags.json) print(command, `${JSON.stringify({ files, certificate }, null, 2)}\n`);
  else print(command, `${formatDescription(certificate)}${files.map((file) => `wrote        ${file}\n`).join("")}`);
}

function verify(path: string, flags: VerifyFlags, command: Command): void {
  const directory = existsSync(path) && statSync(path).isDirectory() ? path : undefined;
  const chainPath = directory === undefined ? path : firstPresent(directory, [caFileNames.workload.chain, caFileNames.root.certificate]);
  const rootPath = flags.root ?? join(directory ?? join(path, ".."), caFileNames.root.certificate);
  const keyPath = directory && firstPresent(directory, [caFileNames.workload.key, caFileNames.intermediate.key, caFileNames.root.key]);
  const chain = expect(command, readCertificates(chainPath));
  const roots = expect(command, readCertificates(rootPath));
  const key = keyPath !== undefined && existsSync(keyPath) ? expect(command, readKey(keyPath)) : undefined;
  const issues = verifyChain({
    chain,
    roots,
    nowMs: systemClock.wallMs(),
    ...(key ? { key } : {}),
    ...(flags.identity === undefined ? {} : { identity: flags.identity }),
  });
  const ok = issues.length === 0;
  if (flags.json) print(command, `${JSON.stringify({ ok, issues }, null, 2)}\n`);
  else if (ok) print(command, `${chainPath}: good until ${earliestEnd(chain).toISOString()}\n`);
  if (!ok)
    fail(
      command,
      flags.json ? [] : issues.map((found) => ({ ...found, message: `${chainPath}: certificate ${where(found)}: ${found.message}` })),
    );
}

function where({ path }: Issue): string {
  return String(Number(path[0] ?? 0) + 1);
}

function firstPresent(directory: string, names: readonly string[]): string {
  return join(directory, names.find((name) => existsSync(join(directory, name))) ?? names[0]!);
}

function earliestEnd(chain: readonly { readonly validToDate: Date }[]): Date {
  return chain.map(({ validToDate }) => validToDate).reduce((left, right) => (left < right ? left : right));
}

function expect<T>(command: Command, result: Result<T>): T {
  return result.ok ? result.value : fail(command, result.issues);
}

function fail(command: Command, issues: readonly Issue[]): never {
  return command.error(issues.map(({ message }) => `error: ${message}`).join("\n"), { exitCode: EXIT_WRONG, code: "isthmus.failed" });
}

function usage(command: Command, message: string): never {
  return command.error(`error: ${message}`, { exitCode: EXIT_USAGE, code: "isthmus.usage" });
}

function print(command: Command, text: string): void {
  command.configureOutput().writeOut?.(text);
}

function formatDescription(description: CertificateDescription): string {
  const lines: readonly (readonly [string, string])[] = [
    ["subject", description.subject || "(empty)"],
    ["issuer", description.issuer || "(empty)"],
    ["serial", description.serialNumber],
    ["valid", `${description.notBefore} to ${description.notAfter}`],
    ["names", [...description.uris, ...description.dnsNames, ...description.ipAddresses].join(", ") || "(none)"],
    ["authority", description.isCa ? `yes, path length ${description.pathLength ?? "not limited"}` : "no"],
    ["usage", [...description.keyUsage, ...description.extendedKeyUsage].join(", ")],
    ["public key", description.publicKey],
    ["sha256", description.fingerprintSha256],
  ];
  return lines.map(([label, value]) => `${label.padEnd(12)} ${value}\n`).join("");
}
