// The sample mesh as it is with interception: every pod has an address of its own network in place of one of loopback, and
// nobody binds what he stands for.
import fs from "node:fs";
import path from "node:path";

/** Rewrites a copy of the sample mesh in place. Its 127.N.x.y become 10.N.x.y. */
export function redirectMesh(folder: string): void {
  for (const name of fs.readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!/\.ya?ml$/.test(name)) continue;
    const file = path.join(folder, name);
    fs.writeFileSync(file, redirected(fs.readFileSync(file, "utf8")));
  }
}

/** The text of a file of the sample, with interception. */
export function redirected(text: string): string {
  return text
    .replace(/\b127\.(\d+\.\d+\.\d+)\b/g, (whole, rest: string) => (rest === "0.0.1" ? whole : `10.${rest}`))
    .replaceAll("INTERCEPTION_MODE: NONE", "INTERCEPTION_MODE: REDIRECT")
    .replace(/^ *#.*\n? *annotations: \{traffic\.sidecar\.istio\.io\/includeOutboundIPRanges: ""\}\n/gm, "");
}
