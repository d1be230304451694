// An issue found by looking at resources together, tied to the resource it belongs to.
import type { ResourceKind } from "../envoy/bootstrap-decoder.ts";
import type { Issue, Severity } from "../error.ts";

/** An issue whose path starts at the named resource. */
export interface ResourceIssue extends Issue {
  readonly kind: ResourceKind;
  readonly name: string;
  /** Which of several resources of that name, in the order given; 0 is the first. */
  readonly occurrence: number;
}

const none: readonly ResourceIssue[] = [];

/** Collects the issues of one resource. */
export class ResourceIssues {
  // Made for every resource of every load, and mostly empty.
  #issues: ResourceIssue[] | undefined;
  #errors = 0;
  readonly #kind: ResourceKind;
  readonly #name: string;
  readonly #occurrence: number;

  constructor(kind: ResourceKind, name: string, occurrence = 0) {
    this.#kind = kind;
    this.#name = name;
    this.#occurrence = occurrence;
  }

  /** Everything reported. */
  get issues(): readonly ResourceIssue[] {
    return this.#issues ?? none;
  }

  /** True when the resource cannot be used. */
  get failed(): boolean {
    return this.#errors > 0;
  }

  /** The resource is refused. */
  error(message: string, path: Issue["path"] = []): void {
    this.#errors += 1;
    this.#add("error", message, path);
  }

  /** The resource is accepted nevertheless. */
  warn(message: string, path: Issue["path"] = []): void {
    this.#add("warning", message, path);
  }

  /** Whatever its severity. */
  add({ severity, message, path }: Issue): void {
    if (severity === "error") this.error(message, path);
    else this.warn(message, path);
  }

  #add(severity: Severity, message: string, path: Issue["path"]): void {
    (this.#issues ??= []).push({ severity, message, path, kind: this.#kind, name: this.#name, occurrence: this.#occurrence });
  }
}
