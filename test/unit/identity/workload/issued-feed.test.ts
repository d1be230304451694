import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { CertificateIssuer, Issued } from "../../../../src/identity/workload/issuer.ts";
import { createIssuedFeed } from "../../../../src/identity/workload/issued-feed.ts";
import { defaultRenewal } from "../../../../src/identity/workload/schedule.ts";
import { createRootCa, issueWorkload, type CertificateAuthority } from "../../../../src/identity/ca/authority.ts";
import type { Logger } from "../../../../src/telemetry/logger.ts";
import { manualClock } from "../../../support/manual-clock.ts";
import { pemOf, valueOf } from "../../../support/identity/authorities.ts";

const hourMs = 3_600_000;
const identity = { trustDomain: "cluster.local", namespace: "default", serviceAccount: "sleep" };

function lab() {
  const clock = manualClock();
  const root: CertificateAuthority = createRootCa({ nowMs: clock.wallMs(), ttlMs: 1000 * hourMs });
  const issues: number[] = [];
  const lines: string[] = [];
  let problem: string | undefined;
  let who: typeof identity | undefined = identity;
  let changes = 0;
  const issuer: CertificateIssuer = {
    issue: async (asked): Promise<Issued> => {
      issues.push(clock.nowMs());
      if (problem !== undefined) return { ok: false, fatal: false, problem };
      const { chain, key, roots } = pemOf(valueOf(issueWorkload(root, { ...asked, nowMs: clock.wallMs(), ttlMs: 24 * hourMs })));
      return { ok: true, certificate: { certificateChain: chain, privateKey: key }, trustedCa: roots };
    },
  };
  const say = (message: string): void => void lines.push(message);
  const logger: Logger = { debug: say, info: say, warn: say, error: say, child: () => logger };
  const feed = createIssuedFeed({
    issuer,
    identity: () => who,
    renewal: defaultRenewal,
    clock,
    random: () => 0.5,
    logger,
    onChange: () => changes++,
  });
  return {
    clock,
    feed,
    issues,
    lines,
    changes: () => changes,
    fail: (next: string | undefined) => (problem = next),
    become: (next: typeof identity | undefined) => (who = next),
    /** Moves time, letting what it starts settle in between. */
    advance: async (ms: number, stepMs = 60_000) => {
      for (let left = ms; left > 0; left -= stepMs) {
        clock.advance(Math.min(stepMs, left));
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

suite("a feed of issued certificates", () => {
  test("has a certificate from the start and another after half of its life", async () => {
    const { feed, issues, advance, changes } = lab();
    assert.deepEqual(await feed.start(), { ok: true });
    assert.ok(feed.ready);
    const [first] = feed.secrets;
    await advance(11.9 * hourMs);
    assert.equal(issues.length, 1);
    await advance(0.2 * hourMs);
    assert.equal(issues.length, 2);
    assert.notEqual(feed.secrets[0], first);
    assert.deepEqual(
      feed.secrets.map(({ name }) => name),
      ["default", "ROOTCA"],
    );
    assert.equal(changes(), 2);
    feed.close();
    await advance(48 * hourMs, hourMs);
    assert.equal(issues.length, 2);
  });

  test("keeps what it has while renewal fails, and tries again later and later", async () => {
    const { feed, issues, lines, fail, advance } = lab();
    await feed.start();
    const [first] = feed.secrets;
    fail("no");
    await advance(12.5 * hourMs, 1_000);
    const tries = issues.slice(1);
    assert.equal(feed.secrets[0], first);
    const waits = tries.slice(1, 8).map((at, i) => Math.round((at - tries[i]!) / 1000));
    // Seven eighths of 1, 2, 4 ... s, and up to a step of the test's clock.
    for (const [i, wait] of [0.875, 1.75, 3.5, 7, 14, 28, 52.5].entries()) assert.ok(Math.abs(waits[i]! - wait) <= 1, waits.join(" "));
    assert.ok(lines.includes("workload certificate cannot be renewed, the one in use stays"));
    fail(undefined);
    await advance(60_000);
    assert.notEqual(feed.secrets[0], first);
    feed.close();
  });

  test("is not renewed every moment by an authority that is about to expire, or whose clock is wrong", async () => {
    const { feed, issues, clock, advance } = lab();
    await advance(1000 * hourMs - 60_000, 10 * hourMs);
    await feed.start();
    const before = issues.length;
    await advance(59_000, 100);
    // 59 s, 30 s, 15 s ... left: each half of the one before, then once a second.
    assert.ok(issues.length - before <= 8, `${issues.length - before} within a minute`);
    assert.ok(clock.pending() > 0);
    feed.close();
  });

  test("says at the start what is in the way, and who nobody is", async () => {
    const { feed, fail, become } = lab();
    fail("no authority");
    assert.deepEqual(await feed.start(), { ok: false, fatal: false, problems: ["no authority"] });
    become(undefined);
    const started = await feed.start();
    assert.ok(!started.ok && started.fatal);
    assert.match(started.problems[0]!, /nobody said who this workload is/);
    feed.close();
  });

  test("issues anew when the workload is somebody else, or an authority has changed, and not otherwise", async () => {
    const { feed, issues, become, advance } = lab();
    await feed.start();
    await feed.refresh();
    assert.equal(issues.length, 1);
    become({ ...identity, trustDomain: "new.example" });
    await feed.refresh();
    await advance(1);
    assert.equal(issues.length, 2);
    assert.equal(await feed.renew(), true);
    assert.equal(issues.length, 3);
    feed.close();
  });
});
