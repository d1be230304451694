import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { workloadOrigin } from "../../../src/cli/workload-flags.ts";

const renewal = { graceRatio: 0.5, graceJitter: 0.01 };
const dayMs = 86_400_000;

suite("workloadOrigin", () => {
  const cases: readonly (readonly [string, Parameters<typeof workloadOrigin>, unknown])[] = [
    ["nothing by default", [{}, {}, false], { origin: undefined }],
    ["a bootstrap's variables are its own", [{}, { CA_ADDR: "istiod:15012" }, false], { origin: undefined }],
    ["files", [{ certs: "c" }, {}, true], { origin: { kind: "files", folder: "c" } }],
    ["a server", [{ sds: "unix:/s" }, {}, false], { origin: { kind: "sds", target: "unix:/s" } }],
    [
      "an authority with Istio's variables",
      [{ caDir: "ca" }, { SECRET_TTL: "1h30m0s", SECRET_GRACE_PERIOD_RATIO: "0.25", SECRET_GRACE_PERIOD_RATIO_JITTER: "0" }, false],
      { origin: { kind: "authority", folder: "ca", ttlMs: 5_400_000, renewal: { graceRatio: 0.25, graceJitter: 0 }, identity: undefined } },
    ],
    [
      "istiod by CA_ADDR, flags before variables",
      [{ certTtl: 60_000, tokenFile: "t" }, { CA_ADDR: "istiod.istio-system.svc:15012", SECRET_TTL: "1h", CA_SNI: "istiod" }, true],
      {
        origin: {
          kind: "istiod",
          address: { address: "istiod.istio-system.svc", port: 15012 },
          rootFile: "/var/run/secrets/istio/root-cert.pem",
          tokenFile: "t",
          serverName: "istiod",
          ttlMs: 60_000,
          renewal,
          identity: undefined,
        },
      },
    ],
    ["an address that is none", [{}, { CA_ADDR: "istiod" }, true], { problem: 'CA_ADDR: "istiod" is no HOST:PORT' }],
    [
      "a life that is none",
      [{ caDir: "ca" }, { SECRET_TTL: "0s" }, false],
      { problem: 'SECRET_TTL: "0s" is no duration, expected e.g. 24h' },
    ],
  ];
  const nowhere = (): boolean => false;
  for (const [what, [flags, environment, mesh], expected] of cases) {
    test(what, () => assert.deepEqual(workloadOrigin(flags, environment, mesh, nowhere), expected));
  }

  test("a mesh's proxy takes what is in its pod, in the order of Istio's agent", () => {
    const socket = "/var/run/secrets/workload-spiffe-uds/socket";
    const pod = (...paths: readonly string[]) => workloadOrigin({}, { CA_ADDR: "istiod:15012" }, true, (path) => paths.includes(path));
    assert.deepEqual(pod(socket, "/etc/certs/cert-chain.pem"), { origin: { kind: "sds", target: `unix:${socket}` } });
    assert.deepEqual(pod("/etc/certs/cert-chain.pem"), { origin: { kind: "files", folder: "/etc/certs" } });
    const asked = pod();
    assert.equal("origin" in asked && asked.origin?.kind, "istiod");
  });

  test("a certificate lives a day unless somebody says otherwise", () => {
    const found = workloadOrigin({ caDir: "ca" }, {}, true);
    assert.ok("origin" in found && found.origin?.kind === "authority");
    assert.equal(found.origin.ttlMs, dayMs);
  });

  test("only one place is possible", () => {
    const found = workloadOrigin({ caDir: "ca", certs: "c" }, {}, true);
    assert.match("problem" in found ? found.problem : "", /comes from one place/);
  });
});
