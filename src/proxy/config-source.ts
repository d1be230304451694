// What a source of configuration yields, whichever it is: resources for the workers, and what else the process needs.
import type { ConfigView, LocatedIssue } from "../admin/admin-context.ts";
import type { NameTableJson } from "../dns/name-table.ts";
import type { ServicePorts } from "../dns/service-ports.ts";
import type { SocketAddress } from "../envoy/address.ts";
import type { RejectedResource } from "../envoy/bootstrap-decoder.ts";
import type { Node, Resources } from "../envoy/bootstrap.ts";
import type { ResourceIssue } from "../snapshot/resource-issue.ts";

/** One load. */
export interface LoadedConfig {
  readonly node: Node;
  /** The trust domain of the mesh; undefined where the source does not say. */
  readonly trustDomain?: string;
  /** SDS servers that the configuration names, by gRPC target, and the secrets it wants of each. */
  readonly secretServers?: readonly { readonly target: string; readonly names: readonly string[] }[];
  /** The bootstrap's own admin address; the command line's wins. */
  readonly admin: SocketAddress | undefined;
  readonly resources: Resources;
  /** Resources that were refused by themselves: what is in force of them stays. */
  readonly rejected: readonly RejectedResource[];
  /** Says where in the source an issue of a resource is, and what it is. */
  readonly locate: (issue: ResourceIssue) => string;
  /** Clusters that routes name without there being any, as meant; default none. */
  readonly meantAbsent?: (cluster: string) => boolean;
  /** As written or translated, for /config_dump. */
  readonly bootstrap: unknown;
  readonly json: ConfigView["json"];
  /** What the DNS responder answers; undefined where the source has no names. */
  readonly nameTable: NameTableJson | undefined;
  /** The ports of the names, for SRV; undefined where the source knows none. */
  readonly servicePorts?: ServicePorts;
  /** Everything that is not honoured or was refused while the rest is served. */
  readonly issues: readonly LocatedIssue[];
  /** A file was being written, and what it said before was taken: to be loaded again in a moment, change or no change. */
  readonly unfinished: boolean;
  /** Files and folders whose changes call for another load. */
  readonly paths: readonly string[];
}

/** A load that may be used, or every reason why not. `paths` are watched either way: the repair is to be seen. */
export type LoadResult =
  | { readonly ok: true; readonly config: LoadedConfig }
  | { readonly ok: false; readonly issues: readonly LocatedIssue[]; readonly paths: readonly string[] };

/** Where configuration comes from. */
export interface ConfigSource {
  readonly kind: ConfigView["source"];
  /** Milliseconds without a change after which files are worth loading. */
  readonly quietMs: number;
  /** What is known to be read before anything was; watched from before the first load, so that no change falls between. */
  readonly paths: readonly string[];
  /**
   * Loads everything again.
   * @param previous what is in force: a source may keep the last good version of what is bad now; without it any error refuses the load
   */
  load(previous: LoadedConfig | undefined): Promise<LoadResult>;
  /** Says to whom it is told that another load would yield something else though no file changed; the latest wins. */
  onChange?(changed: () => void): void;
  /** Ends what goes on between loads. */
  close?(): void;
}
