// Istiod's certificate service: a signing request goes out with the service account's token, a chain comes back. The key is
// made here and never leaves.
import type { KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Client, Metadata, credentials, status, type ServiceDefinition, type ServiceError } from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";
import type { SocketAddress } from "../../envoy/address.ts";
import { createKeyPair } from "../ca/authority.ts";
import { parseChain } from "../ca/describe.ts";
import { createSigningRequest } from "../ca/signing-request.ts";
import { formatSpiffeId } from "../ca/spiffe-id.ts";
import type { CertificateIssuer, Issued } from "./issuer.ts";

/** Where istiod is and how it is spoken to. */
export interface IstiodIssuerOptions {
  readonly address: SocketAddress;
  /** PEM roots that istiod's own certificate must lead to; read anew for each connection. */
  readonly rootFile: string;
  /** The service account's token, read anew for each request: Kubernetes rotates it. */
  readonly tokenFile: string;
  /** The name in istiod's certificate where it is not the address's: Istio's CA_SNI. */
  readonly serverName?: string | undefined;
  /** The cluster the token belongs to, for an istiod that serves several. */
  readonly clusterId: () => string | undefined;
  /** Milliseconds of life to ask for. */
  readonly ttlMs: number;
}

/** Milliseconds for one request. */
const deadlineMs = 10_000;

interface CertificateRequest {
  readonly csr: string;
  readonly validity_duration: string;
}

interface CertificateResponse {
  readonly cert_chain?: readonly string[];
}

/** Istio's istio.v1.auth.IstioCertificateService, as far as it is used. */
const protocol = {
  nested: {
    istio: {
      nested: {
        v1: {
          nested: {
            auth: {
              nested: {
                IstioCertificateRequest: {
                  fields: { csr: { type: "string", id: 1 }, validity_duration: { type: "int64", id: 3 } },
                },
                IstioCertificateResponse: { fields: { cert_chain: { rule: "repeated", type: "string", id: 1 } } },
                IstioCertificateService: {
                  methods: {
                    CreateCertificate: { requestType: "IstioCertificateRequest", responseType: "IstioCertificateResponse" },
                  },
                },
              },
            },
          },
        },
      },
    },
  },
};

/** The service's definition, for clients and for servers. */
export const certificateService = fromJSON(protocol as unknown as Parameters<typeof fromJSON>[0], { keepCase: true, longs: String })[
  "istio.v1.auth.IstioCertificateService"
] as ServiceDefinition;

/** An issuer that asks istiod. */
export function createIstiodIssuer(options: IstiodIssuerOptions): CertificateIssuer {
  return new IstiodIssuer(options);
}

class IstiodIssuer implements CertificateIssuer {
  readonly #options: IstiodIssuerOptions;
  readonly #where: string;
  #client: { readonly roots: string; readonly client: Client } | undefined;

