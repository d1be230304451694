// The resolvers that applications are linked with, against the responder: each as it comes, on port 53 of a namespace of its own with
// a resolv.conf like a pod's. A resolver that this machine does not have is skipped, and says so.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { many, searchDomains, type Ran } from "./resolvers/namespace.ts";

const file = (name: string): string => fileURLToPath(new URL(`./resolvers/${name}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "isthmus-resolvers-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Undefined when it went well, otherwise why there is no such program to test with. */
function build(argv: readonly string[], env: object = {}): string | undefined {
  const { status, error, stderr } = spawnSync(argv[0]!, argv.slice(1), {
    encoding: "utf8",
    timeout: 240_000,
    env: { ...process.env, ...env },
  });
  if (status === 0) return undefined;
  return error ? `${argv[0]}: ${error.message}` : `${argv[0]}: ${stderr.split("\n")[0]}`;
}

const glibc = join(folder, "glibc");
const musl = join(folder, "musl");
const goLookup = join(folder, "go-lookup");

interface Resolver {
  readonly name: string;
  /** Why it cannot be tested here. */
  readonly missing: string | undefined;
  lookup(host: string): readonly string[];
  readonly env?: object;
  readonly srv?: (name: string) => readonly string[];
  /** It does not ask again over TCP for what came cut. */
  readonly noTcp?: boolean;
}

const noGetent = build(["getent", "--version"]);
const getent: Omit<Resolver, "name"> = { missing: noGetent, lookup: (host) => ["getent", "ahosts", host] };
/** musl asks over TCP since 1.2.4. */
const muslVersion = /Version (\d+)\.(\d+)\.(\d+)/.exec(spawnSync("/lib/ld-musl-x86_64.so.1", { encoding: "utf8" }).stderr ?? "");
const oldMusl = muslVersion === null || (Number(muslVersion[2]) === 2 && Number(muslVersion[3]) < 4);
const resolvers: readonly Resolver[] = [
  { name: "glibc (getent ahosts)", ...getent },
  { name: "glibc with EDNS", ...getent, env: { RES_OPTIONS: "edns0" } },
  { name: "glibc over TCP", ...getent, env: { RES_OPTIONS: "use-vc" } },
  { name: "glibc asking for A and AAAA one by one", ...getent, env: { RES_OPTIONS: "single-request" } },
  { name: "glibc (getaddrinfo)", missing: build(["cc", "-o", glibc, file("getaddrinfo.c")]), lookup: (host) => [glibc, host] },
  {
    name: "musl (getaddrinfo)",
    missing: build(["musl-gcc", "-static", "-o", musl, file("getaddrinfo.c")]),
    lookup: (host) => [musl, host],
    noTcp: oldMusl,
  },
  {
    name: "Go",
    missing: build(["go", "build", "-o", goLookup, file("lookup.go")], { CGO_ENABLED: "0", GO111MODULE: "off", GOFLAGS: "" }),
    lookup: (host) => [goLookup, host],
    srv: (name) => [goLookup, "http", name],
  },
  {
    name: `c-ares ${process.versions["ares"]}`,
    missing: undefined,
    lookup: (host) => [process.execPath, file("lookup.mjs"), host],
    srv: (name) => [process.execPath, file("lookup.mjs"), `_http._tcp.${name}`, "SRV"],
  },
];

const noDig = build(["dig", "-v"]);
const dig = (...flags: readonly string[]): readonly string[] => ["dig", "+tries=1", "+time=5", "@127.0.0.1", ...flags];

/** A name, and the addresses that every resolver must find; none: it must fail, and soon. */
const hosts: readonly (readonly [host: string, addresses: readonly string[]])[] = [
  ["cart", ["10.96.0.1"]],
  ["CART.ns1", ["10.96.0.1"]],
  ["cart.ns1.svc.cluster.local", ["10.96.0.1"]],
  ["stock.ns2.svc.cluster.local.", ["10.96.0.2"]],
  ["stock.ns2", ["10.96.0.2"]],
  ["stock", []],
  ["dual.example.com", ["198.51.100.4", "2001:db8::4"]],
  ["v6.example.com", ["2001:db8::6"]],
  ["a.wild.example.com", ["198.51.100.10"]],
  ["many.example.com", many],
  ["www.upstream.example", ["203.0.113.1"]],
  ["no-such.example", []],
];

/** c-ares' plain queries know no search list, which is for getaddrinfo. */
const searched = new Set(["cart", "CART.ns1", "stock.ns2"]);

const commands: { readonly argv: readonly string[]; readonly env: object }[] = [];
const results: Ran[] = [];

/** Notes a command to be run in the namespace; its result is there when the tests run. */
function later(argv: readonly string[], env: object = {}): () => Ran {
  const at = commands.push({ argv, env }) - 1;
  return () => results[at]!;
}

const lines = (text: string): readonly string[] =>
  [...new Set(text.split("\n").flatMap((line) => line.split(/\s+/, 1)[0] || []))].toSorted();

/** Runs all commands; undefined, or why there is no namespace to run them in. */
function runInNamespace(): string | undefined {
  const resolvConf = join(folder, "resolv.conf");
  writeFileSync(resolvConf, `nameserver 127.0.0.1\nsearch ${searchDomains.join(" ")}\noptions ndots:5\n`);
  const nsswitch = join(folder, "nsswitch.conf");
  writeFileSync(nsswitch, "hosts: dns\n");
  const list = join(folder, "commands.json");
  writeFileSync(list, JSON.stringify(commands));
  const script = [
    "ip link set lo up",
    `mount --bind '${resolvConf}' /etc/resolv.conf`,
    `{ [ ! -e /etc/nsswitch.conf ] || mount --bind '${nsswitch}' /etc/nsswitch.conf; }`,
    `exec '${process.execPath}' '${file("namespace.ts")}' '${list}'`,
  ].join(" && ");
  const { status, stdout, stderr, error } = spawnSync("unshare", ["-Urnm", "sh", "-c", script], { encoding: "utf8", timeout: 240_000 });
  if (error) return `unshare: ${error.message}`;
  if (status !== 0) return `unshare -Urnm: ${stderr.split("\n")[0]}`;
  results.push(...(JSON.parse(stdout) as readonly Ran[]));
  return undefined;
}

describe("resolvers of applications", () => {
  let unavailable: string | undefined;
  before(() => void (unavailable = runInNamespace()));

  for (const { name, missing, env, lookup, srv, noTcp } of resolvers) {
    for (const [host, addresses] of hosts) {
      const full =
        name.startsWith("c-ares") && searched.has(host)
          ? `${host.split(".")[0]}.${host.startsWith("stock") ? "ns2" : "ns1"}.svc.cluster.local`
          : host;
      const ran = missing === undefined ? later(lookup(full), env) : undefined;
      test(`${name}: ${full} ${addresses.length > 2 ? `has ${addresses.length} addresses` : addresses.join(" ") || "is not found"}`, (t) => {
        if (!ran || unavailable !== undefined) {
          t.skip(missing ?? unavailable);
          return;
        }
        const { code, out, error } = ran();
        if (addresses.length === 0) {
          assert.notEqual(code, 0, out);
          assert.notEqual(code, null, "timed out");
          return;
        }
        assert.equal(code, 0, error);
        const found = lines(out);
        if (noTcp && addresses.length > 30) assert.ok(found.length >= 20 && found.every((each) => addresses.includes(each)));
        else assert.deepEqual(found, addresses.toSorted());
      });
    }
    if (!srv) continue;
    const ran = missing === undefined ? later(srv("cart.ns1.svc.cluster.local")) : undefined;
    test(`${name}: SRV of a port`, (t) => {
      if (!ran || unavailable !== undefined) {
        t.skip(missing ?? unavailable);
        return;
      }
      const { code, out, error } = ran();
      assert.equal(code, 0, error);
      assert.equal(out, "cart.ns1.svc.cluster.local. 8000\n");
    });
  }

  for (const [title, argv, check] of [
    ["an answer", dig("cart.ns1", "A"), /status: NOERROR[^]*ANSWER: 1,[^]*udp: 1232[^]*cart\.ns1\.\s+30\s+IN\s+A\s+10\.96\.0\.1/],
    ["a search domain", dig("+search", "cart", "A"), /cart\.\S*\s+30\s+IN\s+A\s+10\.96\.0\.1/],
    ["no address of that family, with an SOA", dig("cart.ns1", "AAAA"), /status: NOERROR[^]*ANSWER: 0, AUTHORITY: 1[^]*SOA/],
    ["no HTTPS record", dig("dual.example.com", "HTTPS"), /status: NOERROR[^]*ANSWER: 0, AUTHORITY: 1/],
    [
      "SRV with the address beside it",
      dig("_http._tcp.cart.ns1", "SRV"),
      /SRV\s+0 100 8000 cart\.ns1[^]*ADDITIONAL SECTION[^]*10\.96\.0\.1/,
    ],
    ["a cut answer, marked", dig("+noedns", "+ignore", "many.example.com"), /flags: qr aa tc rd/],
    ["a cut answer made whole over TCP", dig("+noedns", "many.example.com"), /retrying in TCP mode[^]*ANSWER: 40,/],
    ["TCP", dig("+tcp", "many.example.com"), /ANSWER: 40,[^]*\(TCP\)/],
    [
      "several queries on one connection",
      dig("+tcp", "+keepopen", "cart.ns1", "@127.0.0.1", "+tcp", "+keepopen", "stock.ns2"),
      /10\.96\.0\.1[^]*10\.96\.0\.2/,
    ],
    ["cookies, which are not for us", dig("+cookie=0123456789abcdef", "cart.ns1"), /status: NOERROR(?![^]*COOKIE)/],
    ["an EDNS version of the future", dig("+edns=1", "+noednsnegotiation", "cart.ns1"), /status: BADVERS/],
    ["an unknown EDNS option", dig("+ednsopt=65001:00", "cart.ns1"), /status: NOERROR/],
    ["a name upstream", dig("www.upstream.example"), /status: NOERROR[^]*203\.0\.113\.1/],
    ["a name that does not exist", dig("no-such.example"), /status: NXDOMAIN/],
    ["an operation that is not known", dig("+noedns", "+opcode=notify", "cart.ns1"), /status: NOTIMP/],
  ] as const) {
    const ran = noDig === undefined ? later(argv) : undefined;
    test(`dig: ${title}`, (t) => {
      if (!ran || unavailable !== undefined) {
        t.skip(noDig ?? unavailable);
        return;
      }
      const { code, out, error } = ran();
      assert.equal(code, 0, error);
      assert.match(out, check);
      // Recursion is not offered, as by Istio's proxy, and `.local` is Kubernetes' choice.
      const warnings = out.split("\n").filter((line) => line.includes("WARNING") && !/recursion requested|\.local is reserved/.test(line));
      assert.deepEqual(warnings, []);
      assert.doesNotMatch(out, /Malformed|bad (?:packet|cookie)|mismatch/i);
    });
  }
});
