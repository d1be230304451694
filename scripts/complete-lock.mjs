// Adds lock entries for platform packages that the registry in use did not offer when the lock was made (npm leaves
// them out, and `npm ci` then calls the lock out of sync), and drops download addresses, so that any registry serves.
// usage: node scripts/complete-lock.mjs   (after npm install)
import fs from "node:fs";

const file = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(fs.readFileSync(file, "utf8"));
const platform = {
  os: { android: "android", darwin: "darwin", freebsd: "freebsd", linux: "linux", openharmony: "openharmony", win32: "win32" },
  cpu: { arm: "arm", arm64: "arm64", x64: "x64", ia32: "ia32", ppc64: "ppc64", riscv64: "riscv64", s390x: "s390x" },
};
for (const entry of Object.values(lock.packages)) {
  delete entry.resolved;
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`;
    if (lock.packages[key]) continue;
    const words = name.split(/[-/]/);
    const os = words.map((w) => platform.os[w]).find(Boolean);
    const cpu = words.map((w) => platform.cpu[w]).find(Boolean);
    if (!os || !cpu) throw new Error(`cannot tell the platform of ${name}`);
    lock.packages[key] = {
      version,
      cpu: [cpu],
      dev: true,
      optional: true,
      os: [os],
      ...(words.includes("musl") ? { libc: ["musl"] } : {}),
    };
  }
}
const { "": root, ...rest } = lock.packages;
lock.packages = { "": root, ...Object.fromEntries(Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1))) };
fs.writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
