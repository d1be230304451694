// What docker-compose.yml may ask of an engine, and that the files beside it speak of the same containers.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { parse } from "yaml";
import { readText } from "./source-tree.ts";

interface Service {
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly cap_add?: readonly string[];
  readonly privileged?: boolean;
  readonly security_opt?: readonly string[];
  readonly profiles?: readonly string[];
  readonly network_mode?: string;
  readonly networks?: Readonly<Record<string, { readonly ipv4_address?: string }>> | readonly string[];
  readonly volumes?: readonly string[];
}

const { services } = parse(readText("docker-compose.yml"), { merge: true }) as { readonly services: Readonly<Record<string, Service>> };
const named = Object.entries(services);
const proxies = named.filter(([name]) => /-proxy$|^gateway-\d$|^ingress$/.test(name));

const addressesOf = ({ networks }: Service): readonly string[] =>
  Object.values(networks ?? {}).flatMap((network: unknown) => (network as { readonly ipv4_address?: string } | null)?.ipv4_address ?? []);

suite("docker-compose.yml", () => {
  test("it has two clusters with a proxy for each workload", () => {
    assert.equal(proxies.length, 14);
    for (const [name, { network_mode: mode }] of proxies.filter(([proxy]) => proxy.endsWith("-proxy"))) {
      assert.equal(mode, `service:${name.replace(/-proxy$/, "")}`);
      assert.equal(services[name.replace(/-proxy$/, "-init")]?.network_mode, mode);
    }
  });

  for (const [name, service] of named) {
    test(`${name} has a read-only root file system and no right that it does not need`, () => {
      const added = name.endsWith("-init") ? ["NET_ADMIN", "NET_RAW"] : name === "ca" ? ["CHOWN", "DAC_OVERRIDE", "FOWNER"] : [];
      assert.equal(service.read_only, true);
      assert.equal(service.privileged ?? false, false);
      assert.deepEqual(service.cap_drop, ["ALL"]);
      assert.deepEqual(service.cap_add ?? [], added);
      assert.deepEqual(service.security_opt, ["no-new-privileges:true"]);
      if (added.length === 0) assert.match(service.user ?? "", /^[1-9]\d+:[1-9]\d+$/);
    });
  }

  test("proxies run as the user whose traffic is not intercepted, applications do not", () => {
    for (const [name, { user }] of named)
      assert.equal(
        user === "1337:1337",
        proxies.some(([proxy]) => proxy === name),
        name,
      );
  });

  test("each proxy has the certificates of its own workload and no others", () => {
    for (const [name, { volumes = [] }] of proxies) {
      const certs = volumes.filter((volume) => volume.startsWith("certs-"));
      assert.deepEqual(certs, [`certs-${name.replace(/-proxy$/, "")}:/certs:ro`]);
    }
  });

  test("Prometheus is optional, and is told of every proxy by its address, cluster and name", () => {
    assert.deepEqual(services["prometheus"]?.profiles, ["metrics"]);
    const config = parse(readText("config/demo/prometheus.yml")) as {
      readonly scrape_configs: readonly [
        { readonly static_configs: readonly { readonly targets: readonly string[]; readonly labels: Readonly<Record<string, string>> }[] },
      ];
    };
    const told = config.scrape_configs[0].static_configs.map(
      ({ targets, labels }) => `${labels["cluster"]} ${labels["workload"]} ${targets.join()}`,
    );
    const there = proxies.map(([name, proxy]) => {
      const workload = name.replace(/-proxy$/, "");
      const [address = ""] = addressesOf(workload === name ? proxy : (services[workload] ?? {}));
      return `cluster${address.startsWith("10.201.") ? 1 : 2} ${workload} ${address}:15090`;
    });
    assert.deepEqual(told.toSorted(), there.toSorted());
  });
});
