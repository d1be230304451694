import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { loadBootstrap } from "../../../../src/source/file/bootstrap.ts";
import { makeCa } from "../../../support/certs.ts";

const issued = makeCa().issue({ dns: ["a.example"] });
const type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";

/** A bootstrap whose one listener has its certificate from `sds_config`, with the files that it names. */
function load(sds_config: object | undefined, files: Readonly<Record<string, string>> = {}, clusters: readonly object[] = []) {
  const tls = { tls_certificate_sds_secret_configs: [{ name: "mine", ...(sds_config ? { sds_config } : {}) }] };
  const bootstrap = {
    static_resources: {
      clusters,
      listeners: [
        {
          name: "l",
          address: { socket_address: { address: "127.0.0.1", port_value: 1 } },
          filter_chains: [
            {
              filters: [],
              transport_socket: { name: "tls", typed_config: { "@type": `${type}.DownstreamTlsContext`, common_tls_context: tls } },
            },
          ],
        },
      ],
    },
  };
  const contents: Readonly<Record<string, string>> = { "b.json": JSON.stringify(bootstrap), ...files };
  return loadBootstrap("b.json", {
    readFile: (path) => (path in contents ? Buffer.from(contents[path]!) : { error: "there is no such file" }),
    environment: () => undefined,
  });
}

const secret = (name: string, key = issued.key): object => ({
  "@type": `${type}.Secret`,
  name,
  tls_certificate: { certificate_chain: { inline_string: issued.chain }, private_key: { inline_string: key } },
});
const file = (...resources: readonly unknown[]): string => JSON.stringify({ resources });

suite("secrets that a bootstrap refers to", () => {
  test("are read from an SDS file, deprecated and present form, and the file is watched", async () => {
    for (const source of [{ path: "s.json" }, { path_config_source: { path: "s.json", watched_directory: { path: "." } } }]) {
      const loaded = await load(source, { "s.json": file(secret("other"), secret("mine")) });
      assert.ok(loaded.ok, JSON.stringify(loaded.issues));
      assert.deepEqual(
        loaded.bootstrap.resources.secrets.map(({ name }) => name),
        ["mine"],
      );
      assert.deepEqual(loaded.files, ["b.json", "s.json"]);
    }
  });

  test("are asked of the cluster's first address", async () => {
    const cluster = (address: object): object => ({
      name: "sds",
      type: "STATIC",
      load_assignment: { cluster_name: "sds", endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
    });
    const api = { api_config_source: { api_type: "GRPC", grpc_services: [{ envoy_grpc: { cluster_name: "sds" } }] } };
    for (const [address, target] of [
      [{ pipe: { path: "/run/sds" } }, "unix:/run/sds"],
      [{ socket_address: { address: "127.0.0.1", port_value: 8234 } }, "127.0.0.1:8234"],
      [{ socket_address: { address: "::1", port_value: 8234 } }, "[::1]:8234"],
    ] as const) {
      const loaded = await load(api, {}, [cluster(address)]);
      assert.ok(loaded.ok);
      assert.deepEqual(loaded.secretServers, [{ target, names: ["mine"] }]);
    }
    const none = await load(api);
    assert.match(none.issues.map(({ message }) => message).join(), /secret mine comes from cluster sds, which has no address here/);
  });

  test("that stand in the bootstrap, or come from whoever sent it, are not looked for", async () => {
    for (const source of [undefined, { ads: {} }, { self: {} }]) {
      const loaded = await load(source);
      assert.ok(loaded.ok);
      assert.deepEqual([loaded.secretServers, loaded.issues.filter(({ severity }) => severity === "error")], [[], []]);
    }
  });

  const faults: readonly (readonly [string, object, Readonly<Record<string, string>>, RegExp])[] = [
    ["a file that is not there", { path: "s.json" }, {}, /cannot read the SDS file: there is no such file/],
    ["a file that is empty", { path: "s.json" }, { "s.json": "" }, /it is empty/],
    ["a file that is no list", { path: "s.json" }, { "s.json": "{}" }, /has a list `resources`/],
    ["a file without the secret", { path: "s.json" }, { "s.json": file(secret("other")) }, /has no secret named mine/],
    ["a secret that is none", { path: "s.json" }, { "s.json": file(secret("mine", "nothing")) }, /expected PEM with a PRIVATE KEY block/],
    ["REST", { api_config_source: { api_type: "REST", cluster_names: ["c"] } }, {}, /only GRPC is|give grpc_services/],
    ["a client of Google's", { api_config_source: { api_type: "GRPC", grpc_services: [{ google_grpc: {} }] } }, {}, /give envoy_grpc/],
    ["no source at all", {}, {}, /one of path, path_config_source/],
  ];
  for (const [what, source, files, why] of faults) {
    test(`${what} is an error`, async () => {
      const loaded = await load(source, files);
      const errors = loaded.issues.filter(({ severity }) => severity === "error");
      assert.match(errors.map(({ message }) => message).join("; "), why);
      assert.ok(!JSON.stringify(errors).includes(issued.key.split("\n")[1]!));
    });
  }
});
