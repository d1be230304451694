// Reads differences.md: which cases answer otherwise than Envoy, and that each has a reason.
import fs from "node:fs";

/** Suites whose differences are listed, by the heading of their section. */
export type DifferenceSection = "wire" | "live";

/** Names of the cases that the section lists. Throws where an entry has no reason. */
export function listedDifferences(section: DifferenceSection): ReadonlySet<string> {
  const text = fs.readFileSync(new URL("differences.md", import.meta.url), "utf8");
  const body = text.split(/^## /m).find((part) => part.startsWith(`${section}\n`)) ?? "";
  const names = new Set<string>();
  // A paragraph gives the reason; the list items under it are the cases.
  let reason = "";
  for (const line of body.split("\n").slice(1)) {
    const name = /^- `(.+)`$/.exec(line)?.[1];
    if (name !== undefined) {
      if (reason === "") throw new Error(`${name} has no reason`);
      if (names.has(name)) throw new Error(`${name} is listed twice`);
      names.add(name);
    } else if (line.startsWith("- ")) throw new Error(`no case name in ${line}`);
    else if (line.startsWith("### ")) reason = "";
    else if (line.trim() !== "") reason = line;
  }
  return names;
}

/** What is wrong with a list: differences that are not in it, and entries without a difference. */
export function listProblems(listed: ReadonlySet<string>, differing: readonly string[], ran: ReadonlySet<string>): readonly string[] {
  const actual = new Set(differing);
  return [
    ...differing.filter((name) => !listed.has(name)).map((name) => `differs and is not listed: ${name}`),
    ...[...listed].filter((name) => ran.has(name) && !actual.has(name)).map((name) => `is listed and agrees: ${name}`),
    ...[...listed].filter((name) => !ran.has(name)).map((name) => `is listed and is no case: ${name}`),
  ];
}
