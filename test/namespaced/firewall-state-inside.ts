// Sets rules as an administrator and then as a Docker engine does, and takes the latter back. Prints SEEN <json> END.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { firewallState } from "../support/firewall-state.ts";

const iptables = (command: string): void => void spawnSync("iptables", ["-w", ...command.split(" ")], { stdio: "inherit" });
const saved = (): readonly string[] =>
  spawnSync("iptables-save", { encoding: "utf8" })
    .stdout.split("\n")
    .map((line) => line.replace(/ \[\d+:\d+\]$/, ""))
    .filter((line) => line !== "" && !line.startsWith("#"));
const forwards = (): string => fs.readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8").trim();

for (const command of ["-N MINE", "-A MINE -s 10.0.0.0/8 -j RETURN", "-A FORWARD -j MINE", "-P INPUT DROP"]) iptables(command);
const before = saved();
const forwardedBefore = forwards();
const state = firewallState();
for (const command of [
  "-P FORWARD DROP",
  "-N DOCKER",
  "-N DOCKER-USER",
  "-A DOCKER -d 10.201.0.8/32 ! -i br-1 -o br-1 -p tcp -m tcp --dport 8080 -j ACCEPT",
  "-A DOCKER-USER -j RETURN",
  "-I FORWARD -j DOCKER-USER",
  "-A FORWARD -o br-1 -j DOCKER",
  "-t nat -N DOCKER",
  "-t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
  "-t nat -A POSTROUTING -s 10.201.0.0/24 ! -o br-1 -j MASQUERADE",
])
  iptables(command);
fs.writeFileSync("/proc/sys/net/ipv4/ip_forward", forwardedBefore === "0" ? "1" : "0");
const between = saved();
state.restore();
// The table nat stays, with open chains and nothing in them.
const left = saved().filter((line) => !before.includes(line));
const lost = before.filter((line) => !saved().includes(line));
process.stdout.write(
  `SEEN ${JSON.stringify({ added: between.length > before.length + 8, left, lost, forwards: forwards() === forwardedBefore })} END\n`,
);
