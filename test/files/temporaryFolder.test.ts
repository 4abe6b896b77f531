// Folders that mttc makes in the system's temporary one: those of killed processes go when the next is made,
// all others stay.
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { temporaryFolder } from "../../runtime/files/temporaryFolder.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";

const PROGRAM = pathToFileURL(join(PROJECT_ROOT, "dist/runtime/files/temporaryFolder.js")).href;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mttc-temporary-"));
  vi.stubEnv("TMPDIR", folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** The name of a folder that a process made, put a file into, and was killed. */
function abandoned(purpose: string): string {
  const program = `
    const { temporaryFolder } = await import(${JSON.stringify(PROGRAM)});
    const { writeFileSync } = await import("node:fs");
    const made = await temporaryFolder(${JSON.stringify(purpose)});
    writeFileSync(made + "/bytes", "half");
    console.log(made);
    await new Promise((resolve) => process.stdout.write("", resolve));
    process.kill(process.pid, "SIGKILL");
    setInterval(() => undefined, 1000);`;
  const { stdout, signal } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    env: { ...process.env, TMPDIR: folder },
    encoding: "utf8",
  });
  expect(signal).toBe("SIGKILL");
  expect(existsSync(join(stdout.trim(), "bytes"))).toBe(true);
  return basename(stdout.trim());
}

describe("a temporary folder", () => {
  test.each(["rank", "ranks", "doctor", "trash"])(
    "mttc-%s- of a killed process goes when the next one is made, whatever for",
    async (purpose) => {
      const left = abandoned(purpose);
      expect(left).toMatch(new RegExp(`^mttc-${purpose}-[0-9a-f]{8}-`));
      const own = await temporaryFolder("rank");
      expect(readdirSync(folder)).toEqual([basename(own)]);
    },
  );

  test("of a process that lives, of another machine, and whatever else looks like one stay", async () => {
    const live = await temporaryFolder("rank");
    const dead = abandoned("rank");
    const foreign = dead.replace(/rank-[0-9a-f]{8}/, "rank-abcdef01");
    renameSync(join(folder, dead), join(folder, foreign));
    const users = ["mttc-rank-kinds-Ab12cd", "mttc-rank-Ab12cd", `my-${dead}`, `${dead}-notes`];
    for (const name of users) mkdirSync(join(folder, name));
    const own = await temporaryFolder("session");
    expect(readdirSync(folder).sort()).toEqual([basename(live), basename(own), foreign, ...users].sort());
  });

  test("a file or a link under such a name stays, and what a link leads to", async () => {
    const [file, link] = [abandoned("rank"), abandoned("doctor")];
    const kept = join(folder, "kept");
    mkdirSync(kept);
    writeFileSync(join(kept, "bytes"), "mine");
    for (const name of [file, link]) rmSync(join(folder, name), { recursive: true, force: true });
    writeFileSync(join(folder, file), "");
    symlinkSync(kept, join(folder, link));
    const own = await temporaryFolder("rank");
    expect(readdirSync(folder).sort()).toEqual(["kept", basename(own), file, link].sort());
    expect(readdirSync(kept)).toEqual(["bytes"]);
  });

  test("several that are made at once remove the same ones together", async () => {
    for (let i = 0; i < 3; i++) abandoned("rank");
    const own = await Promise.all(Array.from({ length: 8 }, () => temporaryFolder("rank")));
    await vi.waitFor(() =>
      expect(readdirSync(folder).sort()).toEqual(own.map((each) => basename(each)).sort()),
    );
  });
});
