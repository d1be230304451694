// Load balancing of a cluster as Envoy's fields.
import type { Json } from "../envoy-json.ts";
import type { LoadBalancer, SimpleBalancer, Warmup } from "../istio/load-balancer.ts";

/** `lb_policy` and its settings; PASSTHROUGH is the matter of the cluster's type. */
export function loadBalancingFields(balancer: LoadBalancer | undefined): Json {
  const hash = balancer?.consistentHash;
  if (hash === undefined) {
    const policy = balancer?.simple ?? "LEAST_REQUEST";
    // Envoy's default, which proto3 leaves out.
    return { ...(policy === "ROUND_ROBIN" ? {} : { lb_policy: policy }), ...warmupFields(policy, balancer?.warmup) };
  }
  const { algorithm } = hash;
  // Sizes are 64-bit numbers, which proto3 JSON writes as strings.
  if (algorithm.kind === "maglev") return { lb_policy: "MAGLEV", maglev_lb_config: { table_size: String(algorithm.tableSize) } };
  const { minimumRingSize } = algorithm;
  const sized = minimumRingSize === 0 ? {} : { ring_hash_lb_config: { minimum_ring_size: String(minimumRingSize) } };
  return { lb_policy: "RING_HASH", ...sized };
}

function warmupFields(policy: SimpleBalancer, warmup: Warmup | undefined): Json {
  if (warmup === undefined || (policy !== "ROUND_ROBIN" && policy !== "LEAST_REQUEST")) return {};
  const { duration, curve } = warmup;
  const slow = {
    slow_start_window: duration,
    ...(curve === undefined
      ? {}
      : {
          // Envoy wants a runtime key; this is the one that Istio sends.
          aggression: { default_value: curve.aggression, runtime_key: "(" },
          min_weight_percent: curve.minimumPercent === 0 ? {} : { value: curve.minimumPercent },
        }),
  };
  return { [policy === "ROUND_ROBIN" ? "round_robin_lb_config" : "least_request_lb_config"]: { slow_start_config: slow } };
}
