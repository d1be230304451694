// The version of this package.
import { existsSync, readFileSync } from "node:fs";

/** The version in package.json, from the sources or from dist/ one folder further down. */
export function packageVersion(): string {
  const file = ["../../package.json", "../../../package.json"].map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url));
  return file ? (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version : "unknown";
}
