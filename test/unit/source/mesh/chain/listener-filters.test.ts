// Inspectors stand where a chain needs what they find, and are kept from every other port.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { inspectorsFor } from "../../../../../src/source/mesh/chain/listener-filters.ts";
import type { Json } from "../../../../../src/source/mesh/envoy-json.ts";

const chain = (destination_port: number | undefined, transport_protocol: string, application_protocols?: readonly string[]): Json => ({
  filter_chain_match: {
    ...(destination_port === undefined ? {} : { destination_port }),
    transport_protocol,
    ...(application_protocols === undefined ? {} : { application_protocols }),
  },
});
const at = (port: number): Json => ({ destination_port_range: { start: port, end: port + 1 } });
const plain = ["http/1.1", "h2c"];

/** Chains, and what is said of `tls` and `http`: absent, everywhere (null), or disabled by a predicate. */
const cases: readonly (readonly [string, readonly Json[], { readonly tls?: Json | null; readonly http?: Json | null }])[] = [
  ["no chain", [], {}],
  ["a chain without a match", [{}], {}],
  ["plaintext alone", [chain(undefined, "raw_buffer"), chain(80, "raw_buffer")], {}],
  ["TLS anywhere", [chain(undefined, "tls")], { tls: null }],
  ["TLS anywhere but at one port", [chain(undefined, "tls"), chain(80, "raw_buffer")], { tls: at(80) }],
  [
    "TLS anywhere but at two ports, by number",
    [chain(90, "raw_buffer"), chain(undefined, "tls"), chain(80, "raw_buffer"), chain(443, "tls")],
    { tls: { or_match: { rules: [at(80), at(90)] } } },
  ],
  ["TLS at one port alone", [chain(undefined, "raw_buffer"), chain(443, "tls")], { tls: { not_match: at(443) } }],
  [
    "both at two ports",
    [chain(443, "tls"), chain(80, "raw_buffer", plain), chain(8443, "tls"), chain(8080, "raw_buffer", plain)],
    { tls: { not_match: { or_match: { rules: [at(443), at(8443)] } } }, http: { or_match: { rules: [at(443), at(8443)] } } },
  ],
  ["HTTP at the only port", [chain(80, "raw_buffer", plain)], { http: null }],
  [
    "HTTP at one port, and none elsewhere",
    [chain(undefined, "raw_buffer"), chain(80, "raw_buffer", plain), chain(90, "raw_buffer")],
    { http: { or_match: { rules: [{ destination_port_range: { end: 1 } }, at(90)] } } },
  ],
  ["mesh protocols are no plaintext HTTP", [chain(undefined, "tls", ["istio-http/1.1"])], { tls: null }],
];

suite("inspectors", () => {
  for (const [title, chains, expected] of cases) {
    test(title, () => {
      const found = inspectorsFor(chains).map((filter): readonly [string, unknown] => [
        String(filter["name"]).replace("envoy.filters.listener.", "").replace("_inspector", ""),
        filter["filter_disabled"] ?? null,
      ]);
      assert.deepEqual(Object.fromEntries(found), expected);
    });
  }
});
