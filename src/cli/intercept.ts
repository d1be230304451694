// `isthmus intercept apply|check|undo|print`: the rules that lead an application's traffic to the proxy, with istio-iptables' flags.
import { Argument, Option } from "commander";
import type { Command } from "commander";
import type { Issue, Result } from "../error.ts";
import type { BackEndChoice } from "../intercept/choose.ts";
import { flagsFromEnvironment, type GivenFlags, type InterceptFlag, interceptFlags } from "../intercept/flags.ts";
import { applyInterception, checkInterception, type Outcome, printInterception, undoInterception } from "../intercept/interception.ts";
import { gidOf, localMachine, programRunner } from "../intercept/machine.ts";
import { readSettings } from "../intercept/read-settings.ts";
import { capturesNothing, type InterceptSettings } from "../intercept/settings.ts";
import { podFlagsFromFile, podFlagsFromMesh, type PodFlags } from "./intercept-pod.ts";
import type { CliEdge } from "./program.ts";

const actions = ["apply", "check", "undo", "print"] as const;
type Action = (typeof actions)[number];

/** istio-iptables' flags that stand alone, beside those that say what to intercept. */
const switches = [
  { name: "native-nftables", help: "use nftables, not iptables" },
  { name: "dry-run", letter: "n", help: "apply only prints" },
  { name: "cleanup-only", help: "apply undoes" },
  { name: "skip-rule-apply", help: "apply leaves the rules as they are" },
  { name: "run-validation", help: "apply checks afterwards, and ends with code 126 when rules are missing" },
  { name: "reconcile", help: "rules of other settings are replaced: always so here" },
  { name: "force-apply", help: "apply also when all is in place: without effect here" },
  { name: "cni-mode", help: "share the node's lock of iptables: without effect here" },
] as const;

/** istio-iptables' code for a failed validation, which Istio's CNI repair looks for. */
const validationFailed = 126;

type Flags = Readonly<Record<string, string | boolean | undefined>>;

/** Adds `isthmus intercept`. */
export function registerIntercept(program: Command, edge: CliEdge, setExit: (code: number) => void): void {
  const command = program
    .command("intercept")
    .description("lead the traffic of this network namespace to the proxy, as Istio's init container does")
    .addArgument(
      new Argument(
        "<action>",
        "apply: make it so; check: say what is missing or foreign; undo: leave no trace; print: show the rules",
      ).choices(actions),
    );
  for (const flag of interceptFlags) command.addOption(optionOf(flag));
  for (const flag of switches) command.addOption(optionOf({ ...flag, boolean: true, default: "" }));
  command
    .addOption(new Option("--force-iptables-binary <variant>", "which iptables").choices(["legacy", "nft"]))
    .option("--iptables-probe-port <port>", "of istio-iptables' validation by connecting: without effect, rules are compared")
    .option("--probe-timeout <duration>", "likewise")
    .option("--network-namespace <path>", "the namespace to change, e.g. /proc/PID/ns/net (default: this process's)")
    .option("--resolv-conf <file>", "whose servers' queries are taken with --redirect-dns (default: /etc/resolv.conf)")
    .option("--annotations <file>", "YAML of a pod or workload: its annotations, on top of what Istio's injector gives")
    .option("--mesh <dir>", "mesh directory that has the pod")
    .option("--node <id>", "with --mesh, which: sidecar~IP~POD.NAMESPACE~DOMAIN, or a name in nodes.yaml")
    .action(async (action: Action, flags: Flags) => {
      if (flags["annotations"] !== undefined && flags["mesh"] !== undefined) {
        command.error("error: give either --annotations FILE or --mesh DIR", { exitCode: 2, code: "isthmus.usage" });
      }
      setExit(await intercept(action, flags, edge));
    });
}

function optionOf({ name, letter, help, boolean, default: value }: InterceptFlag): Option {
  const described = value === "" || boolean === true ? help : `${help} (default: ${value})`;
  return new Option(`${letter === undefined ? "" : `-${letter}, `}--${name} ${boolean === true ? "[bool]" : "<value>"}`, described);
}

// Commander's name of an option's value.
function attribute(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function given(flags: Flags): GivenFlags {
  return Object.fromEntries(
    interceptFlags.flatMap(({ name }) => {
      const value = flags[attribute(name)];
      return value === undefined ? [] : [[name, String(value)]];
    }),
  );
}

async function intercept(action: Action, flags: Flags, edge: CliEdge): Promise<number> {
  const text = (name: string): string | undefined => {
    const value = flags[attribute(name)];
    return value === undefined ? edge.environment[name.toUpperCase().replaceAll("-", "_")] : String(value);
  };
  const on = (name: (typeof switches)[number]["name"]): boolean => text(name) === "true" || text(name) === "1";
  const pod = await podOf(flags, edge);
  const environment = { ...(pod?.ok === true ? pod.value.variables : {}), ...edge.environment };
  const settings =
    pod?.ok === false
      ? pod
      : readSettings(
          // The injector's arguments stand above the environment, as flags do; what is typed here stands above both.
          { ...flagsFromEnvironment(environment), ...pod?.value.flags, ...given(flags) },
          localMachine(environment, text("resolv-conf")),
        );
  report(edge, [...(pod?.ok === true ? pod.issues : []), ...settings.issues]);
  if (!settings.ok) return 1;
  const backEnd = chosenBackEnd(on("native-nftables"), text("force-iptables-binary"));
  const wanted = action === "apply" && on("dry-run") ? "print" : action === "apply" && on("cleanup-only") ? "undo" : action;
  if (wanted === "print") {
    edge.out(printInterception(settings.value, backEnd === "nftables" ? "nftables" : "iptables"));
    return 0;
  }
  const deps = { run: programRunner(edge.environment, text("network-namespace")), backEnd, gidOf };
  if (wanted !== "apply")
    return say(edge, wanted === "check" ? checkInterception(settings.value, deps) : undoInterception(settings.value, deps));
  warnOfNothing(edge, settings.value);
  const applied = on("skip-rule-apply") ? 0 : say(edge, applyInterception(settings.value, deps));
  if (applied !== 0 || !on("run-validation")) return applied;
  return say(edge, checkInterception(settings.value, deps)) === 0 ? 0 : validationFailed;
}

async function podOf(flags: Flags, edge: CliEdge): Promise<Result<PodFlags> | undefined> {
  const { annotations, mesh, node } = flags;
  if (typeof annotations === "string") return podFlagsFromFile(annotations);
  if (typeof mesh !== "string") return undefined;
  return podFlagsFromMesh(mesh, typeof node === "string" ? node : undefined, edge.environment);
}

function chosenBackEnd(nftables: boolean, variant: string | undefined): BackEndChoice {
  if (nftables) return "nftables";
  return variant === "legacy" || variant === "nft" ? `iptables-${variant}` : "auto";
}

function report(edge: CliEdge, issues: readonly Issue[]): void {
  for (const { severity, path, message } of issues) edge.err(`${severity}: ${path.length === 0 ? "" : `${path.join(".")}: `}${message}\n`);
}

function warnOfNothing(edge: CliEdge, settings: InterceptSettings): void {
  if (settings.mode === "NONE") edge.err("warning: interception mode NONE: there will be no rules\n");
  else if (capturesNothing(settings))
    edge.err("warning: nothing is taken: neither --istio-inbound-ports nor --istio-service-cidr says what\n");
}

// What is wrong goes to standard error, whatever it was.
function say(edge: CliEdge, { ok, lines }: Outcome): number {
  for (const line of lines) (ok ? edge.out : edge.err)(`${line}\n`);
  return ok ? 0 : 1;
}
