import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { ExpiryWatch } from "../../../src/identity/expiry-watch.ts";
import type { LogFields, Logger } from "../../../src/telemetry/logger.ts";
import { makeCa } from "../../support/certs.ts";
import { manualClock } from "../../support/manual-clock.ts";

const hourMs = 3_600_000;

function lab() {
  const clock = manualClock(Date.now());
  const lines: [string, LogFields | undefined][] = [];
  const nothing = (): void => undefined;
  const logger: Logger = {
    debug: nothing,
    info: nothing,
    error: nothing,
    warn: (message, fields) => void lines.push([message, fields]),
    child: () => logger,
  };
  return { clock, lines, watch: new ExpiryWatch(clock, logger) };
}

const issued = (lifeMs: number): X509Certificate =>
  new X509Certificate(makeCa().issue({ uri: ["spiffe://a/ns/b/sa/c"], notBeforeMs: 0, notAfterMs: lifeMs }).cert);

test("one line at a fifth of the life left, one at the end", () => {
  const { clock, lines, watch } = lab();
  watch.follow([{ source: "secret default", chain: [issued(10 * hourMs)], authorities: [] }]);
  clock.advance(7.9 * hourMs);
  assert.equal(lines.length, 0);
  clock.advance(0.2 * hourMs);
  assert.equal(lines.length, 1);
  assert.equal(lines[0]![0], "certificate will expire soon");
  assert.equal(lines[0]![1]?.["source"], "secret default");
  assert.equal(lines[0]![1]?.["identity"], "spiffe://a/ns/b/sa/c");
  clock.advance(1.8 * hourMs);
  assert.equal(lines.length, 1);
  clock.advance(0.2 * hourMs);
  assert.deepEqual(
    lines.map(([message]) => message),
    ["certificate will expire soon", "certificate has expired"],
  );
  clock.advance(100 * hourMs);
  assert.equal(lines.length, 2);
  watch.close();
  assert.equal(clock.pending(), 0);
});

test("a certificate that was replaced in time is not spoken of", () => {
  const { clock, lines, watch } = lab();
  watch.follow([{ source: "secret default", chain: [issued(10 * hourMs)], authorities: [] }]);
  clock.advance(5 * hourMs);
  watch.follow([{ source: "secret default", chain: [issued(100 * hourMs)], authorities: [] }]);
  clock.advance(20 * hourMs);
  assert.equal(lines.length, 0);
});

test("one that is late already is told at once, and again only when it is another", () => {
  const { lines, watch, clock } = lab();
  const expired = issued(-hourMs);
  for (let i = 0; i < 3; i++) watch.follow([{ source: "secret x", chain: [expired], authorities: [] }]);
  assert.deepEqual(
    lines.map(([message]) => message),
    ["certificate has expired"],
  );
  watch.follow([]);
  assert.equal(clock.pending(), 0);
});
