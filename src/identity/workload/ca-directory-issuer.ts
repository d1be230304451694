// Issues from the intermediate of a folder (Istio's cacerts layout), read anew each time: a replaced authority is used at once.
import { systemClock, type Clock } from "../../clock.ts";
import { issueWorkload } from "../ca/authority.ts";
import { readAuthority } from "../ca/ca-files.ts";
import { verifyChain } from "../ca/verify.ts";
import type { CertificateIssuer } from "./issuer.ts";

/** Where the authority is and what it makes. */
export interface CaDirectoryOptions {
  readonly folder: string;
  /** Milliseconds a certificate lives. */
  readonly ttlMs: number;
}

/** An issuer over a folder. */
export function createCaDirectoryIssuer(options: CaDirectoryOptions, clock: Clock = systemClock): CertificateIssuer {
  const { folder, ttlMs } = options;
  return {
    issue: async (identity) => {
      const refuse = (problem: string) => ({ ok: false, fatal: true, problem }) as const;
      const nowMs = clock.wallMs();
      const authority = readAuthority(folder);
      if (!authority.ok) return refuse(authority.issues[0]!.message);
      const issued = issueWorkload(authority.value, { ...identity, nowMs, ttlMs });
      if (!issued.ok) return refuse(`${folder}: ${issued.issues[0]!.message}`);
      const { chain, key, roots } = issued.value;
      // What peers would refuse is better refused here, where the authority is known.
      const [fault] = verifyChain({ chain, roots, nowMs });
      if (fault) return refuse(`${folder}: certificate ${Number(fault.path[0] ?? 0) + 1} of the chain: ${fault.message}`);
      const pem = (certificates: typeof chain): string => certificates.map((certificate) => certificate.toString()).join("");
      const privateKey = key.export({ type: "pkcs8", format: "pem" }).toString();
      return { ok: true, certificate: { certificateChain: pem(chain), privateKey }, trustedCa: pem(roots) };
    },
  };
}