  constructor(options: IstiodIssuerOptions) {
    this.#options = options;
    const { address, port } = options.address;
    this.#where = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  }

  async issue(identity: Parameters<CertificateIssuer["issue"]>[0]): Promise<Issued> {
    const { rootFile, tokenFile, ttlMs } = this.#options;
    const roots = await readText(rootFile);
    if (typeof roots !== "string") return failed(`the roots for istiod, ${rootFile}, cannot be read (${roots.code})`);
    const token = await readText(tokenFile);
    if (typeof token !== "string") return failed(`the token for istiod, ${tokenFile}, cannot be read (${token.code})`);
    const { privateKey } = createKeyPair("ec", 2048);
    const request = {
      csr: createSigningRequest(privateKey, formatSpiffeId(identity)),
      validity_duration: String(Math.round(ttlMs / 1000)),
    };
    const answer = await this.#call(roots, token.trim(), request);
    if (!answer.ok) return failed(answer.problem);
    const issued = readResponse(answer.response, privateKey);
    if (!issued) return failed(`${this.#where} answered with something that is no certificate for the key of the request`);
    return issued;
  }

  close(): void {
    this.#client?.client.close();
    this.#client = undefined;
  }

  #call(
    roots: string,
    token: string,
    request: CertificateRequest,
  ): Promise<{ readonly ok: true; readonly response: CertificateResponse } | { readonly ok: false; readonly problem: string }> {
    let client: Client;
    try {
      client = this.#connect(roots);
    } catch {
      // OpenSSL's words may quote the file.
      return Promise.resolve({ ok: false, problem: `${this.#options.rootFile} holds no PEM certificates to verify istiod with` });
    }
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${token}`);
    const clusterId = this.#options.clusterId();
    if (clusterId !== undefined && clusterId !== "") metadata.set("clusterid", clusterId);
    const { path, requestSerialize, responseDeserialize } = certificateService["CreateCertificate"]!;
    return new Promise((resolve) => {
      client.makeUnaryRequest<CertificateRequest, CertificateResponse>(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        { deadline: Date.now() + deadlineMs },
        (error, response) => {
          if (error === null && response) return resolve({ ok: true, response });
          // A connection that does not work is made anew: the roots, or the address behind the name, may have changed.
          this.close();
          resolve({ ok: false, problem: this.#explain(error) });
        },
      );
    });
  }

  #connect(roots: string): Client {
    if (this.#client?.roots === roots) return this.#client.client;
    this.close();
    const { serverName } = this.#options;
    const client = new Client(this.#where, credentials.createSsl(Buffer.from(roots)), {
      "grpc.enable_retries": 0,
      ...(serverName === undefined ? {} : { "grpc.ssl_target_name_override": serverName, "grpc.default_authority": serverName }),
    });
    this.#client = { roots, client };
    return client;
  }

  #explain(error: ServiceError | null): string {
    const { code, details } = error ?? { code: status.UNKNOWN, details: "no answer" };
    const said = `${status[code] ?? code}: ${details}`;
    switch (code) {
      case status.UNAUTHENTICATED:
      case status.PERMISSION_DENIED:
        return `istiod at ${this.#where} does not accept this workload, check the token ${this.#options.tokenFile} (${said})`;
      case status.UNAVAILABLE:
        return `istiod at ${this.#where} cannot be reached, or its certificate does not lead to ${this.#options.rootFile} (${said})`;
      case status.DEADLINE_EXCEEDED:
        return `istiod at ${this.#where} did not answer within ${deadlineMs / 1000} s (${said})`;
      default:
        return `istiod at ${this.#where} issued no certificate (${said})`;
    }
  }
}

// The last entry is the root, perhaps with the roots beside it; what is before is the chain.
function readResponse({ cert_chain: entries = [] }: CertificateResponse, key: KeyObject): Issued | undefined {
  const roots = parseChain(entries.at(-1) ?? "");
  const chain = parseChain(entries.slice(0, -1).join("\n"));
  if (!roots.ok || !chain.ok || !chain.value[0]!.checkPrivateKey(key)) return undefined;
  const privateKey = key.export({ type: "pkcs8", format: "pem" }).toString();
  // With Istio's cacerts layout the root ends the chain as well; peers have it.
  const isRoot = new Set(roots.value.map(({ fingerprint256 }) => fingerprint256));
  const certificateChain = pem(chain.value.filter(({ fingerprint256 }) => !isRoot.has(fingerprint256)));
  return { ok: true, certificate: { certificateChain, privateKey }, trustedCa: pem(roots.value) };
}

const failed = (problem: string): Issued => ({ ok: false, fatal: false, problem });

const pem = (certificates: readonly X509Certificate[]): string => certificates.map((certificate) => certificate.toString()).join("");

async function readText(path: string): Promise<string | { readonly code: string }> {
  try {
    return await readFile(path, "utf8");
  } catch (thrown) {
    return { code: (thrown as NodeJS.ErrnoException).code ?? "unknown" };
  }
}
