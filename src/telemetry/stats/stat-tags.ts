// Envoy's default tag extraction: which part of a stat's name is a label in Prometheus, and the name that is left.

/** A label taken out of a name. */
export interface StatTag {
  readonly name: string;
  readonly value: string;
}

/** A name without its variable parts, and those parts, most specific first as Envoy prints them. */
export interface TaggedName {
  readonly name: string;
  readonly tags: readonly StatTag[];
}

interface Extractor {
  readonly tag: string;
  /** Group 1 is cut out of the name, group 2 (or group 1) is the value. */
  readonly pattern: RegExp;
}

const extractors: readonly Extractor[] = [
  { tag: "envoy.response_code", pattern: /_rq(_(\d{3}))$/d },
  { tag: "envoy.response_code_class", pattern: /_rq_(\d)xx$/d },
  { tag: "envoy.http_user_agent", pattern: /^http\..*?\.user_agent\.((.*?)\.)\w+?$/d },
  { tag: "envoy.virtual_cluster", pattern: /^vhost\..*?\.vcluster\.((.*?)\.)\w+?$/d },
  { tag: "envoy.fault_downstream_cluster", pattern: /^http\..*?\.fault\.((.*?)\.)\w+?$/d },
  { tag: "envoy.ssl_cipher", pattern: /^listener\..*?\.ssl\.cipher(\.(.*?))$/d },
  { tag: "cipher_suite", pattern: /^cluster\..*?\.ssl\.ciphers(\.(.*?))$/d },
  { tag: "envoy.tcp_prefix", pattern: /^tcp\.((.*?)\.)\w+?$/d },
  { tag: "envoy.udp_prefix", pattern: /^udp\.((.*?)\.)\w+?$/d },
  { tag: "envoy.worker_id", pattern: /^listener_manager\.(worker_(\d+)\.)/d },
  { tag: "envoy.cluster_name", pattern: /^cluster\.(([^.]+)\.)/d },
  { tag: "envoy.http_conn_manager_prefix", pattern: /^listener\..*?\.http\.((.*?)\.)/d },
  { tag: "envoy.http_conn_manager_prefix", pattern: /^http\.((.*?)\.)/d },
  { tag: "envoy.listener_address", pattern: /^listener\.(([_.\d]*|[_[\]a-fA-F\d]*)\.)/d },
  { tag: "envoy.virtual_host", pattern: /^vhost\.((.*?)\.)/d },
];

/**
 * Takes the tags out of a name.
 * @param clusterNames names as they stand in stats; a cluster's name may hold dots, which Envoy's own pattern cuts at the
 *   first (Istio replaces that pattern for the same reason)
 */
export function extractTags(name: string, clusterNames: ReadonlySet<string>): TaggedName {
  let rest = name;
  const tags: StatTag[] = [];
  for (const { tag, pattern } of extractors) {
    if (tags.some((known) => known.name === tag)) continue;
    if (tag === "envoy.cluster_name") {
      const cluster = longestCluster(rest, clusterNames);
      if (cluster !== undefined) {
        // Istio ends the names it chooses for stats with a semicolon, so that its own pattern finds where they end.
        tags.push({ name: tag, value: cluster.replace(/;$/, "") });
        rest = `cluster.${rest.slice("cluster.".length + cluster.length + 1)}`;
        continue;
      }
    }
    const found = pattern.exec(rest);
    const cut = found?.indices?.[1];
    if (!found || !cut) continue;
    tags.push({ name: tag, value: found[2] ?? found[1]! });
    rest = rest.slice(0, cut[0]) + rest.slice(cut[1]);
  }
  return { name: rest, tags };
}

function longestCluster(name: string, clusterNames: ReadonlySet<string>): string | undefined {
  if (!name.startsWith("cluster.")) return undefined;
  for (let dot = name.lastIndexOf("."); dot > "cluster.".length; dot = name.lastIndexOf(".", dot - 1)) {
    const candidate = name.slice("cluster.".length, dot);
    if (clusterNames.has(candidate)) return candidate;
  }
  return undefined;
}
