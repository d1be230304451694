// extensions.istio.io WasmPlugin: a filter in a file. WebAssembly is not run here; modules in TypeScript and JavaScript are.
import { type Fields, isMapping } from "../object/fields.ts";
import { type PolicyTarget, readPolicyTarget } from "./policy-target.ts";

/** Where among the other filters a plugin stands. */
export type PluginPhase = "AUTHN" | "AUTHZ" | "STATS" | "UNSPECIFIED_PHASE";

/** Which listeners a plugin is for. */
export interface TrafficSelector {
  readonly mode: "CLIENT" | "SERVER" | "CLIENT_AND_SERVER";
  /** Empty: every port. */
  readonly ports: readonly number[];
}

/** WasmPlugin.spec. */
export interface WasmPluginSpec {
  readonly target: PolicyTarget;
  /** Path of the module; undefined: it cannot be run here, and was said to be dispensable. */
  readonly module: string | undefined;
  readonly config: Readonly<Record<string, unknown>>;
  readonly phase: PluginPhase;
  /** Larger comes first; without one a plugin comes last. */
  readonly priority: number;
  readonly failOpen: boolean;
  /** Any of them; empty: every listener. */
  readonly match: readonly TrafficSelector[];
}

const phases = ["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"] as const;
const strategies = ["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"] as const;
const modes = ["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"] as const;
const types = ["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"] as const;
const leastPriority = -(2 ** 31);

/** Reads a WasmPlugin. */
export function readWasmPlugin(root: Fields): WasmPluginSpec {
  const spec = root.child("spec");
  if (spec === undefined) {
    root.error("spec", "is missing, expected a url at least");
    return { ...nothing, target: { selector: {}, refs: [] } };
  }
  // What a plugin that is left out would have refused, nobody knows.
  const failOpen = (spec.oneOf("failStrategy", strategies) ?? "FAIL_CLOSE") === "FAIL_OPEN";
  const complain = (key: string, message: string): void => {
    if (failOpen) spec.warn(key, `${message}; the plugin is left out, as its failStrategy allows`);
    else spec.error(key, message);
  };
  const found = {
    target: readPolicyTarget(spec),
    module: readModule(spec, complain),
    config: readConfig(spec),
    phase: spec.oneOf("phase", phases) ?? "UNSPECIFIED_PHASE",
    priority: spec.integer("priority", { min: leastPriority, max: 2 ** 31 - 1 }) ?? leastPriority,
    failOpen,
    match: spec.list("match", readTrafficSelector),
  };
  spec.ignore("pluginName", "imagePullPolicy", "imagePullSecret", "verificationKey");
  spec.notHonoured("vmConfig");
  spec.finish();
  return found;
}

const nothing = {
  module: undefined,
  config: {},
  phase: "UNSPECIFIED_PHASE",
  priority: leastPriority,
  failOpen: false,
  match: [],
} as const;

const modulePattern = /\.[cm]?[jt]s$/;

function readModule(spec: Fields, complain: (key: string, message: string) => void): string | undefined {
  const url = spec.requiredString("url");
  const type = spec.oneOf("type", types);
  if (url === "") return undefined;
  if (type === "NETWORK") complain("type", "is NETWORK, and plugins of TCP connections are not run here");
  else if (spec.has("sha256") && spec.string("sha256") !== "")
    complain("sha256", "is given, and the checksum of a module is not verified here");
  else if (!url.startsWith("file://") || !modulePattern.test(url))
    complain(
      "url",
      `is "${url}", and WebAssembly is not run here: expected a filter in TypeScript, such as file:///etc/filters/my-filter.ts`,
    );
  else return url.slice("file://".length);
  return undefined;
}

function readConfig(spec: Fields): Readonly<Record<string, unknown>> {
  const value = spec.raw("pluginConfig");
  if (value === undefined) return {};
  if (isMapping(value)) return value;
  spec.error("pluginConfig", "is no mapping");
  return {};
}

function readTrafficSelector(item: Fields): TrafficSelector {
  const mode = item.oneOf("mode", modes) ?? "UNDEFINED";
  const ports = item.list("ports", (port) => {
    const number = port.requiredPort("number");
    port.finish();
    return number;
  });
  item.finish();
  return { mode: mode === "UNDEFINED" ? "CLIENT_AND_SERVER" : mode, ports };
}
