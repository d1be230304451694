import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { viewFromNode } from "../../../../../src/source/mesh/node-view.ts";
import { loadFiles, sidecar } from "../mesh-folder.ts";

interface Said {
  readonly namespace?: string;
  readonly age: number;
  readonly port: number;
  readonly endpoint: string;
  readonly address?: string;
  readonly exportTo?: string;
  readonly resolution?: string;
}

const entry = (name: string, { namespace = "apps", age, port, endpoint, address, exportTo, resolution = "STATIC" }: Said): string => `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: ${namespace}, creationTimestamp: "2024-01-0${age}T00:00:00Z"}
spec:
  hosts: [one.internal]
  addresses: [${address ?? ""}]
  exportTo: [${exportTo ?? ""}]
  resolution: ${resolution}
  ports: [{number: ${port}, name: tcp-${port}, protocol: TCP}]
  endpoints: [{address: ${endpoint}, serviceAccount: ${name}}]
`;

suite("one host in several entries", () => {
  const cases: readonly (readonly [string, readonly string[], string, object])[] = [
    [
      "of a namespace is one service: their ports, addresses, endpoints and identities together",
      [
        entry("a", { age: 1, port: 1, endpoint: "192.0.2.1", address: "198.51.100.1" }),
        entry("b", { age: 2, port: 2, endpoint: "192.0.2.2", address: "198.51.100.2" }),
      ],
      "third",
      { ports: [1, 2], addresses: ["198.51.100.1", "198.51.100.2"], endpoints: ["192.0.2.1", "192.0.2.2"], accounts: 2 },
    ],
    [
      "with one port has it once",
      [entry("a", { age: 1, port: 1, endpoint: "192.0.2.1" }), entry("b", { age: 2, port: 1, endpoint: "192.0.2.2" })],
      "third",
      { ports: [1], addresses: ["240.240.138.172"], endpoints: ["192.0.2.1", "192.0.2.2"], accounts: 2 },
    ],
    [
      "belongs to the caller's own namespace",
      [
        entry("a", { namespace: "other", age: 1, port: 1, endpoint: "192.0.2.1", address: "198.51.100.1" }),
        entry("b", { age: 2, port: 2, endpoint: "192.0.2.2", address: "198.51.100.2" }),
      ],
      "apps",
      { ports: [2], addresses: ["198.51.100.2"], endpoints: ["192.0.2.2"], accounts: 1 },
    ],
    [
      "belongs to the oldest for everybody else",
      [
        entry("a", { namespace: "other", age: 1, port: 1, endpoint: "192.0.2.1", address: "198.51.100.1" }),
        entry("b", { age: 2, port: 2, endpoint: "192.0.2.2", address: "198.51.100.2" }),
      ],
      "third",
      { ports: [1], addresses: ["198.51.100.1"], endpoints: ["192.0.2.1"], accounts: 1 },
    ],
    [
      "shows nothing of an entry that is not exported to the caller",
      [
        entry("a", { age: 1, port: 1, endpoint: "192.0.2.1", address: "198.51.100.1" }),
        entry("b", { age: 2, port: 2, endpoint: "192.0.2.2", address: "198.51.100.2", exportTo: "." }),
      ],
      "third",
      { ports: [1], addresses: ["198.51.100.1"], endpoints: ["192.0.2.1"], accounts: 1 },
    ],
    [
      "is what the oldest says where they disagree on the resolution",
      [
        entry("a", { age: 1, port: 1, endpoint: "192.0.2.1", address: "198.51.100.1" }),
        entry("b", { age: 2, port: 2, endpoint: "192.0.2.2", address: "198.51.100.2", resolution: "DNS" }),
      ],
      "third",
      { ports: [1], addresses: ["198.51.100.1"], endpoints: ["192.0.2.1"], accounts: 1 },
    ],
  ];
  for (const [title, entries, namespace, expected] of cases) {
    test(title, async (t) => {
      const { mesh } = await loadFiles(t, { "istio/entries.yaml": entries.join("") });
      const view = viewFromNode(mesh, sidecar("caller", "10.0.0.1", {}, namespace));
      assert.equal(view.services.length, 1);
      const [service] = view.services;
      assert.ok(service !== undefined);
      assert.deepEqual(
        {
          ports: service.ports.map((port) => port.port),
          addresses: view.addressesOf(service),
          endpoints: service.endpoints.map((endpoint) => endpoint.address),
          accounts: service.identities.length,
        },
        expected,
      );
    });
  }
});
