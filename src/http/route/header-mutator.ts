// Header additions and removals of route, virtual host and configuration, compiled into one mutator.
import type { HeaderMutations, HeaderValueOption } from "../../envoy/route/route.ts";
import type { Issue, Result } from "../../error.ts";
import type { Formatter } from "../../telemetry/access-logger.ts";
import type { StreamInfo } from "../../telemetry/stream-info.ts";
import type { HeaderMap } from "../../wire/header-map.ts";
import type { HeaderMutator } from "./route-table.ts";

/** Compiles a substitution string for header values: an operator without a value must give an empty string, not `-`. */
export type FormatCompiler = (text: string) => Result<Formatter>;

/** One level's changes to one kind of message. */
export type LevelMutator = HeaderMutator;

/** The compiled levels of one model; undefined where it changes nothing. */
export interface LevelMutators {
  readonly request: LevelMutator | undefined;
  readonly response: LevelMutator | undefined;
}

/** Compiles the changes of one level; what is wrong with a format is reported at `path`. */
export function compileLevel(model: HeaderMutations, compileFormat: FormatCompiler, path: Issue["path"], issues: Issue[]): LevelMutators {
  return {
    request: compileSide("request", model.requestAdd, model.requestRemove, compileFormat, path, issues),
    response: compileSide("response", model.responseAdd, model.responseRemove, compileFormat, path, issues),
  };
}

/**
 * Joins levels in the order in which they apply; undefined when none does anything. Envoy's order is route, virtual host,
 * configuration, and the reverse with most_specific_header_mutations_wins.
 */
export function mergeLevels(levels: readonly (HeaderMutator | undefined)[]): HeaderMutator | undefined {
  const present = levels.filter((level) => level !== undefined);
  return present.length < 2 ? present[0] : new MutatorChain(present);
}

interface Addition {
  readonly name: string;
  readonly action: HeaderValueOption["appendAction"];
  readonly keepEmpty: boolean;
  /** A constant, or what makes the value. */
  readonly value: string | Formatter;
}

function compileSide(
  side: "request" | "response",
  add: readonly HeaderValueOption[],
  remove: readonly string[],
  compileFormat: FormatCompiler,
  path: Issue["path"],
  issues: Issue[],
): HeaderMutator | undefined {
  if (add.length === 0 && remove.length === 0) return undefined;
  const additions: Addition[] = [];
  for (const [i, option] of add.entries()) {
    const value = compileValue(option.value, compileFormat, [...path, `${side}_headers_to_add`, i, "header", "value"], issues);
    additions.push({ name: option.key, action: option.appendAction, keepEmpty: option.keepEmptyValue, value });
  }
  // Overwrites apply before additions, whatever their order in the configuration.
  const overwrites = additions.filter((addition) => overwrite(addition));
  const appends = additions.filter((addition) => !overwrite(addition));
  return new Mutator(remove, [...overwrites, ...appends]);
}

function overwrite(addition: Addition): boolean {
  return addition.action === "OVERWRITE_IF_EXISTS" || addition.action === "OVERWRITE_IF_EXISTS_OR_ADD";
}

// Only plain ASCII without operators is its own value; all else needs the format compiler's unescaping and encoding.
const plainText = /^[\x20-\x24\x26-\x7e]*$/;

function compileValue(text: string, compileFormat: FormatCompiler, path: Issue["path"], issues: Issue[]): string | Formatter {
  if (plainText.test(text)) return text;
  const compiled = compileFormat(text);
  for (const issue of compiled.issues) issues.push({ ...issue, path: [...path, ...issue.path] });
  return compiled.ok ? compiled.value : "";
}

class Mutator implements HeaderMutator {
  readonly #remove: readonly string[];
  readonly #additions: readonly Addition[];

  constructor(remove: readonly string[], additions: readonly Addition[]) {
    this.#remove = remove;
    this.#additions = additions;
  }

  apply(headers: HeaderMap, info: StreamInfo): void {
    for (const name of this.#remove) headers.remove(name);
    const additions = this.#additions;
    if (additions.length === 0) return;
    // Values and conditions are all settled on the headers as they are before the first addition: an addition may quote
    // a header that another one replaces.
    const values: (string | undefined)[] = [];
    for (const addition of additions) values.push(settle(addition, headers, info));
    for (let i = 0; i < additions.length; i++) {
      const value = values[i];
      if (value === undefined) continue;
      const addition = additions[i]!;
      // Like Envoy, an overwritten header moves to the end.
      if (overwrite(addition)) headers.remove(addition.name);
      headers.add(addition.name, value);
    }
  }
}

function settle(addition: Addition, headers: HeaderMap, info: StreamInfo): string | undefined {
  const value = typeof addition.value === "string" ? addition.value : addition.value(info);
  if (value === "" && !addition.keepEmpty) return undefined;
  if (addition.action === "ADD_IF_ABSENT" && headers.has(addition.name)) return undefined;
  if (addition.action === "OVERWRITE_IF_EXISTS" && !headers.has(addition.name)) return undefined;
  return value;
}

class MutatorChain implements HeaderMutator {
  readonly #levels: readonly HeaderMutator[];

  constructor(levels: readonly HeaderMutator[]) {
    this.#levels = levels;
  }

  apply(headers: HeaderMap, info: StreamInfo): void {
    for (const level of this.#levels) level.apply(headers, info);
  }
}
