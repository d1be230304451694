// Istiod's certificate service over TLS, issuing from a test's own authority: checks the token, signs what it is asked to.
import { Metadata, Server, ServerCredentials, status, type sendUnaryData, type ServerUnaryCall } from "@grpc/grpc-js";
import { certifyWorkload, type CertificateAuthority } from "../../../src/identity/ca/authority.ts";
import { readSigningRequest } from "./read-signing-request.ts";
import { certificateService } from "../../../src/identity/workload/istiod-issuer.ts";
import { makeCa } from "../certs.ts";
import { valueOf, type Ending } from "./authorities.ts";

interface Request {
  readonly csr: string;
  readonly validity_duration: string;
}

/** What one request said. */
export interface Asked {
  readonly token: string;
  readonly clusterId: string;
  readonly validitySeconds: number;
  readonly csr: string;
}

/** A running service. */
export interface CertificateService {
  readonly port: number;
  /** PEM root of the service's own certificate. */
  readonly root: string;
  readonly asked: Asked[];
  /** What becomes of requests from now on. */
  become(behaviour: Behaviour): void;
}

/** `serve`: issue for `token`; a status: refuse with it; `other-key`: answer with a certificate for another key. */
export type Behaviour = "serve" | "other-key" | "garbage" | { readonly code: status; readonly details: string };

/** Starts a service that issues for `account` to whoever has the token `token`. */
export async function startCertificateService(
  t: Ending,
  authority: CertificateAuthority,
  options: { readonly token: string; readonly account: string; readonly ttlMs?: number },
): Promise<CertificateService> {
  const ca = makeCa("istiod's root");
  const own = ca.issue({ dns: ["istiod.istio-system.svc"], ip: [Buffer.from([127, 0, 0, 1])] });
  const asked: Asked[] = [];
  let behaviour: Behaviour = "serve";
  const CreateCertificate = (call: ServerUnaryCall<Request, unknown>, answer: sendUnaryData<unknown>): void => {
    const first = (name: string): string => String((call.metadata ?? new Metadata()).get(name)[0] ?? "");
    const { csr, validity_duration } = call.request;
    const token = first("authorization").replace(/^Bearer /, "");
    asked.push({ token, clusterId: first("clusterid"), validitySeconds: Number(validity_duration), csr });
    if (typeof behaviour === "object") return answer(behaviour);
    if (token !== options.token) return answer({ code: status.UNAUTHENTICATED, details: "request authenticate failure" });
    const key = readSigningRequest(behaviour === "other-key" ? otherRequest : csr);
    if (behaviour === "other-key") otherRequest = csr;
    if (!key) return answer({ code: status.INVALID_ARGUMENT, details: "CSR Sign failure" });
    const identity = { trustDomain: "cluster.local", namespace: "default", serviceAccount: options.account };
    const ttlMs = options.ttlMs ?? Number(validity_duration) * 1000;
    const chain = valueOf(certifyWorkload(authority, key, { ...identity, nowMs: Date.now(), ttlMs }));
    const roots = authority.roots.map(String).join("");
    answer(null, { cert_chain: behaviour === "garbage" ? ["no certificate", "at all"] : [...chain.map(String), roots] });
  };
  let otherRequest = "";
  const server = new Server();
  server.addService(certificateService, { CreateCertificate });
  const credentials = ServerCredentials.createSsl(null, [{ cert_chain: Buffer.from(own.chain), private_key: Buffer.from(own.key) }]);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  t.after(() => server.forceShutdown());
  return { port, root: ca.cert, asked, become: (next) => (behaviour = next) };
}
