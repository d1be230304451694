// How failures end: with the replies, flags and details of the proxy's own tables.
import { ProxyError, type ProxyErrorCode } from "../error.ts";
import { compileRetryPolicy, retriesReset } from "../filter/http/router/retry-state.ts";
import { type LocalReply, resetReply } from "../http/local-reply.ts";
import { flag, formatFlags } from "../telemetry/response-flag.ts";
import type { Target } from "./arrival.ts";
import type { Verdict } from "./explanation.ts";

/** A reply of the proxy's own. */
export function replied({ status, flags, details }: LocalReply, text: string): Verdict {
  return { sent: status < 400, status, flags: formatFlags(flags), details, text };
}

/** How a fault of the upstream side ends: attempts that cannot end otherwise are made until the policy gives up. */
export function upstreamFailed({ http, retryPolicy }: Target, code: ProxyErrorCode, requestSent: boolean, why: string): Verdict {
  const error = new ProxyError(code, { side: "upstream" });
  if (http === undefined) {
    // A TCP connection that was made and is closed by the other side has no flag of its own.
    const flags = requestSent ? 0 : flag.UF | flag.URX;
    return { sent: false, flags: formatFlags(flags, []), details: "-", text: `the connection is closed: ${why}` };
  }
  const retried =
    retryPolicy !== undefined && retryPolicy.numRetries > 0 && retriesReset(compileRetryPolicy(retryPolicy), error, requestSent);
  const reply = resetReply(error, retried);
  return replied({ ...reply, flags: reply.flags | (retried ? flag.URX : 0) }, `answered with ${reply.status}: ${why}`);
}
