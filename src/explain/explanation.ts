// What an explanation consists of, and the writer that steps add to. The shape is what `--json` prints, so it is kept stable.

/** Where the YAML object that decided stands. */
export interface Place {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

/** One sentence of why, with the object that it follows from where that is known. */
export interface Reason {
  readonly text: string;
  readonly place?: Place;
}

/** The steps, in the order they are taken. */
export type StepKind =
  | "dns"
  | "listener"
  | "filter_chain"
  | "route"
  | "cluster"
  | "endpoints"
  | "tls"
  | "gateway"
  | "policy"
  | "rate_limit";

/** One step. */
export interface Step {
  readonly kind: StepKind;
  /** Whose step: empty for the proxy that is asked, else the gateway on the far side. */
  readonly at: string;
  /** The outcome in a line. */
  readonly answer: string;
  readonly failed: boolean;
  readonly reasons: readonly Reason[];
  /** The same for programs: names and numbers, by kind. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** Kinds of warnings. */
export type WarningCode =
  /** Failover is configured, but nothing would notice that an endpoint has failed. */
  | "no_outlier_detection"
  /** exportTo, a Sidecar or discoverySelectors hide a service from this proxy. */
  | "not_visible"
  /** A name that nobody knows; with the nearest ones. */
  | "unknown_name"
  | "no_endpoints"
  /** No virtual host is for this host: a wildcard took it. */
  | "wildcard_only"
  /** A server demands mTLS and would be called in plain text. */
  | "strict_mtls"
  /** The proxy could not connect to an endpoint when it tried last. */
  | "last_failure"
  /** An endpoint of another network is called directly, as that network has no gateway. */
  | "no_gateway"
  /** A filter on the way may refuse and is not asked here. */
  | "not_evaluated"
  /** The configuration has issues of its own; `isthmus check` lists them. */
  | "configuration"
  /** What happens depends on something that is not in the configuration. */
  | "unknown_outside";

/** Something to know beside the outcome. */
export interface Warning extends Reason {
  readonly code: WarningCode;
}

/** How it ends. */
export interface Verdict {
  /** True when something is sent on, or answered without a failure. */
  readonly sent: boolean;
  /** The HTTP status when the proxy answers by itself; absent when it does not, or the connection has no HTTP. */
  readonly status?: number;
  /** Envoy's response flags as the access log has them, `-` for none. */
  readonly flags: string;
  /** Response code or connection termination details as the access log has them, `-` for none. */
  readonly details: string;
  readonly text: string;
}

/** A question answered. */
export interface Explanation {
  readonly question: string;
  readonly steps: readonly Step[];
  readonly warnings: readonly Warning[];
  readonly verdict: Verdict;
}

/** A verdict of something that goes on. */
export function sent(text: string): Verdict {
  return { sent: true, flags: "-", details: "-", text };
}

/** A step being told. */
export interface StepWriter {
  because(text: string, place?: Place): StepWriter;
  /** Adds several reasons. */
  all(reasons: readonly Reason[]): StepWriter;
}

/** Steps and warnings as they are found. */
export class Narrative {
  readonly #at: string;
  readonly #steps: Step[];
  readonly #warnings: Warning[];

  constructor(at = "", steps: Step[] = [], warnings: Warning[] = []) {
    this.#at = at;
    this.#steps = steps;
    this.#warnings = warnings;
  }

  get steps(): readonly Step[] {
    return this.#steps;
  }

  get warnings(): readonly Warning[] {
    return this.#warnings;
  }

  /** The same narrative, told of another proxy. */
  of(proxy: string): Narrative {
    return new Narrative(proxy, this.#steps, this.#warnings);
  }

  /** Begins a step. */
  step(kind: StepKind, answer: string, data: Step["data"] = {}, failed = false): StepWriter {
    const reasons: Reason[] = [];
    this.#steps.push({ kind, at: this.#at, answer, failed, reasons, data });
    const writer: StepWriter = {
      because: (text, place) => writer.all([place === undefined ? { text } : { text, place }]),
      all: (more) => {
        reasons.push(...more);
        return writer;
      },
    };
    return writer;
  }

  /** Adds a warning, once. */
  warn(code: WarningCode, text: string, place?: Place): void {
    if (this.#warnings.some((known) => known.code === code && known.text === text)) return;
    this.#warnings.push(place === undefined ? { code, text } : { code, text, place });
  }
}
