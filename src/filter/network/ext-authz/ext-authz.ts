// envoy.filters.network.ext_authz: holds a connection until an authorization server has said whether it may go on. Asked when the
// connection arrives; Envoy asks at its first byte.
import type { NetworkExtAuthzConfig } from "../../../envoy/http-filter/ext-authz.ts";
import { compileMetadataMatcher } from "../../../match/metadata-matcher.ts";
import type { Connection } from "../../../net/connection.ts";
import { flag } from "../../../telemetry/response-flag.ts";
import { setDynamicMetadata } from "../../../telemetry/stream-info.ts";
import { type CallResult, failedCall } from "../../../upstream/call/call.ts";
import { callGrpc } from "../../../upstream/call/grpc-call.ts";
import { checkPath, decodeCheckResponse, encodeCheckRequest } from "../../auth-check.ts";
import type { NetworkFilter, NetworkFilterContext, NetworkFilterSpec } from "../../filter.ts";

/** The network external authorization filter. */
export const networkExtAuthz: NetworkFilterSpec = {
  extension: "envoy.filters.network.ext_authz",
  terminal: false,
  create: (config, context) => new NetworkExtAuthz(config as NetworkExtAuthzConfig, context),
};

class NetworkExtAuthz implements NetworkFilter {
  readonly #config: NetworkExtAuthzConfig;
  readonly #context: NetworkFilterContext;
  readonly #isEnabled: (connection: Connection) => boolean;
  readonly #stats;

  constructor(config: NetworkExtAuthzConfig, context: NetworkFilterContext) {
    this.#config = config;
    this.#context = context;
    const enabled = config.enabledMetadata && compileMetadataMatcher(config.enabledMetadata);
    this.#isEnabled = enabled === undefined ? () => true : ({ info }) => enabled(info.dynamicMetadata);
    const scope = context.stats.scope(`ext_authz.${config.statPrefix.replace(/\.$/, "")}`);
    this.#stats = {
      total: scope.counter("total"),
      ok: scope.counter("ok"),
      denied: scope.counter("denied"),
      error: scope.counter("error"),
      disabled: scope.counter("disabled"),
      failureModeAllowed: scope.counter("failure_mode_allowed"),
      closed: scope.counter("cx_closed"),
      active: scope.gauge("active"),
    };
  }

  onConnection(connection: Connection, resume: () => void): "continue" | "wait" {
    const { info, socket } = connection;
    if (info.denied !== "") return "continue";
    if (!this.#isEnabled(connection)) {
      this.#stats.disabled.inc();
      return "continue";
    }
    const { service } = this.#config;
    this.#stats.total.inc();
    this.#stats.active.inc();
    let waiting = false;
    let answered = false;
    const onDone = (result: CallResult): void => {
      answered = true;
      this.#stats.active.dec();
      socket.off("close", onClosed);
      this.#apply(connection, result);
      if (waiting) resume();
    };
    const onClosed = (): void => {
      this.#stats.active.dec();
      call?.cancel();
    };
    socket.on("close", onClosed);
    const cluster = this.#context.clusters.get(service.cluster);
    const { clock } = this.#context;
    const message = encodeCheckRequest(info, clock.wallMs(), undefined);
    const call =
      cluster &&
      callGrpc(cluster, { authority: service.authority, path: checkPath, message }, { clock, timeoutMs: service.timeoutMs, onDone });
    if (call === undefined) onDone(failedCall(`cluster ${service.cluster} does not exist`));
    // The compiler cannot see that the callback may have run.
    waiting = !(answered as boolean);
    return waiting ? "wait" : "continue";
  }

  /** A refusal is told by whoever serves the connection, which closes it and writes its record. */
  #apply({ info }: Connection, result: CallResult): void {
    const answer = result.kind === "response" ? decodeCheckResponse(result.body) : undefined;
    if (answer === undefined) {
      this.#stats.error.inc();
      if (this.#config.failureModeAllow) this.#stats.failureModeAllowed.inc();
      else this.#refuse(info, "ext_authz_error");
      return;
    }
    if (answer.metadata !== undefined) setDynamicMetadata(info, networkExtAuthz.extension, answer.metadata);
    if (answer.kind === "allowed") {
      this.#stats.ok.inc();
      return;
    }
    this.#stats.denied.inc();
    this.#refuse(info, "ext_authz_denied");
  }

  #refuse(info: Connection["info"], details: string): void {
    this.#stats.closed.inc();
    info.denied = details;
    info.deniedFlags = flag.UAEX;
  }
}
