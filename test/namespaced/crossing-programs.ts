// Clients of other languages that fetch a page and print it, as far as this machine has the languages.
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { say } from "../support/pods/pods.ts";

const folder = "/run/programs";

const goSource = `package main

import (
	"io"
	"net/http"
	"os"
)

func main() {
	response, err := http.Get(os.Args[1])
	if err != nil {
		panic(err)
	}
	io.Copy(os.Stdout, response.Body)
}
`;

const javaSource = `import java.net.URI;
import java.net.http.*;

public class Get {
  public static void main(String[] args) throws Exception {
    var request = HttpRequest.newBuilder(URI.create(args[0])).version(HttpClient.Version.HTTP_1_1).build();
    System.out.print(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
  }
}
`;

const pythonSource = (url: string): string => `import urllib.request;print(urllib.request.urlopen("${url}",timeout=20).read().decode())`;
const pythonHttp = (
  url: string,
): string => `import http.client;c=http.client.HTTPConnection("${new URL(url).hostname}",${new URL(url).port},timeout=20)
c.request("GET","/");print(c.getresponse().read().decode())`;

// With nothing compiled before it takes minutes on a busy machine.
const compileMs = 200_000;

async function has(...command: readonly string[]): Promise<boolean> {
  return say(command, "", compileMs).then(
    ({ code }) => code === 0,
    () => false,
  );
}

// Compiled outside of any pod, as images are.
async function goClient(): Promise<Found> {
  if (!(await has("go", "version"))) return { absent: "no go" };
  writeFileSync(`${folder}/get.go`, goSource);
  const environment = ["env", `GOCACHE=${folder}/cache`, `HOME=${folder}`, "CGO_ENABLED=0", "GOFLAGS=-mod=mod"];
  return (await has(...environment, "go", "build", "-o", `${folder}/get`, `${folder}/get.go`))
    ? { command: [`${folder}/get`] }
    : { absent: "go build fails" };
}

async function javaClient(): Promise<Found> {
  if (!(await has("javac", "-version"))) return { absent: "no javac" };
  writeFileSync(`${folder}/Get.java`, javaSource);
  return (await has("javac", "-d", folder, `${folder}/Get.java`)) ? { command: ["java", "-cp", folder, "Get"] } : { absent: "javac fails" };
}

/** What fetches a page, its address to be appended; or why there is none. */
type Found = { readonly command: readonly string[] } | { readonly absent: string };

/** What fetches `url`, by language; or why this machine cannot. */
export async function foreignPrograms(url: string): Promise<ReadonlyMap<string, Found>> {
  mkdirSync(folder, { recursive: true });
  const [python, go, java] = await Promise.all([has("python3", "--version"), goClient(), javaClient()]);
  const withUrl = (found: Found): Found => ("absent" in found ? found : { command: [...found.command, url] });
  const pythonOf = (source: string): Found => (python ? { command: ["python3", "-c", source] } : { absent: "no python3" });
  return new Map<string, Found>([
    ["python urllib", pythonOf(pythonSource(url))],
    ["python http.client", pythonOf(pythonHttp(url))],
    ["go", withUrl(go)],
    ["java", withUrl(java)],
    ["node", { command: [process.execPath, "-e", `fetch("${url}").then((r) => r.text()).then(console.log)`] }],
  ]);
}

/** SHA-256 of what talker.ts sends for /bytes/COUNT. */
export function bytes(count: number): string {
  const pattern = Buffer.alloc(65_536, "0123456789abcdef");
  const hash = createHash("sha256");
  for (let left = count; left > 0; left -= pattern.length) hash.update(pattern.subarray(0, Math.min(left, pattern.length)));
  return hash.digest("hex");
}
