// What the Dockerfile builds on: from the public registry or, where that cannot be reached, made from packages.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { DockerEngine } from "./docker-engine.ts";
import { works } from "./works.ts";

const baseImage = "node:24-slim";

const pullMs = 60_000;
const makeSeconds = 240;
const buildMs = 30_000;
const reachMs = 60_000;

/** What a build does first: whoever cannot do that has no image, through no fault of the Dockerfile. */
const reach = "apt-get -qq -o APT::Update::Error-Mode=any update && npm ping --silent";

/** Sees to it that the engine has the base image and that packages can be installed on it; says why not. */
export function provideBaseImage(engine: DockerEngine): string | undefined {
  const { environment, own } = engine;
  if (!works("docker", ["image", "inspect", baseImage], environment)) {
    const pulled = works("docker", ["pull", "--quiet", baseImage], environment, pullMs);
    const problem = pulled ? undefined : make(environment);
    if (problem !== undefined) return `${baseImage} cannot be pulled, and ${problem}`;
    // Never on somebody's own engine, where others build on it too.
    if (own) trustAuthorities(environment);
  }
  const args = ["run", "--rm", "--network", "host", baseImage, "bash", "-c", reach];
  const tried = spawnSync("docker", args, { encoding: "utf8", env: { ...process.env, ...environment }, timeout: reachMs });
  if (tried.status === 0) return undefined;
  const said = tried.error?.message ?? tried.stderr.trim().split("\n").at(-1) ?? "";
  return `packages cannot be installed in a container here: ${said}`;
}

// $ISTHMUS_BASE_IMAGE_MAKER names the program that makes an image of a given name from packages.
function make(environment: Readonly<Record<string, string>>): string | undefined {
  const beside = fileURLToPath(new URL("../../../shared/peers/base-image", import.meta.url));
  const program = process.env["ISTHMUS_BASE_IMAGE_MAKER"] ?? beside;
  if (!fs.existsSync(program)) return "there is no program that makes it ($ISTHMUS_BASE_IMAGE_MAKER)";
  // It ends all that the program started, which the limit of spawnSync would leave running.
  const args = ["--kill-after=10", String(makeSeconds), program, baseImage];
  const made = spawnSync("timeout", args, { encoding: "utf8", env: { ...process.env, ...environment } });
  if (made.status === 0) return undefined;
  if (made.status === 124 || made.status === 137) return `${path.basename(program)} does not make it in ${makeSeconds} s`;
  const said = made.error?.message ?? `${made.stdout}${made.stderr}`.trim().split("\n").at(-1) ?? "";
  return `${path.basename(program)} cannot make it: ${said}`;
}

// Where the way to the package registries is signed by an authority of this machine, the build has to know it as well.
function trustAuthorities(environment: Readonly<Record<string, string>>): void {
  const authorities = process.env["NODE_EXTRA_CA_CERTS"];
  if (authorities === undefined || !fs.existsSync(authorities)) return;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "isthmus-base-"));
  const file = "/etc/ssl/certs/ca-certificates.crt";
  fs.copyFileSync(authorities, path.join(folder, "authorities.crt"));
  fs.writeFileSync(path.join(folder, "Dockerfile"), `FROM ${baseImage}\nCOPY authorities.crt ${file}\nENV NODE_EXTRA_CA_CERTS=${file}\n`);
  works("docker", ["build", "--tag", baseImage, folder], environment, buildMs);
  fs.rmSync(folder, { recursive: true });
}
