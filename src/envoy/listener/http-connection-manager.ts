// Envoy extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, narrowed.
import type { CidrRange } from "../address.ts";
import type { AccessLog } from "../access-log.ts";
import type { Http2Options } from "../http2-options.ts";
import type { FilterConfig } from "./listener.ts";
import type { LocalReplyConfig } from "./local-reply-config.ts";
import type { RouteConfiguration } from "../route/route.ts";

/** What happens to `%2F`, `%2f`, `%5C`, `%5c` in paths. */
export type EscapedSlashesAction = "KEEP_UNCHANGED" | "REJECT_REQUEST" | "UNESCAPE_AND_REDIRECT" | "UNESCAPE_AND_FORWARD";

/** forward_client_cert_details. */
export type ForwardClientCert = "SANITIZE" | "FORWARD_ONLY" | "APPEND_FORWARD" | "SANITIZE_SET" | "ALWAYS_FORWARD_ONLY";

/** HttpConnectionManager. */
export interface HttpConnectionManagerConfig {
  readonly statPrefix: string;
  readonly codecType: "AUTO" | "HTTP1" | "HTTP2";
  readonly routes: { readonly kind: "inline"; readonly config: RouteConfiguration } | { readonly kind: "rds"; readonly name: string };
  readonly httpFilters: readonly FilterConfig[];
  readonly accessLog: readonly AccessLog[];
  readonly addUserAgent: boolean;
  readonly useRemoteAddress: boolean;
  readonly xffNumTrustedHops: number;
  /** internal_address_config: whose x-envoy-* control headers count. Nobody's by default. */
  readonly internalRanges: readonly CidrRange[];
  readonly skipXffAppend: boolean;
  readonly via: string;
  readonly generateRequestId: boolean;
  readonly preserveExternalRequestId: boolean;
  readonly alwaysSetRequestIdInResponse: boolean;
  readonly forwardClientCertDetails: ForwardClientCert;
  readonly setCurrentClientCertDetails: {
    readonly subject: boolean;
    readonly cert: boolean;
    readonly chain: boolean;
    readonly dns: boolean;
    readonly uri: boolean;
  };
  readonly proxy100Continue: boolean;
  readonly serverName: string;
  readonly serverHeaderTransformation: "OVERWRITE" | "APPEND_IF_ABSENT" | "PASS_THROUGH";
  readonly schemeHeaderOverwrite: string;
  readonly normalizePath: boolean;
  readonly mergeSlashes: boolean;
  readonly escapedSlashesAction: EscapedSlashesAction;
  readonly stripPort: "none" | "matching" | "any";
  readonly stripTrailingHostDot: boolean;
  readonly appendXForwardedPort: boolean;
  /** Default 60. */
  readonly maxRequestHeadersKb: number;
  /** Default 100. */
  readonly maxHeadersCount: number;
  /** 0 = unlimited. */
  readonly maxRequestsPerConnection: number;
  /** Default 1 h; 0 = none. */
  readonly idleTimeoutMs: number;
  /** 0 = none. */
  readonly maxConnectionDurationMs: number;
  /** Default 5 min; 0 = none. */
  readonly streamIdleTimeoutMs: number;
  /** 0 = none. */
  readonly maxStreamDurationMs: number;
  /** 0 = none. */
  readonly requestTimeoutMs: number;
  readonly requestHeadersTimeoutMs: number;
  /** Default 5 s. */
  readonly drainTimeoutMs: number;
  /** Default 1 s. */
  readonly delayedCloseTimeoutMs: number;
  readonly headersWithUnderscores: "ALLOW" | "REJECT_REQUEST" | "DROP_HEADER";
  readonly acceptHttp10: boolean;
  readonly defaultHostForHttp10: string;
  readonly allowAbsoluteUrl: boolean;
  readonly enableTrailers: boolean;
  readonly properCaseHeaders: boolean;
  readonly allowChunkedLength: boolean;
  /** http2_protocol_options. */
  readonly http2: Http2Options;
  /** Upgrade type (lower case) to enabled. */
  readonly upgrades: Readonly<Record<string, boolean>>;
  readonly suppressEnvoyHeaders: boolean;
  /** local_reply_config; absent: replies go out as they are. */
  readonly localReplies?: LocalReplyConfig;
}
