// Configuration of isthmus.filters.http.script: a filter in a TypeScript module of the user's.
import { isAbsolute, resolve } from "node:path";
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { bool, integer, nonEmpty, onlyTrue, positiveDuration, struct, text } from "../decode/scalars.ts";

/** Canonical name of the filter. */
export const scriptExtension = "isthmus.filters.http.script";
/** Full message names of its configuration and of a route's. */
export const scriptType = "isthmus.filters.http.script.v1.Script";
export const scriptPerRouteType = "isthmus.filters.http.script.v1.ScriptPerRoute";

/** isthmus.filters.http.script.v1.Script. */
export interface ScriptConfig {
  /** Absolute path of the module; written relative to the file of the configuration. */
  readonly module: string;
  /** What the module's hooks get as `context.config`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** For one run of one hook; default 1000. */
  readonly timeoutMs: number;
  /** Heap of a thread, and buffers beside it; default 64 MiB. */
  readonly memoryBytes: number;
  /** Of a body that a hook wants to see; default 1 MiB. Larger requests get 413, larger responses become a 500. */
  readonly maxBodyBytes: number;
  /** Messages go on as they were when the script fails. Default false: 500. */
  readonly failOpen: boolean;
  /** Counters are `http.PREFIX.script.STAT_PREFIX.*`; default none. */
  readonly statPrefix: string;
}

/** isthmus.filters.http.script.v1.ScriptPerRoute: leave the filter out, or another configuration for the module. */
export type ScriptPerRoute =
  | { readonly kind: "disabled" }
  | { readonly kind: "config"; readonly config: Readonly<Record<string, unknown>> };

const mebibyte = 1024 * 1024;
// What V8 needs to load a module and Node around it.
const leastMemoryMb = 16;

const strict = { unhandled: "error" } as const;

const decodeModule: Decoder<string> = (json, at) => {
  const written = nonEmpty(json, at);
  if (written === "") return written;
  const { folder, checkModule } = at.outside();
  const path = isAbsolute(written) ? written : resolve(folder ?? ".", written);
  const problem = checkModule?.(path);
  if (problem !== undefined) at.error(`the module does not load: ${problem}`);
  return path;
};

/** Script. */
export const decodeScript: Decoder<ScriptConfig> = message(
  ["module", "config", "timeout", "memory_limit_mb", "max_body_bytes", "fail_open", "stat_prefix"],
  (m) => ({
    module: m.required("module", decodeModule),
    config: m.field("config", struct, {}),
    timeoutMs: m.field("timeout", positiveDuration, 1_000),
    memoryBytes: m.field("memory_limit_mb", integer(leastMemoryMb, 4096), 64) * mebibyte,
    maxBodyBytes: m.field("max_body_bytes", integer(1, 256 * mebibyte), mebibyte),
    failOpen: m.field("fail_open", bool, false),
    statPrefix: m.field("stat_prefix", text, ""),
  }),
  strict,
);

/** ScriptPerRoute. */
export const decodeScriptPerRoute: Decoder<ScriptPerRoute> = message(
  ["disabled", "config"],
  (m): ScriptPerRoute =>
    m.requiredOneof<ScriptPerRoute>(
      {
        disabled: (json, at) => (onlyTrue(json, at), { kind: "disabled" }),
        config: (json, at) => ({ kind: "config", config: struct(json, at) }),
      },
      { kind: "disabled" },
    ),
  strict,
);
