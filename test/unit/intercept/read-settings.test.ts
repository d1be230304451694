import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { flagsFromEnvironment, type GivenFlags } from "../../../src/intercept/flags.ts";
import { type Machine, readSettings } from "../../../src/intercept/read-settings.ts";
import type { InterceptSettings } from "../../../src/intercept/settings.ts";

const machine: Machine = {
  addresses: ["127.0.0.1", "10.1.0.2", "::1", "fe80::1"],
  resolvConf: () => "nameserver 10.0.0.1\n nameserver\tfd00::a \nnameserver here\n# nameserver 10.0.0.9\nnameserver 10.0.0.1\n",
  uidOf: () => undefined,
};

function read(given: GivenFlags, at: Partial<Machine> = {}): InterceptSettings {
  const result = readSettings(given, { ...machine, ...at });
  assert.ok(result.ok, JSON.stringify(result.issues));
  return result.value;
}

suite("settings of interception", () => {
  test("without flags they are those of istio-iptables", () => {
    assert.deepEqual(read({}), {
      proxyPort: 15_001,
      inboundCapturePort: 15_006,
      inboundTunnelPort: 15_008,
      proxyUids: [1337],
      proxyGids: [1337],
      mode: "REDIRECT",
      tproxyMark: 1337,
      tproxyRouteTable: 133,
      inboundPorts: [],
      inboundPortsExclude: [],
      outboundPorts: [],
      outboundPortsExclude: [],
      outboundRanges: [],
      outboundRangesExclude: [],
      virtualInterfaces: [],
      excludeInterfaces: [],
      ownerGroups: { except: [] },
      ipv4Loopback: "127.0.0.1/32",
      ipv6: false,
      dns: "off",
      dropInvalid: false,
    });
  });

  test("the proxy's user is that of ENVOY_USER, and its groups are as its users", () => {
    const uidOf = (user: string): number | undefined => (user === "envoy" ? 101 : undefined);
    assert.deepEqual(read({}, { uidOf, envoyUser: "envoy" }).proxyGids, [101]);
    assert.deepEqual(read({}, { uidOf }).proxyUids, [1337]);
    assert.deepEqual(read({ "proxy-uid": "5,6" }).proxyGids, [5, 6]);
  });

  for (const [title, addresses, flags, ipv6] of [
    ["IPv4 first", ["127.0.0.1", "10.0.0.1", "fd00::1"], {}, false],
    ["IPv4 first, dual stack", ["127.0.0.1", "10.0.0.1", "fd00::1"], { "dual-stack": "true" }, true],
    ["IPv6 alone", ["127.0.0.1", "::1", "fd00::1"], {}, true],
    ["link-local IPv6 alone", ["::1", "fe80::1"], {}, false],
    ["no address", [], { "dual-stack": "true" }, false],
    ["on", [], { ipv6: "on" }, true],
    ["off", ["fd00::1"], { ipv6: "off" }, false],
  ] as const) {
    test(`IPv6: ${title}`, () => assert.equal(read(flags, { addresses }).ipv6, ipv6));
  }

  test("DNS is taken from the servers of resolv.conf, or from all", () => {
    assert.deepEqual(read({ "redirect-dns": "true" }).dns, {
      servers: [
        { address: "10.0.0.1", family: 4 },
        { address: "fd00::a", family: 6 },
      ],
    });
    const never = (): string => assert.fail("resolv.conf was read");
    assert.equal(read({ "redirect-dns": "1", "capture-all-dns": "true" }, { resolvConf: never }).dns, "all");
    assert.equal(read({ "capture-all-dns": "true" }, { resolvConf: never }).dns, "off");
  });

  test("DNS without servers is off, with a warning", () => {
    const result = readSettings({ "redirect-dns": "true" }, { ...machine, resolvConf: () => "search a\n" });
    assert.ok(result.ok);
    assert.equal(result.value.dns, "off");
    assert.deepEqual(
      result.issues.map(({ severity, path }) => [severity, ...path]),
      [["warning", "--redirect-dns"]],
    );
  });

  test("a range of IPv6 without IPv6 is without effect, with a warning", () => {
    const result = readSettings({ "istio-service-cidr": "10.0.0.0/8,fd00::/8" }, machine);
    assert.ok(result.ok);
    assert.deepEqual(result.value.outboundRanges, [{ cidr: "10.0.0.0/8", family: 4, loopback: false }]);
    assert.equal(result.issues.length, 1);
  });

  // One value each; every one must give exactly one error, at its flag.
  for (const [flag, values] of Object.entries({
    "envoy-port": ["0", "65536", "http", "", "1,2", "-1", "1e3"],
    "inbound-capture-port": ["*"],
    "proxy-uid": ["root", "4294967295", "1 2"],
    "istio-inbound-interception-mode": ["redirect", "TPROXY2"],
    "istio-inbound-tproxy-mark": ["0", "0x10", ""],
    "istio-inbound-ports": ["80,*", "80-90", "80;reboot", "80\n-j ACCEPT"],
    "istio-local-exclude-ports": ["*"],
    "istio-service-cidr": ["10.0.0.0", "10.0.0.0/33", "fd00::/129", "10.0.0.0/8 -j ACCEPT", "example.com/8", "10.0.0.0/8,*"],
    "istio-service-exclude-cidr": ["*"],
    "kube-virt-interfaces": ["a b", "sixteen-letters-", '"eth0"', "-i", "eth/0", "eth0\nCOMMIT"],
    "istio-exclude-interfaces": ["eth0;", "{"],
    "redirect-dns": ["yes"],
    "istio-outbound-owner-groups": ["-1", "a b", 'x"', Array.from({ length: 65 }, (_, i) => i + 1).join(",")],
    "istio-outbound-ipv4-loopback-cidr": ["10.0.0.1/32", "127.0.0.1", "::1/128", "127.0.0.0/7", ""],
    ipv6: ["true"],
  })) {
    for (const value of values) {
      test(`--${flag} ${JSON.stringify(value.slice(0, 30))} is refused`, () => {
        const result = readSettings({ [flag]: value }, machine);
        assert.equal(result.ok, false);
        assert.deepEqual(
          result.issues.map(({ severity, path }) => [severity, ...path]),
          [["error", `--${flag}`]],
        );
      });
    }
  }

  test("every error is said in one go", () => {
    const result = readSettings({ "envoy-port": "x", "istio-service-cidr": "y,z", "kube-virt-interfaces": "a b" }, machine);
    assert.equal(result.issues.length, 4);
  });

  test("resolv.conf that cannot be read is an error only when it is needed", () => {
    const resolvConf = () => ({ error: "resolv.conf cannot be read: no such file" });
    assert.equal(readSettings({ "redirect-dns": "true" }, { ...machine, resolvConf }).ok, false);
    assert.equal(readSettings({}, { ...machine, resolvConf }).ok, true);
  });

  test("variables of the environment are Istio's", () => {
    assert.deepEqual(
      flagsFromEnvironment({
        ISTIO_INBOUND_PORTS: "*",
        ENVOY_PORT: "1",
        ISTIO_META_DNS_CAPTURE: "true",
        REDIRECT_DNS: "false",
        INVALID_DROP: "1",
        ISTIO_OUTBOUND_OWNER_GROUPS: "7",
        PATH: "/",
      }),
      { "istio-inbound-ports": "*", "envoy-port": "1", "redirect-dns": "true", "drop-invalid": "1", "istio-outbound-owner-groups": "7" },
    );
  });
});
