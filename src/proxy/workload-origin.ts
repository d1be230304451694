// Where the workload's certificate comes from, and the feed that brings it.
import type { Clock } from "../clock.ts";
import type { Node } from "../envoy/bootstrap.ts";
import type { SocketAddress } from "../envoy/address.ts";
import type { WorkloadIdentity } from "../identity/ca/spiffe-id.ts";
import { createCaDirectoryIssuer } from "../identity/workload/ca-directory-issuer.ts";
import { createIssuedFeed } from "../identity/workload/issued-feed.ts";
import type { RenewalSettings } from "../identity/workload/schedule.ts";
import { workloadSecretNames, type SecretFeed } from "../identity/workload/secret-feed.ts";
import { readLocalFile } from "../source/read-file.ts";
import { type FileWatch, watchFiles } from "../source/watch.ts";
import type { Logger } from "../telemetry/logger.ts";
import { unusableCertificate } from "./certificates.ts";
import { createFilesFeed } from "./files-feed.ts";

/** What an issued certificate is like. */
export interface IssuedOrigin {
  /** Milliseconds of life. */
  readonly ttlMs: number;
  readonly renewal: RenewalSettings;
  /** Wins over what the node says. */
  readonly identity?: WorkloadIdentity | undefined;
}

/** Where the workload's certificate comes from. */
export type WorkloadOrigin =
  | { readonly kind: "files"; readonly folder: string }
  /** gRPC target: `unix:/path`. */
  | { readonly kind: "sds"; readonly target: string }
  | (IssuedOrigin & { readonly kind: "authority"; readonly folder: string })
  | (IssuedOrigin & {
      readonly kind: "istiod";
      readonly address: SocketAddress;
      readonly rootFile: string;
      readonly tokenFile: string;
      readonly serverName?: string | undefined;
    });

/** Who this proxy is, as far as its configuration says. */
export interface WorkloadNode {
  readonly node: Node;
  readonly trustDomain?: string;
}

/** What feeds are made with. */
export interface WorkloadFeedDeps {
  readonly workload: () => WorkloadNode;
  /** Look at files when they change. */
  readonly watch: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly onChange: () => void;
}

/** Makes the feed of an origin. gRPC is loaded by those who speak it: it takes a quarter of a second. */
export async function createWorkloadFeed(origin: WorkloadOrigin, deps: WorkloadFeedDeps): Promise<SecretFeed> {
  switch (origin.kind) {
    case "files":
      return createFilesFeed({ ...deps, folder: origin.folder });
    case "sds":
      return createServerFeed(origin.target, Object.values(workloadSecretNames), deps);
    case "authority":
      return createAuthorityFeed(origin, deps);
    case "istiod": {
      const { createIstiodIssuer } = await import("../identity/workload/istiod-issuer.ts");
      const clusterId = (): string | undefined => textOf(deps.workload().node.metadata["CLUSTER_ID"]);
      const issuer = createIstiodIssuer({ ...origin, clusterId });
      return createIssuedFeed({ ...deps, issuer, renewal: origin.renewal, identity: () => identityOf(origin, deps.workload()) });
    }
  }
}

/** Secrets of an SDS server by name. */
export async function createServerFeed(target: string, names: readonly string[], deps: WorkloadFeedDeps): Promise<SecretFeed> {
  const { createSdsFeed } = await import("../identity/sds/sds-feed.ts");
  const node = (): Node => deps.workload().node;
  const watch = deps.watch
    ? (paths: readonly string[], onChange: () => void): FileWatch => watchFiles(paths, onChange, { clock: deps.clock })
    : undefined;
  return createSdsFeed({ target, names }, { ...deps, readFile: readLocalFile, watchFiles: watch, unusable: unusableCertificate, node });
}

// An authority that is replaced is used at once: its root may be on its way out.
function createAuthorityFeed(origin: WorkloadOrigin & { readonly kind: "authority" }, deps: WorkloadFeedDeps): SecretFeed {
  const issuer = createCaDirectoryIssuer({ folder: origin.folder, ttlMs: origin.ttlMs }, deps.clock);
  const identity = (): WorkloadIdentity | undefined => identityOf(origin, deps.workload());
  const feed = createIssuedFeed({ ...deps, issuer, renewal: origin.renewal, identity });
  if (!deps.watch) return feed;
  const watch = watchFiles([origin.folder], () => void feed.renew(), { clock: deps.clock });
  return {
    get secrets() {
      return feed.secrets;
    },
    get ready() {
      return feed.ready;
    },
    start: async () => {
      await watch.ready;
      return feed.start();
    },
    refresh: () => feed.refresh(),
    close: () => {
      watch.close();
      feed.close();
    },
  };
}

function identityOf({ identity }: IssuedOrigin, { node, trustDomain = "cluster.local" }: WorkloadNode): WorkloadIdentity | undefined {
  if (identity) return identity;
  const namespace = textOf(node.metadata["NAMESPACE"]);
  const serviceAccount = textOf(node.metadata["SERVICE_ACCOUNT"]);
  return namespace === undefined || serviceAccount === undefined ? undefined : { trustDomain, namespace, serviceAccount };
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);
