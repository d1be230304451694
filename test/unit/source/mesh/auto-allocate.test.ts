import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  type AutoAllocateSettings,
  defaultAutoAllocate,
  readAutoAllocate,
  variablesFromFlag,
} from "../../../../src/source/mesh/auto-allocate.ts";
import { loadMeshDirectory } from "../../../../src/source/mesh/directory/load.ts";
import { translate } from "../../../../src/source/mesh/translate.ts";
import { loadFiles, meshFolder, sidecar } from "./mesh-folder.ts";

const v4Name = "PILOT_IP_AUTOALLOCATE_IPV4_PREFIX";
const v6Name = "PILOT_IP_AUTOALLOCATE_IPV6_PREFIX";

suite("settings of address allocation", () => {
  const { ranges } = defaultAutoAllocate;
  const cases: readonly (readonly [string, Readonly<Record<string, string>>, Partial<AutoAllocateSettings>])[] = [
    ["nothing said: by hash, for every proxy that captures DNS", {}, {}],
    ["true: in sequence", { PILOT_ENABLE_IP_AUTOALLOCATE: "true" }, { order: "sequence" }],
    ["false: by hash, opted in", { PILOT_ENABLE_IP_AUTOALLOCATE: "false" }, { optIn: true }],
    ["a range of IPv4", { [v4Name]: "10.9.0.0/16" }, { ranges: { ...ranges, v4: "10.9.0.0/16" } }],
    ["a range of IPv6", { [v6Name]: "fd00::/64" }, { ranges: { ...ranges, v6: "fd00::/64" } }],
  ];
  for (const [title, variables, expected] of cases)
    test(title, () => {
      assert.deepEqual(readAutoAllocate(variables, defaultAutoAllocate), { settings: { ...defaultAutoAllocate, ...expected }, issues: [] });
    });

  const wrong: readonly (readonly [string, string, RegExp])[] = [
    ["PILOT_ENABLE_IP_AUTOALLOCATE", "maybe", /neither true .* nor false/],
    [v4Name, "10.0.0.0/31", /too small/],
    [v4Name, "fd00::/64", /no IPv4 range/],
    [v6Name, "fd00::/120", /too small/],
  ];
  for (const [name, value, expected] of wrong)
    test(`${name}=${value} is one error, and changes nothing`, () => {
      const { settings, issues } = readAutoAllocate({ [name]: value }, defaultAutoAllocate);
      assert.deepEqual(settings, defaultAutoAllocate);
      assert.deepEqual(
        issues.map(({ severity, path }) => [severity, path]),
        [["error", [name]]],
      );
      assert.match(issues[0]?.message ?? "", expected);
    });
});

suite("--virtual-addresses", () => {
  const cases: readonly (readonly [string | undefined, Readonly<Record<string, string>>])[] = [
    [undefined, {}],
    ["10.9.0.0/16", { [v4Name]: "10.9.0.0/16" }],
    ["fd00::/64", { [v6Name]: "fd00::/64" }],
    ["fd00::/64, 10.9.0.0/16", { [v4Name]: "10.9.0.0/16", [v6Name]: "fd00::/64" }],
  ];
  for (const [flag, expected] of cases) test(String(flag), () => assert.deepEqual(variablesFromFlag(flag), expected));

  for (const flag of ["10.0.0.0/16,10.1.0.0/16", "fd00::/64,fd01::/64", "10.0.0.0/16,fd00::/64,10.1.0.0/16", ""])
    test(`${JSON.stringify(flag)} is refused`, () => {
      assert.equal(readAutoAllocate(variablesFromFlag(flag), defaultAutoAllocate).issues.length, 1);
    });
});

