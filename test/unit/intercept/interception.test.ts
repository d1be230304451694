import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { applyInterception, checkInterception, type InterceptionDeps, undoInterception } from "../../../src/intercept/interception.ts";
import type { Ran, RunProgram } from "../../../src/intercept/machine.ts";
import { readSettings } from "../../../src/intercept/read-settings.ts";
import type { GivenFlags } from "../../../src/intercept/flags.ts";
import type { InterceptSettings } from "../../../src/intercept/settings.ts";

function settingsOf(flags: GivenFlags): InterceptSettings {
  const result = readSettings({ "proxy-uid": "0", ...flags }, { addresses: [], resolvConf: () => "", uidOf: () => undefined });
  assert.ok(result.ok);
  return result.value;
}

const absent: Ran = { ok: false, stdout: "", problem: "", absent: true };
const refused = (problem: string): Ran => ({ ok: false, stdout: "", problem, absent: false });
const said = (stdout: string): Ran => ({ ok: true, stdout, problem: "", absent: false });

// A machine whose programs answer as told; every other is not there. `ran` keeps the commands that change something.
function machine(answers: Readonly<Record<string, Ran>>, more: Partial<InterceptionDeps> = {}): { deps: InterceptionDeps; ran: string[] } {
  const ran: string[] = [];
  const run: RunProgram = (command, input) => {
    const line = command.join(" ");
    if (input !== undefined) ran.push(line);
    return answers[line] ?? answers[command[0] ?? ""] ?? absent;
  };
  return { deps: { run, backEnd: "auto", gidOf: () => undefined, capable: () => true, ...more }, ran };
}

const all = settingsOf({ "istio-service-cidr": "*" });
const nft = { "iptables-nft-save": said(""), "ip6tables-nft-save": said("") };

suite("interception", () => {
  test("without CAP_NET_ADMIN nothing is run, and the capability is named", () => {
    const { deps } = machine({}, { capable: () => false, run: () => assert.fail("something was run") });
    for (const action of [applyInterception, checkInterception, undoInterception]) {
      const { ok, lines } = action(all, deps);
      assert.equal(ok, false);
      assert.match(lines.join(), /^error: CAP_NET_ADMIN is missing/);
    }
  });

  test("iptables-legacy asks for CAP_NET_RAW too", () => {
    const answers = { "iptables-legacy-save": said(""), "ip6tables-legacy-save": said("") };
    const { deps } = machine(answers, { backEnd: "iptables-legacy", capable: (name) => name === "NET_ADMIN" });
    assert.match(applyInterception(all, deps).lines.join(), /^error: CAP_NET_RAW is missing/);
  });

  test("a machine without any program says so once", () => {
    const { ok, lines } = applyInterception(all, machine({}).deps);
    assert.equal(ok, false);
    assert.match(lines.join("\n"), /^error: neither iptables nor nft works here: .*there is no such program/);
  });

  test("what is forced and does not work is not replaced", () => {
    assert.match(applyInterception(all, machine(nft, { backEnd: "nftables" }).deps).lines.join(), /^error: nftables does not work here/);
  });

  test("iptables is chosen above nftables, which is chosen where it alone works", () => {
    const both = machine({ ...nft, nft: said("") });
    applyInterception(all, both.deps);
    assert.deepEqual(both.ran, ["iptables-nft-restore --noflush --wait 10"]);
    const alone = machine({ nft: said(""), "iptables-nft-save": refused("no kernel support") });
    applyInterception(all, alone.deps);
    assert.deepEqual(alone.ran, ["nft -f -"]);
  });

  test("iptables that is neither -nft nor -legacy by name is used by its own", () => {
    const { deps, ran } = machine({ "iptables-save": said(""), "ip6tables-save": said("") });
    applyInterception(all, deps);
    assert.deepEqual(ran, ["iptables-restore --noflush --wait 10"]);
  });

  test("legacy tables with rules make legacy the choice", () => {
    const legacy = said("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n");
    const answers = { ...nft, cat: said("filter\n"), "iptables-legacy-save": legacy, "ip6tables-legacy-save": said("") };
    const { deps, ran } = machine(answers);
    applyInterception(all, deps);
    assert.deepEqual(ran, ["iptables-legacy-restore --noflush --wait 10"]);
  });

  test("a program that fails is quoted", () => {
    const { deps } = machine({ ...nft, "iptables-nft-restore": refused("line 3 failed") });
    assert.deepEqual(applyInterception(all, deps), { ok: false, lines: ["error: iptables-nft-restore: line 3 failed"] });
  });

  test("rules that are not there after apply are not called applied", () => {
    const { deps } = machine({ ...nft, "iptables-nft-restore": said("") });
    const { ok, lines } = applyInterception(all, deps);
    assert.equal(ok, false);
    assert.match(lines[0] ?? "", /something else changes the rules/);
  });

  test("a group that does not exist is named before anything is changed", () => {
    const { deps, ran } = machine(nft);
    const { lines } = applyInterception(settingsOf({ "istio-outbound-owner-groups": "nobody-here" }), deps);
    assert.match(lines.join(), /there is no group nobody-here/);
    assert.deepEqual(ran, []);
  });

  test("others' rules before ours are noted, and nothing is wrong with them", () => {
    const nat = [":OUTPUT ACCEPT [0:0]", "-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT", "-A OUTPUT -j ISTIO_OUTPUT", "-A OUTPUT -j LATER"];
    const { deps } = machine({ ...nft, "iptables-nft-save": said(`*nat\n${nat.join("\n")}\nCOMMIT\n`) });
    const notes = checkInterception(all, deps).lines.filter((line) => line.startsWith("note: "));
    assert.deepEqual(notes, ["note: another's rule comes first: iptables nat -A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT"]);
  });

  test("undo where nothing is does nothing", () => {
    const { deps, ran } = machine(nft);
    assert.deepEqual(undoInterception(all, deps), { ok: true, lines: ["nothing to undo"] });
    assert.deepEqual(ran, []);
  });
});
