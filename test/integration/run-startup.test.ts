// What keeps `isthmus` from starting: exit codes, and one sentence that says what to do.
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { makeCa } from "../support/certs.ts";
import { isthmus, temporaryFolder, writeTcpBootstrap } from "./run-process.ts";

async function runAndEnd(t: TestContext, ...args: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  const running = isthmus(t, ...args);
  return { code: await running.exited, output: running.output() };
}

async function ownPort(t: TestContext): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

suite("wrong usage exits 2", { concurrency: 2 }, () => {
  for (const [args, message] of [
    [["rum"], /unknown command 'rum'[^]*Did you mean run\?/],
    [["run", "--concurency", "1"], /unknown option '--concurency'[^]*Did you mean --concurrency\?/],
    [["run"], /give either --config FILE or --mesh DIR/],
    [["run", "-c", "a", "--mesh", "b"], /give either --config FILE or --mesh DIR/],
    [["run", "-c", "a", "--admin", "nowhere"], /HOST:PORT/],
    [["run", "-c", "a", "--concurrency", "0"], /whole number from 1/],
    [["run", "-c", "a", "--log-level", "loud"], /Allowed choices are trace, debug/],
  ] as const) {
    test(args.join(" "), async (t) => {
      const { code, output } = await runAndEnd(t, ...args);
      assert.equal(code, 2, output);
      assert.match(output, message);
    });
  }
});

suite("help and version exit 0", { concurrency: 2 }, () => {
  for (const [args, message] of [
    [["--help"], /Usage: isthmus [^]*run /],
    [["run", "--help"], /--drain-time-s/],
    [["--version"], /^\d+\.\d+\.\d+\n$/],
  ] as const) {
    test(args.join(" "), async (t) => {
      const { code, output } = await runAndEnd(t, ...args);
      assert.equal(code, 0, output);
      assert.match(output, message);
    });
  }
});

suite("what cannot start exits 1", { concurrency: 2 }, () => {
  test("a missing file", async (t) => {
    const { code, output } = await runAndEnd(t, "run", "-c", join(temporaryFolder(t), "none.yaml"));
    assert.equal(code, 1);
    assert.match(output, /none\.yaml:1:1 error cannot read the file/);
  });

  test("a bootstrap with errors: every one with its place", async (t) => {
    const file = join(temporaryFolder(t), "b.yaml");
    writeFileSync(file, "static_resources:\n  clusters:\n  - {name: a, type: NOPE}\n  - {nam: b}\n");
    const { code, output } = await runAndEnd(t, "run", "-c", file);
    assert.equal(code, 1);
    assert.match(output, /b\.yaml:3:\d+ error .*type/);
    assert.match(output, /b\.yaml:4:\d+ error .*nam\b/);
  });

  test("a listener's port in use, also with several workers", async (t) => {
    const folder = temporaryFolder(t);
    const port = await ownPort(t);
    const file = join(folder, "b.yaml");
    writeTcpBootstrap(file, { upstream: 1, log: join(folder, "log"), port });
    for (const concurrency of ["1", "2"]) {
      const { code, output } = await runAndEnd(t, "run", "-c", file, "--concurrency", concurrency);
      assert.equal(code, 1, output);
      assert.match(output, new RegExp(`listener tcp: 127\\.0\\.0\\.1:${port} is already in use: stop the process`));
    }
  });

  test("the admin port in use", async (t) => {
    const folder = temporaryFolder(t);
    const file = join(folder, "b.yaml");
    writeTcpBootstrap(file, { upstream: 1, log: join(folder, "log") });
    const port = await ownPort(t);
    const { code, output } = await runAndEnd(t, "run", "-c", file, "--concurrency", "1", "--admin", `127.0.0.1:${port}`);
    assert.equal(code, 1, output);
    assert.match(output, new RegExp(`admin server: 127\\.0\\.0\\.1:${port} is already in use: .*--admin`));
  });

  test("a certificate that is missing, expired, or of another key", async (t) => {
    const ca = makeCa();
    const good = ca.issue({ uri: ["spiffe://cluster.local/ns/a/sa/b"] });
    const expired = ca.issue({ notBeforeMs: -2 * 3_600_000, notAfterMs: -3_600_000 });
    const cases = [
      [{ "key.pem": good.key, "root-cert.pem": ca.cert }, /cert-chain\.pem is missing: make it with isthmus ca workload/],
      [
        { "cert-chain.pem": expired.chain, "key.pem": expired.key, "root-cert.pem": ca.cert },
        /cert-chain\.pem expired on .*: issue a new one/,
      ],
      [
        { "cert-chain.pem": good.chain, "key.pem": expired.key, "root-cert.pem": ca.cert },
        /the private key does not belong to certificate/,
      ],
      [{ "cert-chain.pem": "x", "key.pem": good.key, "root-cert.pem": "y" }, /is no PEM certificate/],
    ] as const;
    for (const [files, message] of cases) {
      const folder = temporaryFolder(t);
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
      const file = join(folder, "b.yaml");
      writeTcpBootstrap(file, { upstream: 1, log: join(folder, "log") });
      const { code, output } = await runAndEnd(t, "run", "-c", file, "--concurrency", "1", "--certs", folder);
      assert.equal(code, 1, output);
      assert.match(output, message);
      assert.ok(!output.includes("PRIVATE KEY"));
    }
  });
});
