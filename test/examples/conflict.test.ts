// The example of two tasks that fight, run as a user runs it, at reduced size (from dist/, which npm test
// builds first); and its spec and picture as they are committed.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, describe, expect, it } from "vitest";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { specWarnings } from "../../compiler/spec/specWarnings.ts";

const repository = join(import.meta.dirname, "..", "..");
const own = join("examples", "conflict");

describe("the example of two tasks that fight", () => {
  const folder = mkdtempSync(join(tmpdir(), "mttc-conflict-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("trains with sum and with upgrad, and draws both", async () => {
    cpSync(join(repository, own), join(folder, own), { recursive: true });
    const script = join(repository, "dist", own, "conflict.js");
    const options = { cwd: folder, encoding: "utf8" } as const;
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [script, "--limit", "32", "--epochs", "3"],
      options,
    );
    expect([status, stderr]).toEqual([0, ""]);
    for (const method of ["sum", "upgrad"]) {
      expect(stdout).toMatch(new RegExp(`^${method} +\\d\\.\\d{3} +\\d\\.\\d{3} *$`, "m"));
      const log = readFileSync(join(folder, "demo", "conflict", method, "log.jsonl"), "utf8");
      expect(log.trim().split("\n")).toHaveLength(3);
      const run = parseSpec(
        readFileSync(join(folder, "demo", "conflict", method, "spec.yml"), "utf8"),
        "spec.yml",
      );
      expect(run.combine.method).toBe(method);
    }
    const picture = readFileSync(join(folder, "demo", "conflict", "conflict.png"));
    const { width, height } = await sharp(picture).metadata();
    expect([width, height]).toEqual([1290, 570]);
    // A blank sheet would have no variance.
    expect((await sharp(picture).stats()).channels[0]?.stdev).toBeGreaterThan(10);
  });

  it("refuses what it does not take, by the way it is called", () => {
    const script = join(repository, "dist", own, "conflict.js");
    const options = { cwd: folder, encoding: "utf8" } as const;
    const { status, stderr } = spawnSync(process.execPath, [script, "--epochs", "none"], options);
    expect(status).toBe(2);
    expect(stderr).toContain("npm run example:conflict");
  });

  it("has a spec without warnings, and shows what its page shows", () => {
    const file = join(repository, own, "spec.yml");
    const spec = parseSpec(readFileSync(file, "utf8"), file);
    expect(specWarnings(spec)).toEqual([]);
    expect(spec.combine.method).toBe("upgrad");
    expect(readFileSync(join(repository, own, "README.md"), "utf8")).toContain("](conflict.png)");
    expect(existsSync(join(repository, own, "conflict.png"))).toBe(true);
  });
});
