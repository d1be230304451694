// What a VirtualService may say, and how a mistake in one is reported.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { readVirtualService } from "../../../../../src/source/mesh/istio/virtual-service.ts";
import { Fields, IssueSink } from "../../../../../src/source/mesh/object/fields.ts";

const to = [{ destination: { host: "a" } }];

function problems(spec: Readonly<Record<string, unknown>>): readonly string[] {
  const sink = new IssueSink();
  readVirtualService(new Fields({ spec: { hosts: ["a"], ...spec } }, [], sink));
  return sink.issues.map(({ severity, path, message }) => `${severity} ${path.slice(1).join(".")}: ${message}`);
}

suite("VirtualService", () => {
  test("routes that say one thing are accepted without a word", () => {
    for (const route of [{ route: to }, { redirect: { uri: "/x" } }, { directResponse: { status: 503 } }])
      assert.deepEqual(problems({ http: [route] }), []);
    for (const spec of [
      { tls: [{ match: [{ sniHosts: ["a"], destinationSubnets: ["::/0", "10.0.0.1"] }], route: to }] },
      { tcp: [{ route: to }] },
      { hosts: [], http: [{ route: to }] },
      { http: [{ delegate: { name: "b" }, timeout: "1s" }] },
      { gateways: ["g"], http: [{ match: [{ headers: { "@request.auth.claims.a.b": {} } }], route: to }] },
      {
        gateways: ["g"],
        http: [{ match: [{ withoutHeaders: { "@request.auth.claims[https://a.b/c][d]": { prefix: "x" } } }], route: to }],
      },
    ])
      assert.deepEqual(problems(spec), []);
  });

  type Mistake = readonly [title: string, spec: Readonly<Record<string, unknown>>, expected: RegExp];
  const mistakes: readonly Mistake[] = [
    ["a route without a target", { http: [{}] }, /error http\.0\.route: is missing/],
    ["two targets", { http: [{ route: to, redirect: { uri: "/x" } }] }, /error http\.0\.route: says more than one thing/],
    ["weights that are all 0", { http: [{ route: [...to, { destination: { host: "b" } }] }] }, /error http\.0\.route: shares nothing out/],
    ["delegation beside a target", { http: [{ delegate: { name: "b" }, route: to }] }, /error http\.0\.route: says more than one thing/],
    ["delegation of what was delegated", { hosts: [], http: [{ delegate: { name: "b" } }] }, /error http: delegates what was delegated/],
    [
      "a delegate that says where it holds",
      { hosts: [], gateways: ["g"], http: [{ route: to }] },
      /error gateways: is given without hosts/,
    ],
    ["neither hosts nor routes", { hosts: [] }, /error hosts: is empty/],
    [
      "two kinds of one match",
      { http: [{ match: [{ uri: { exact: "/", prefix: "/" } }], route: to }] },
      /uri\.prefix: stands beside exact/,
    ],
    ...[{}, { gateways: ["g", "mesh"] }, { hosts: [] }].map((where): Mistake => [
      `a match of claims in sidecars (${JSON.stringify(where)})`,
      { ...where, http: [{ match: [{ headers: { "@request.auth.claims.sub": { exact: "x" } } }], route: to }] },
      /error http: matches "@request\.auth\.claims\.sub", which is for gateways alone/,
    ]),
    ...["", ".", ".a..b", "x", "[a", "[a][]", "[a][b].c"].map((rest): Mistake => [
      `a claim that is none (${rest})`,
      { gateways: ["g"], http: [{ match: [{ withoutHeaders: { [`@request.auth.claims${rest}`]: { exact: "x" } } }], route: to }] },
      /error http\.0\.match\.0\.withoutHeaders: matches "@request\.auth\.claims.*", expected/,
    ]),
    ["an unknown gRPC status", { http: [{ fault: { abort: { grpcStatus: "MAYBE" } }, route: to }] }, /error .*grpcStatus: is "MAYBE"/],
    ["a delay without length", { http: [{ fault: { delay: { percent: 5 } }, route: to }] }, /error .*fixedDelay: is missing/],
    [
      "a share over 100",
      { http: [{ mirror: { host: "b" }, mirrorPercentage: { value: 101 }, route: to }] },
      /error .*value: is no percentage/,
    ],
    ["an unknown redirect code", { http: [{ redirect: { redirectCode: 304 } }] }, /error .*redirectCode: is 304, expected one of 301/],
    ["an export to nobody", { exportTo: ["~"] }, /error exportTo: is ~, which only a ServiceEntry may say/],
    ["an export to all and more", { exportTo: ["*", "shop"] }, /error exportTo: has \* beside other values/],
    [
      "a caller's subnet that is none",
      { tcp: [{ match: [{ sourceSubnet: "10.0.0.0/33" }], route: to }] },
      /error tcp\.0\.match\.0\.sourceSubnet: has "10\.0\.0\.0\/33"/,
    ],
    ["a subnet that is none", { tcp: [{ match: [{ destinationSubnets: ["10.0.0.0/33"] }], route: to }] }, /has "10\.0\.0\.0\/33"/],
    ["TLS without names", { tls: [{ match: [{ port: 443 }], route: to }] }, /error tls\.0\.match\.0\.sniHosts: is empty/],
    [
      "TLS for a name of nobody",
      { tls: [{ match: [{ sniHosts: ["b"] }], route: to }] },
      /error tls\.0\.match\.0\.sniHosts: has "b", expected names that the hosts/,
    ],
    ["a misspelt field", { http: [{ rout: to }] }, /error http\.0\.rout: is an unknown field/],
  ];
  for (const [title, spec, expected] of mistakes) {
    test(`${title} is named with its path`, () => {
      assert.match(problems(spec).join("\n"), expected);
    });
  }
});
