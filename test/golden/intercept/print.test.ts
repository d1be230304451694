// What `isthmus intercept print` shows, whole, for settings of every kind. UPDATE_GOLDEN=1 rewrites the expectations.
import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { runCli } from "../../../src/cli/program.ts";
import { cases } from "./cases.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));
const update = process.env["UPDATE_GOLDEN"] === "1";

async function print(...flags: readonly string[]): Promise<string> {
  let text = "";
  const edge = { out: (part: string) => void (text += part), err: (part: string) => void (text += part), environment: {}, onSignal: () => () => undefined };
  assert.equal(await runCli(["intercept", "print", "--ipv6", "off", "-u", "1337", "--resolv-conf", `${folder}resolv.conf`, ...flags], edge), 0, text);
  return text;
}

suite("intercept print", () => {
  for (const [name, flags] of Object.entries(cases)) {
    test(name, async () => {
      const file = `${folder}${name}.rules`;
      const text = `${await print(...flags)}\n${await print("--native-nftables", ...flags)}`;
      if (update) writeFileSync(file, text);
      assert.equal(text, readFileSync(file, "utf8"));
    });
  }

  test("every expectation has a case", () => {
    const names = readdirSync(folder).filter((file) => file.endsWith(".rules"));
    assert.deepEqual(names.filter((file) => !Object.hasOwn(cases, file.replace(/\.rules$/, ""))), []);
  });
});
