// Runs inside namespaces of its own: programs that know of no mesh, by plain names and ports, and what they get. Prints it as JSON.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ask, type Said, wait } from "../support/pods/pods.ts";
import { startTwoNetworks } from "../support/pods/two-networks.ts";
import { bytes, foreignPrograms } from "./crossing-programs.ts";

// What is made here goes with these namespaces.
process.env["TMPDIR"] = "/run";
const world = await startTwoNetworks();
const seen: Record<string, unknown> = {};

const curl = (pod: string, ...args: readonly string[]): Promise<Said> => ask(pod, "curl", "-sS", "-m", "20", ...args);
const netcat = (pod: string, host: string, port: number): Promise<Said> => ask(pod, "sh", "-c", `echo hello | nc -w 3 ${host} ${port}`);
const python = (pod: string, text: string): Promise<Said> => ask(pod, "python3", "-c", text);

// One line of what came, and nothing of how long it took.
function brief({ code, out, err }: Said): string {
  return code === 0 ? out.trim().replaceAll("\n", " | ") : `code ${code}: ${err.trim()}`;
}

function caller({ code, out, err }: Said): string {
  if (code !== 0) return `code ${code}: ${err}`;
  const { headers, remote } = JSON.parse(out) as { headers: Record<string, string>; remote: string };
  return `${/URI=(.*)$/.exec(headers["x-forwarded-client-cert"] ?? "")?.[1] ?? "nobody"} from ${remote}`;
}

async function accessLine(wanted: RegExp): Promise<string> {
  let line: string | undefined;
  await wait(`a line of the access log ${wanted.source}`, async () => {
    line = world.sleep
      .output()
      .split("\n")
      .find((text) => wanted.test(text));
    return line !== undefined;
  });
  return line ?? "";
}

async function crossing(): Promise<void> {
  for (const url of ["http://httpbin:8000/", "http://httpbin.default:8000/", "http://httpbin:9000/", "http://httpbin.bar.global:8000/"]) {
    seen[`curl ${url}`] = caller(await curl("sleep", url));
  }
  seen["gateway"] = /"(\S+:15443)" outbound\|8000\|\|httpbin\.default/.exec(await accessLine(/outbound\|8000\|\|httpbin\.default/))?.[1];
  for (const [name, found] of await foreignPrograms("http://httpbin:8000/")) {
    seen[`program ${name}`] = "absent" in found ? found : caller(await ask("sleep", ...found.command));
  }
  seen["directly into the other network"] = (await curl("sleep", "-m", "5", "http://10.2.0.20:8080/")).code !== 0;
}

async function names(): Promise<void> {
  const address = async (...command: readonly string[]): Promise<string> => (await ask("sleep", ...command)).out.split(/\s/)[0] ?? "";
  // Nobody serves DNS at the address in resolv.conf.
  seen["DNS over UDP, upstream dead"] = await address("getent", "ahostsv4", "httpbin");
  seen["DNS over TCP, upstream dead"] = await address("env", "RES_OPTIONS=use-vc", "getent", "ahostsv4", "httpbin");
  seen["DNS of an entry, upstream dead"] = await address("getent", "ahostsv4", "db-b.example");
}

// From before the connection to the first byte, without the start of the program.
async function firstByteMs(host: string, port: number): Promise<string> {
  const said = await python(
    "sleep",
    `import socket,time
t=time.monotonic()
s=socket.create_connection((${JSON.stringify(host)},${port}),15)
b=s.recv(100)
print(int((time.monotonic()-t)*1000), b.decode().strip())`,
  );
  const [ms, ...greeting] = said.out.trim().split(" ");
  return said.code === 0 && Number(ms) < 1000 ? greeting.join(" ") : `${brief(said)} ${said.err}`;
}

async function rawTcp(): Promise<void> {
  // The first by name resolves and connects all that the others then have.
  seen["server first, across the clusters"] = await firstByteMs("httpbin", 3306);
  seen["server first, by VIP a"] = await firstByteMs("db-a.example", 5432);
  seen["server first, by VIP b"] = await firstByteMs("db-b.example", 5432);
  seen["server first, unknown destination"] = await firstByteMs("10.1.0.53", 2525);
  seen["netcat across the clusters"] = brief(await netcat("sleep", "httpbin", 3306));
  seen["netcat by VIP b"] = brief(await netcat("sleep", "db-b.example", 5432));
  for (const [name, port] of [
    ["declared as mongo", 27017],
    ["to be found out", 7007],
    ["unknown destination", 0],
  ] as const) {
    seen[`client first, ${name}`] = await mongoHello(port === 0 ? "10.1.0.53" : "httpbin", port || 7007);
  }
  const psql = ["psql", "-X", "-A", "-t", "-h", "httpbin", "-U", "app", "-d", "app", "-c", "select seen"];
  const hasPsql = (await ask("sleep", "sh", "-c", "command -v psql")).code === 0;
  seen["psql"] = hasPsql ? brief(await ask("sleep", ...psql)) : { absent: "no psql" };
}

