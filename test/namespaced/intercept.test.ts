// Interception in the kernel: each back end through the life of its rules, and real traffic past them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { type InNamespace, runInNamespace } from "../support/namespace.ts";

function seenOf(result: InNamespace, skip: (reason: string) => void): unknown {
  if ("skip" in result) {
    skip(result.skip);
    return undefined;
  }
  if ("failed" in result) return assert.fail(result.failed);
  return result.seen;
}

// An ordinary user may not open the lock of the whole machine, and a namespace needs none.
process.env["XTABLES_LOCKFILE"] ??= join(tmpdir(), `isthmus-xtables-${process.pid}.lock`);

// What only reads, which is what an ordinary user may lack: /proc/net/ip_tables_names is for the machine's root alone.
const probes = {
  "iptables-nft": ["iptables-nft", "-t", "nat", "-S"],
  "iptables-legacy": ["sh", "-c", "iptables-legacy -t nat -S && iptables-legacy-save"],
  nftables: ["nft", "list", "ruleset"],
} as const;

// What keeps a back end from working here at all, programs or kernel; undefined when nothing does.
function unusable(backEnd: keyof typeof probes): string | undefined {
  const unshare = process.getuid?.() === 0 ? ["-n"] : ["-rn"];
  const done = spawnSync("unshare", [...unshare, ...probes[backEnd]], {
    encoding: "utf8",
    timeout: 30_000,
    env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` },
  });
  return done.status === 0 ? undefined : `${backEnd} does not work here: ${(done.error?.message ?? done.stderr).trim()}`;
}

suite("interception", () => {
  for (const backEnd of Object.keys(probes) as (keyof typeof probes)[]) {
    test(`rules by ${backEnd}: apply, check, crash, undo`, (t) => {
      const reason = unusable(backEnd);
      if (reason !== undefined) return t.skip(reason);
      const seen = seenOf(runInNamespace(import.meta.url, "intercept-state.ts", [backEnd], { users: false, timeoutMs: 120_000 }), (why) =>
        t.skip(why),
      );
      if (seen !== undefined) assert.deepEqual(seen, []);
    });
  }
});

const inbound = (address: string, from: string): string => `proxy:15006 for ${address} 8080 from ${from}`;

/** Where each connection and question ends, and with what original destination and source. */
const expected = {
  "app to a service": "proxy:15001 for 10.96.0.7 80 from 10.1.0.2",
  "app to a service, IPv6": "proxy:15001 for fd00:96::7 80 from fd00:1::2",
  "app to an excluded port": "peer:7777 for 10.1.0.3 7777 from 10.1.0.2",
  "app to an excluded range": "peer:80 for 10.97.0.1 80 from 10.1.0.2",
  "app of an excluded group": "peer:80 for 10.1.0.3 80 from 10.1.0.2",
  "proxy to anywhere": "peer:80 for 10.1.0.3 80 from 10.1.0.2",
  "proxy to anywhere, IPv6": "peer:80 for fd00:1::3 80 from fd00:1::2",
  "app to its loopback": "app:8080 for 127.0.0.1 8080 from 127.0.0.1",
  "app to its own address": "app:8080 for 10.1.0.2 8080 from 10.1.0.2",
  "proxy to the app's loopback": "app:8080 for 127.0.0.1 8080 from 127.0.0.1",
  "proxy to its own pod, as by a service": inbound("10.1.0.2", "10.1.0.2"),
  "proxy to its own pod, as by a service, IPv6": inbound("fd00:1::2", "fd00:1::2"),
  "proxy to the app, inbound": "app:8080 for 10.1.0.2 8080 from 127.0.0.6",
  "proxy to the app, inbound, IPv6": "app:8080 for fd00:1::2 8080 from ::6",
  "peer to the app": inbound("10.1.0.2", "10.1.0.3"),
  "peer to the app, IPv6": inbound("fd00:1::2", "fd00:1::3"),
  "peer to an excluded port": "app:9999 for 10.1.0.2 9999 from 10.1.0.3",
  "question of the app": "proxy:15053",
  "question of the app, IPv6": "proxy:15053",
  "question of the app over TCP": "proxy:15053 for 10.1.0.3 53 from 10.1.0.2",
  "question to another resolver": "peer:53",
  "question of the proxy": "peer:53",
  "app, then proxy from the same port": "proxy:15053, then peer:53",
  "proxy, then app from the same port": "peer:53, then proxy:15053",
};

suite("intercepted traffic", () => {
  for (const [backEnd, flags] of [
    ["iptables-nft", ["--force-iptables-binary", "nft"]],
    ["iptables-legacy", ["--force-iptables-binary", "legacy"]],
    ["nftables", ["--native-nftables"]],
  ] as const) {
    for (const mode of ["REDIRECT", "TPROXY"]) {
      test(`${mode} by ${backEnd}`, (t) => {
        const reason = unusable(backEnd);
        if (reason !== undefined) return t.skip(reason);
        const seen = seenOf(
          runInNamespace(import.meta.url, "intercept-traffic.ts", [mode, ...flags], { users: true, timeoutMs: 60_000 }),
          (why) => t.skip(why),
        );
        if (seen !== undefined) assert.deepEqual(seen, expected);
      });
    }
  }
});
