// Where a decoder is while it walks one JSON document, and what it has found wrong so far. Decoders are total: they always
// return a value of their type, a neutral one after an error, so that a single pass reports everything. Whether the value may
// be used is decided at the end, by counting errors.
import type { Issue, Result } from "../../error.ts";
import type { ExtensionTable } from "./extension.ts";
import type { SecretReference } from "../tls/secret-reference.ts";
import type { DecodeMemory } from "./remembered.ts";

/** Reads a file that configuration refers to; relative paths are the reader's to resolve. */
export type ReadFile = (path: string) => Uint8Array | { readonly error: string };

/** What decoders need beside the JSON. */
export interface DecodeContext {
  readonly extensions: ExtensionTable;
  /** For `filename` data sources. Default: every file is unreadable. */
  readonly readFile?: ReadFile;
  /** What paths of modules are relative to. Default: the working directory. */
  readonly folder?: string;
  /** Says why a module of an HTTP filter does not load, undefined when it does. Default: nobody looks. */
  readonly checkModule?: (path: string) => string | undefined;
  /** For `environment_variable` data sources. Default: every variable is unset. */
  readonly environment?: (name: string) => string | undefined;
  /** Hears of every secret that is referred to by name. Default: nobody needs to know. */
  readonly onSecretReference?: (reference: SecretReference) => void;
  /** Spares decoding what was decoded before. Default: everything is decoded. */
  readonly memory?: DecodeMemory;
}

/** Turns JSON into a value; what is wrong is reported to the cursor. Never throws. */
export type Decoder<T> = (json: unknown, at: Cursor) => T;

// Deeper than any real configuration; it bounds recursion so that hostile nesting is an issue and not a stack overflow.
const maxDepth = 160;

/** The walk through one document. */
export class Cursor {
  readonly context: DecodeContext;
  readonly #path: (string | number)[];
  readonly #issues: Issue[] = [];
  #errors = 0;
  #muted = 0;
  #looksOutside = 0;

  constructor(context: DecodeContext, path: readonly (string | number)[] = []) {
    this.context = context;
    this.#path = [...path];
  }

  /** Everything reported so far, in document order as far as decoders keep it. */
  get issues(): readonly Issue[] {
    return this.#issues;
  }

  /** Errors reported so far. */
  get errors(): number {
    return this.#errors;
  }

  /** True while nothing is reported. */
  get muted(): boolean {
    return this.#muted > 0;
  }

  /** True when nesting exceeds what is accepted; the caller reports it and does not descend. */
  get tooDeep(): boolean {
    return this.#path.length > maxDepth;
  }

  /** Reports an error at the current path, or at `below` it. */
  error(message: string, ...below: readonly (string | number)[]): void {
    this.#report("error", message, below);
  }

  /** Reports a warning at the current path, or at `below` it. */
  warn(message: string, ...below: readonly (string | number)[]): void {
    this.#report("warning", message, below);
  }

  /** The current path as one text, to know a place of the document by. */
  get place(): string {
    return this.#path.join("/");
  }

  /** Runs `decoder` one step deeper. */
  in<T>(step: string | number, decoder: Decoder<T>, json: unknown): T {
    this.#path.push(step);
    const value = decoder(json, this);
    this.#path.pop();
    return value;
  }

  /** What the context's files and environment say; whoever looks there depends on more than the document. */
  outside(): Pick<DecodeContext, "readFile" | "environment" | "folder" | "checkModule"> {
    this.#looksOutside += 1;
    return this.context;
  }

  /** Runs `run` and says what it reported, with paths from here, and whether it looked at nothing but the document. */
  observe<T>(run: () => T): { readonly value: T; readonly issues: readonly Issue[]; readonly selfContained: boolean } {
    const [from, looks, depth] = [this.#issues.length, this.#looksOutside, this.#path.length];
    const value = run();
    const issues = this.#issues.slice(from).map((issue) => ({ ...issue, path: issue.path.slice(depth) }));
    return { value, issues, selfContained: this.#looksOutside === looks };
  }

  /** Reports again what `observe` saw. */
  repeat(issues: readonly Issue[]): void {
    for (const { severity, message, path } of issues) this.#report(severity, message, path);
  }

  /** Runs `decoder` several steps deeper, for checks that look at a document from above. */
  within(steps: readonly (string | number)[], check: () => void): void {
    this.#path.push(...steps);
    check();
    this.#path.length -= steps.length;
  }

  /** The neutral value of `decoder`: what it returns for nothing, unreported. */
  neutral<T>(decoder: Decoder<T>): T {
    this.#muted += 1;
    const value = decoder(undefined, this);
    this.#muted -= 1;
    return value;
  }

  #report(severity: Issue["severity"], message: string, below: readonly (string | number)[]): void {
    if (this.#muted > 0) return;
    if (severity === "error") this.#errors += 1;
    this.#issues.push({ severity, path: [...this.#path, ...below], message });
  }
}

/** Runs a decoder over a whole document. */
export function decode<T>(decoder: Decoder<T>, json: unknown, context: DecodeContext, path: readonly (string | number)[] = []): Result<T> {
  const at = new Cursor(context, path);
  const value = decoder(json, at);
  return at.errors > 0 ? { ok: false, issues: at.issues } : { ok: true, value, issues: at.issues };
}

/** A decoder whose result is changed or checked further. */
export function map<A, B>(decoder: Decoder<A>, change: (value: A, at: Cursor) => B): Decoder<B> {
  return (json, at) => change(decoder(json, at), at);
}

/** What a JSON value is, for messages. */
export function describe(json: unknown): string {
  if (json === null || json === undefined) return "nothing";
  if (Array.isArray(json)) return "a list";
  if (typeof json === "object") return "an object";
  const text = typeof json === "string" ? JSON.stringify(json) : `${json as number | boolean | bigint}`;
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** True for JSON objects (not lists, not null). */
export function isObject(json: unknown): json is Readonly<Record<string, unknown>> {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