// The first message of a MongoDB driver, which holds zeros and lengths and nothing like a line; sent in two pieces.
async function mongoHello(host: string, port: number): Promise<string> {
  const said = await python(
    "sleep",
    `import socket,struct,time
body=struct.pack("<i",0)+b"\\0"+b"\\x1e\\0\\0\\0\\x10hello\\0\\1\\0\\0\\0\\x02$db\\0\\6\\0\\0\\0admin\\0\\0"
message=struct.pack("<iiii",16+len(body),1,0,2013)+body
s=socket.create_connection((${JSON.stringify(host)},${port}),15)
s.sendall(message[:3]); time.sleep(0.1); s.sendall(message[3:])
got=b""
while len(got)<len(message): got+=s.recv(100) or exit("closed")
print("echoed" if got==message else got)`,
  );
  return brief(said);
}

// A server that speaks first, at a port whose protocol has to be found out: it is waited for no longer than the mesh says.
async function detectionTimeout(): Promise<void> {
  const files = [world.near, world.far].map((mesh) => join(mesh, "meshconfig.yaml"));
  const before = files.map((file) => readFileSync(file, "utf8"));
  for (const [index, file] of files.entries()) writeFileSync(file, `${before[index]}\nprotocolDetectionTimeout: 0.3s\n`);
  const greeting = (): Promise<Said> =>
    python("sleep", `import socket;print(socket.create_connection(("httpbin",7008),2).recv(100).decode().strip())`);
  await wait("the server is heard", async () => (await greeting()).code === 0);
  seen["server first, to be found out"] = brief(await greeting());
  for (const [index, file] of files.entries()) writeFileSync(file, before[index] ?? "");
}

async function bulk(): Promise<void> {
  const mega = 100 << 20;
  const sum = await ask("sleep", "sh", "-c", `curl -sS -m 120 http://httpbin:8000/bytes/${mega} | sha256sum`);
  seen["download"] = sum.out.split(" ")[0] === bytes(mega);
  const up = await ask("sleep", "sh", "-c", `head -c ${mega} /dev/zero | curl -sS -m 120 -T - http://httpbin:8000/sum`);
  seen["upload"] = up.out === (await ask("sleep", "sh", "-c", `head -c ${mega} /dev/zero | sha256sum`)).out.split(" ")[0];
}

async function outbound(): Promise<void> {
  seen["unknown HTTP server"] = caller(await curl("sleep", "http://10.1.0.53:8081/"));
  seen["goes to PassthroughCluster"] = / PassthroughCluster /.test(await accessLine(/10\.1\.0\.53:8081/));
  for (const port of [15_001, 15_006]) {
    for (const host of ["127.0.0.1", "10.1.0.10"])
      seen[`direct call to ${host}:${port}`] = (await curl("sleep", `http://${host}:${port}/`)).out;
  }
  const meshConfig = join(world.near, "meshconfig.yaml");
  const before = readFileSync(meshConfig, "utf8");
  writeFileSync(meshConfig, `${before}\noutboundTrafficPolicy: {mode: REGISTRY_ONLY}\n`);
  await wait("unknown servers are refused", async () => (await curl("sleep", "http://10.1.0.53:8081/")).code !== 0);
  seen["REGISTRY_ONLY, raw TCP"] = (await netcat("sleep", "10.1.0.53", 2525)).out;
  seen["goes to BlackHoleCluster"] = / BlackHoleCluster /.test(await accessLine(/BlackHoleCluster .*10\.1\.0\.53:2525/));
  seen["REGISTRY_ONLY, unknown host on an HTTP port"] = (
    await curl("sleep", "-o", "/dev/null", "-w", "%{http_code}", "http://10.1.0.53:8000/")
  ).out;
  seen["REGISTRY_ONLY, the mesh"] = caller(await curl("sleep", "http://httpbin:8000/"));
  writeFileSync(meshConfig, before);
}

async function inbound(): Promise<void> {
  seen["plain text to an own port"] = caller(await curl("gateway2", "http://10.2.0.20:8080/"));
  seen["plain text to a port of no service"] = brief(await netcat("gateway2", "10.2.0.20", 9999));
  seen["the application to itself"] = caller(await curl("httpbin", "http://127.0.0.1:8080/"));
  for (const port of [15_001, 15_006]) {
    const said = await curl("gateway2", "-o", "/dev/null", "-w", "%{http_code}", `http://10.2.0.20:${port}/`);
    seen[`from outside to ${port}`] = said.code === 0 ? said.out : "no answer";
  }
}

for (const part of [crossing, names, rawTcp, bulk, outbound, inbound, detectionTimeout]) await part();
console.log(`SEEN ${JSON.stringify(seen)} END`);
process.exit(0);
