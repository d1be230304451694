import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { isthmus as start } from "../run-process.ts";

const program = fileURLToPath(new URL("../../../src/main.ts", import.meta.url));
const isthmus = (args: readonly string[], input = "") =>
  spawnSync(process.execPath, [program, ...args], { input, encoding: "utf8", timeout: 60_000 });

const pod = (name: string, spec = ""): string =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}}\nspec:\n${spec}  containers:\n  - {name: app, image: app:1}\n`;

suite("isthmus inject", () => {
  test("reads standard input, writes YAML, and says what it did beside it", () => {
    const { status, stdout, stderr } = isthmus(["inject", "-f", "-", "--cluster", "c1", "--mesh-clusters", "c1,c2"], pod("a"));
    assert.deepEqual([status, stderr], [0, "Pod default/a: injected\n"]);
    assert.match(stdout, /^ {6}- key: k8s-c2\.yaml$|k8s-c2\.yaml/m);
  });

  test("writes nothing at all when one pod is refused", () => {
    const { status, stdout, stderr } = isthmus(
      ["inject", "-f", "-", "--cluster", "c1"],
      `${pod("a")}---\n${pod("b", "  hostNetwork: true\n")}`,
    );
    assert.deepEqual([status, stdout], [1, ""]);
    assert.match(stderr, /^error: Pod default\/b: hostNetwork is true/m);
  });

  for (const [args, code, says] of [
    [["-f", "/nonexistent.yaml", "--cluster", "c1"], 1, /nonexistent\.yaml cannot be read/],
    [["-f", "-"], 2, /--cluster/],
    [["-f", "-", "--cluster", "../c1"], 2, /Expected a name/],
    [["-f", "-", "--cluster", "c1", "--ca-address", "istiod"], 2, /Expected HOST:PORT/],
    [["-f", "-", "--cluster", "c1", "--ca-address", "istiod:15012", "--certs-secret", "s"], 2, /cannot be used with/],
  ] as const) {
    test(`${args.join(" ")} ends with ${code}`, () => {
      const { status, stderr } = isthmus(["inject", ...args]);
      assert.equal(status, code, stderr);
      assert.match(stderr, says);
    });
  }
});

suite("isthmus request", () => {
  test("sends the method and prints the answer; a bad status and nobody there end with 1", async (t) => {
    const server = createServer((request, response) =>
      response.writeHead(request.url === "/drain" ? 200 : 404).end(`${request.method} ${request.url}`),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const ask = async (path: string) => {
      const running = start(t, "request", `--debug-port=${port}`, "post", path);
      return [await running.exited, running.output()];
    };
    assert.deepEqual(await ask("drain"), [0, "POST /drain"]);
    assert.deepEqual(await ask("/nothing"), [1, "POST /nothing"]);
    server.closeAllConnections();
    server.close();
    await once(server, "close");
    assert.deepEqual(await ask("drain"), [1, `http://127.0.0.1:${port}/drain does not answer: connect ECONNREFUSED 127.0.0.1:${port}\n`]);
  });
});
