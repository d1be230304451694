// `isthmus inject`: Kubernetes YAML with sidecars, for those who inject by hand; what became of each pod goes to standard error.
import { readFile } from "node:fs/promises";
import { text as readText } from "node:stream/consumers";
import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { injectManifests } from "../inject/inject.ts";
import type { InjectOptions } from "../inject/options.ts";
import { packageVersion } from "./package-version.ts";
import type { CliEdge } from "./program.ts";

interface InjectFlags {
  readonly filename: string;
  readonly image: string;
  readonly imagePullPolicy?: "Always" | "IfNotPresent" | "Never";
  readonly cluster: string;
  readonly network?: string;
  readonly namespace: string;
  readonly meshConfigMap: string;
  readonly meshClusters?: readonly string[];
  readonly certsSecret?: string;
  readonly caAddress?: string;
  readonly dnsCapture: boolean;
}

/** Adds `isthmus inject`. */
export function registerInject(program: Command, edge: CliEdge, setExit: (code: number) => void): void {
  program
    .command("inject")
    .description("add init container and sidecar to the pods of Kubernetes YAML")
    .requiredOption("-f, --filename <file>", "YAML or JSON, - for standard input")
    .requiredOption("--cluster <name>", "the cluster that the pods run in", objectName)
    .option("--network <name>", "the network that they are on")
    .option("-n, --namespace <name>", "namespace of objects that name none", "default")
    .option("--image <image>", "of init container and sidecar", `isthmus:${packageVersion()}`)
    .addOption(new Option("--image-pull-policy <policy>", "of both").choices(["Always", "IfNotPresent", "Never"]))
    .option("--mesh-config-map <name>", "ConfigMap with the mesh directory", objectName, "isthmus-mesh")
    .option("--mesh-clusters <list>", "clusters that it has a k8s-CLUSTER.yaml of (default: the pods' own)", objectNames)
    .option("--certs-secret <name>", "Secret with the workload's certificate (default: isthmus.SERVICEACCOUNT)", objectName)
    .addOption(
      new Option("--ca-address <host:port>", "istiod's certificate service, which pods ask instead of mounting a Secret")
        .argParser(hostPort)
        .conflicts("certsSecret"),
    )
    .option("--no-dns-capture", "leave DNS queries alone")
    .action(async (flags: InjectFlags) => setExit(await inject(flags, edge)));
}

async function inject(flags: InjectFlags, edge: CliEdge): Promise<number> {
  const { filename } = flags;
  let text: string;
  try {
    text = filename === "-" ? await readText(process.stdin) : await readFile(filename, "utf8");
  } catch (cause) {
    edge.err(`${filename} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}\n`);
    return 1;
  }
  const injection = injectManifests(text, filename === "-" ? "standard input" : filename, optionsOf(flags));
  for (const outcome of injection.outcomes) edge.err(`${outcome.outcome === "refused" ? "error: " : ""}${outcome.text}\n`);
  if (injection.text === undefined) return 1;
  edge.out(injection.text);
  return 0;
}

function optionsOf(flags: InjectFlags): InjectOptions {
  const { image, imagePullPolicy, cluster, network, namespace, meshConfigMap, meshClusters, certsSecret, caAddress, dnsCapture } = flags;
  const clusters = meshClusters ?? [cluster];
  return { image, imagePullPolicy, cluster, network, namespace, meshConfigMap, clusters, certsSecret, caAddress, dnsCapture };
}

function hostPort(text: string): string {
  const port = Number(/^(?:\[[0-9a-fA-F:.]+\]|[^:[\]\s]+):(\d{1,5})$/.exec(text)?.[1] ?? 0);
  if (port < 1 || port > 65_535) throw new InvalidArgumentError("Expected HOST:PORT, e.g. istiod.istio-system.svc:15012.");
  return text;
}

function objectName(text: string): string {
  if (!/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/i.test(text))
    throw new InvalidArgumentError("Expected a name of letters, digits, - and .");
  return text;
}

const objectNames = (text: string): readonly string[] => text.split(",").map((name) => objectName(name.trim()));
