// Pods in network namespaces of their own, networks that are bridges, and gateways that stand in two of them: what the kernel is
// told to lay that out, and how a program is started in a pod. For the root of a network, mount and PID namespace that nobody else is in.

/** Where a pod is joined to a network. */
export interface PodLeg {
  /** Also the interface's name in the pod. At most 15 characters. */
  readonly network: string;
  /** With prefix length: `10.1.0.10/24`. */
  readonly address: string;
}

/** A pod. */
export interface PodPlace {
  /** With any of its networks' names at most 14 characters. */
  readonly name: string;
  readonly legs: readonly PodLeg[];
  /** Default route. */
  readonly via?: string;
  /** It forwards what others send by it, out of this network under its own address. */
  readonly masquerades?: string;
  /** `nameserver` of the pod's resolv.conf, with the search domains of namespace default. */
  readonly nameserver?: string;
}

/**
 * Who a program in a pod is to the packet rules: the application, or the proxy by its user or by its group alone. `proxy-tproxy`: by its
 * group, and of all capabilities it has what TPROXY takes, as an injected container has.
 */
export type PodRole = "application" | "proxy-user" | "proxy-group" | "proxy-tproxy";

/** Istio's user and group of the proxy. */
const proxyId = "1337";
/** Made for the pods, where the machine's own lies and nobody else sees it. */
const runtimeFolder = "/run";
const namespaces = `${runtimeFolder}/netns`;
const resolvers = `${runtimeFolder}/resolvers`;

/** `unshare` and what makes the namespaces that `layOut` wants. What is started so ends with whoever started it. */
export function unshareCommand(users: "root" | "mapped" | "single"): readonly string[] {
  const user = { root: [], mapped: ["--map-root-user", "--map-auto"], single: ["--map-root-user"] }[users];
  return ["unshare", ...user, "--net", "--mount", "--pid", "--fork", "--kill-child=SIGKILL"];
}

/** A shell script, to be run with -e, that lays it all out in the namespaces it runs in. */
export function layOut(pods: readonly PodPlace[]): string {
  const networks = [...new Set(pods.flatMap(({ legs }) => legs.map(({ network }) => network)))];
  return [
    "export PATH=$PATH:/usr/sbin:/sbin",
    // Locks and resolvers' sockets of the machine are out of sight: names are asked for by resolv.conf alone.
    `mount -t tmpfs -o mode=755 tmpfs ${runtimeFolder}`,
    `mkdir -p ${namespaces} ${resolvers}`,
    // resolv.conf is often a link into /run.
    'resolv=$(readlink -m /etc/resolv.conf); if [ ! -e "$resolv" ]; then mkdir -p "$(dirname "$resolv")"; : > "$resolv"; fi',
    "ip link set lo up",
    ...networks.flatMap((network) => [`ip link add ${network} type bridge`, `ip link set ${network} up`]),
    ...pods.flatMap(layOutPod),
    "",
  ].join("\n");
}

function layOutPod({ name, legs, via, masquerades, nameserver }: PodPlace): readonly string[] {
  const inside = `nsenter --net=${namespaces}/${name}`;
  return [
    `ip netns add ${name}`,
    `ip -n ${name} link set lo up`,
    ...legs.flatMap(({ network, address }, index) => [
      `ip link add ${network} netns ${name} type veth peer name ${name}-${index}`,
      `ip link set ${name}-${index} master ${network} up`,
      `ip -n ${name} addr add ${address} dev ${network}`,
      `ip -n ${name} link set ${network} up`,
    ]),
    ...(via === undefined ? [] : [`ip -n ${name} route add default via ${via}`]),
    ...(masquerades === undefined
      ? []
      : [
          `[ "$(${inside} cat /proc/sys/net/ipv4/ip_forward)" = 1 ] || ${inside} sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'`,
          `${inside} iptables -t nat -A POSTROUTING -o ${masquerades} -j MASQUERADE`,
        ]),
    `printf '%s\\n' ${resolvConf(nameserver)
      .map((line) => `'${line}'`)
      .join(" ")} > ${resolvers}/${name}`,
  ];
}

function resolvConf(nameserver: string | undefined): readonly string[] {
  if (nameserver === undefined) return ["# no resolver"];
  return [`nameserver ${nameserver}`, "search default.svc.cluster.local svc.cluster.local cluster.local", "options ndots:5"];
}

/** The command that runs `command` in a pod, with the pod's resolv.conf. */
export function inPod(pod: string, role: PodRole, command: readonly string[]): readonly string[] {
  const enter = 'mount --bind "$0" "$(readlink -m /etc/resolv.conf)" && exec "$@"';
  const bound = ["unshare", "--mount", "sh", "-c", enter, `${resolvers}/${pod}`];
  return ["nsenter", `--net=${namespaces}/${pod}`, ...bound, ...roleCommand(role), ...command];
}

function roleCommand(role: PodRole): readonly string[] {
  switch (role) {
    case "application":
      return [];
    case "proxy-user":
      return ["setpriv", `--reuid=${proxyId}`, `--regid=${proxyId}`, "--clear-groups", "--"];
    case "proxy-group":
      // Still the user whose files these are: what only that user may read stays readable.
      return ["setpriv", `--regid=${proxyId}`, "--clear-groups", "--"];
    case "proxy-tproxy":
      return ["setpriv", `--regid=${proxyId}`, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all,+net_admin", "--"];
  }
}