const entry = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db}
spec: {hosts: [db.internal], resolution: STATIC, ports: [{number: 5432, name: tcp, protocol: TCP}], endpoints: [{address: 192.0.2.5}]}
`;
const config = (variables: string): string => `defaultConfig: {proxyMetadata: {${variables}}}\n`;

/** What DNS and the listeners say of the one entry. */
async function seenBy(
  t: Parameters<typeof meshFolder>[0],
  options: {
    readonly config?: string;
    readonly variables?: Readonly<Record<string, string>>;
    readonly metadata?: Readonly<Record<string, unknown>>;
  },
): Promise<readonly string[]> {
  const folder = await meshFolder(t, { "meshconfig.yaml": config(options.config ?? ""), "istio/db.yaml": entry });
  const { mesh, issues } = await loadMeshDirectory(folder, options.variables === undefined ? {} : { variables: options.variables });
  assert.deepEqual(issues, []);
  const { lds, nds } = translate(mesh, sidecar("client", "10.0.0.1", options.metadata));
  const [table] = nds.resources as readonly { readonly table?: Readonly<Record<string, { readonly ips: readonly string[] }>> }[];
  const listeners = lds.resources.map((listener) => String(listener["name"])).filter((name) => name.endsWith("_5432"));
  return [...(table?.table?.["db.internal"]?.ips ?? []), ...listeners];
}

suite("where the settings come from", () => {
  test("the mesh's proxyMetadata, over it the process's own variables", async (t) => {
    const range = `${v4Name}: 10.8.0.0/16`;
    const [ofMesh = ""] = await seenBy(t, { config: range });
    assert.match(ofMesh, /^10\.8\./);
    const [ofProcess = ""] = await seenBy(t, { config: range, variables: { [v4Name]: "10.9.0.0/16" } });
    assert.match(ofProcess, /^10\.9\./);
  });

  test("a range of the mesh that cannot be used is one error at its place", async (t) => {
    const { issues } = await loadFiles(t, { "meshconfig.yaml": config(`${v4Name}: 10.8.0.0/31`), "istio/db.yaml": entry });
    assert.deepEqual(
      issues.map(({ severity, path }) => [severity, path.join(".")]),
      [["error", `defaultConfig.proxyMetadata.${v4Name}`]],
    );
  });

  test("a range without room for every host is one error that counts them", async (t) => {
    const hosts = ["a.internal", "b.internal", "c.internal"].map((host) =>
      entry.replaceAll("db.internal", host).replace("name: db", `name: ${host}`),
    );
    const { issues } = await loadFiles(t, { "meshconfig.yaml": config(`${v4Name}: 10.8.0.0/30`), "istio/db.yaml": hosts.join("---\n") });
    assert.equal(issues.length, 1);
    assert.match(issues[0]?.message ?? "", /10\.8\.0\.0\/30 .* is too small: it has 2 addresses, and 1 more hosts need one/);
  });
});

suite("who sees handed-out addresses", () => {
  const optIn = { variables: { PILOT_ENABLE_IP_AUTOALLOCATE: "false" } };
  const captures = { DNS_CAPTURE: "true" };
  const both = { ...captures, DNS_AUTO_ALLOCATE: "true" };
  const v4 = ["240.240.145.230", "240.240.145.230_5432"];
  const cases: readonly (readonly [string, Parameters<typeof seenBy>[1], readonly string[]])[] = [
    ["a proxy that captures DNS", { metadata: captures }, v4],
    ["no other", { metadata: { DNS_CAPTURE: "false" } }, ["0.0.0.0_5432"]],
    ["by the legacy setting one that opts in", { ...optIn, metadata: both }, v4],
    ["and no other", { ...optIn, metadata: captures }, ["0.0.0.0_5432"]],
    [
      "an IPv6 proxy sees the IPv6 one",
      { metadata: { ...captures, INSTANCE_IPS: "2001:db8::1" } },
      ["2001:2::f0f0:91e6", "2001:2::f0f0:91e6_5432"],
    ],
    ["one with both families the IPv4 one", { metadata: { ...captures, INSTANCE_IPS: "10.0.0.1,2001:db8::1" } }, v4],
    [
      "and in a dual stack mesh both, behind one listener",
      { metadata: { ...captures, INSTANCE_IPS: "10.0.0.1,2001:db8::1" }, config: 'ISTIO_DUAL_STACK: "true"' },
      ["240.240.145.230", "2001:2::f0f0:91e6", "240.240.145.230_5432"],
    ],
  ];
  for (const [title, options, expected] of cases) test(title, async (t) => assert.deepEqual(await seenBy(t, options), expected));
});
