// Builds dist/ from the sources when it is missing or older than any of them. A published package holds dist
// and no sources, so there is nothing to do there. Run by the mttc bin and by every npm script.
"use strict";
const {
  existsSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} = require("node:fs");
const { spawnSync } = require("node:child_process");
const path = require("node:path");

const root = path.join(__dirname, "..");
const stamp = path.join(root, "dist", ".built");
const sourceFolders = ["compiler", "runtime", "cli", "test", "examples"];

/** Newest modification time (ms) of the sources under `folder`, following no links. */
function newestSource(folder) {
  let newest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!["node_modules", "runs", "golden"].includes(entry.name))
        newest = Math.max(newest, newestSource(full));
    } else if (entry.name.endsWith(".ts")) newest = Math.max(newest, statSync(full).mtimeMs);
  }
  return newest;
}

/** Renames `fresh` to dist: whoever runs dist meanwhile, or builds it too, never sees half of it for long. */
function putInPlace(fresh) {
  const old = `${fresh}-old`;
  for (let attempt = 1; ; attempt++) {
    try {
      if (existsSync(path.join(root, "dist"))) renameSync(path.join(root, "dist"), old);
      renameSync(fresh, path.join(root, "dist"));
      break;
    } catch (error) {
      // Another build put its own in place between the two calls.
      if (attempt === 5) throw error;
    }
    rmSync(old, { recursive: true, force: true });
  }
  rmSync(old, { recursive: true, force: true });
}

/** Compiles when stale; returns false, after tsc has printed why, if the sources do not compile. */
function build() {
  if (!existsSync(path.join(root, "tsconfig.json"))) return true;
  const present = sourceFolders
    .map((folder) => path.join(root, folder))
    .filter((folder) => existsSync(folder));
  const newest = Math.max(statSync(path.join(root, "tsconfig.json")).mtimeMs, ...present.map(newestSource));
  if (existsSync(stamp) && statSync(stamp).mtimeMs >= newest) return true;
  const started = new Date();
  const fresh = path.join(root, `.dist-${process.pid}`);
  const tsc = path.join(path.dirname(require.resolve("typescript/package.json")), "bin", "tsc");
  const result = spawnSync(process.execPath, [tsc, "-p", root, "--outDir", fresh], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (result.status !== 0) {
    rmSync(fresh, { recursive: true, force: true });
    return false;
  }
  writeFileSync(path.join(fresh, ".built"), "");
  utimesSync(path.join(fresh, ".built"), started, started);
  putInPlace(fresh);
  return true;
}

module.exports = { build };
if (require.main === module && !build()) process.exitCode = 1;
