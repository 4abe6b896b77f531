// The example of two tasks that fight, run as a user runs it, at reduced size (from dist/, which npm test
// builds first); and its specs and picture as they are committed.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, describe, expect, it } from "vitest";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { specWarnings } from "../../compiler/spec/specWarnings.ts";
import { type Losses, lastMove, learnedAfter } from "../../examples/conflict/conflictRuns.ts";

const repository = join(import.meta.dirname, "..", "..");
const own = join("examples", "conflict");

/** The runs of the first network, as the table names them. */
const FIGHTING = [
  ...["red alone", "blue alone", "sum 3:1", "sum 1:1", "sum 1:3", "adaptive"],
  ...["upgrad 3:1", "mgda 3:1", "cagrad 3:1", "famo"],
];

describe("the example of two tasks that fight", () => {
  const folder = mkdtempSync(join(tmpdir(), "mttc-conflict-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("trains with every method and weight, and draws where each goes", async () => {
    cpSync(join(repository, own), join(folder, own), { recursive: true });
    const script = join(repository, "dist", own, "conflict.js");
    const options = { cwd: folder, encoding: "utf8" } as const;
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [script, "--limit", "16", "--epochs", "2"],
      options,
    );
    expect([status, stderr]).toEqual([0, ""]);
    const number = "\\d\\.\\d{3}";
    for (const name of FIGHTING) {
      const losses = { "red alone": [number, "-"], "blue alone": ["-", number] }[name] ?? [number, number];
      expect(stdout).toMatch(new RegExp(`^${name} +${losses.join(" +")} +${number} +(\\d+ %|-)$`, "m"));
    }
    // Two epochs are too few for any rate.
    for (const method of ["sum", "sum 1:1", "upgrad", "imtl"])
      expect(stdout).toMatch(new RegExp(`^${method}( +-){4}$`, "m"));
    const picture = readFileSync(join(folder, "demo", "conflict", "conflict.png"));
    const { width, height } = await sharp(picture).metadata();
    expect([width, height]).toEqual([1470, 810]);
    // A blank sheet would have no variance.
    expect((await sharp(picture).stats()).channels[0]?.stdev).toBeGreaterThan(10);
  }, 240_000);

  it("refuses what it does not take, by the way it is called", () => {
    const script = join(repository, "dist", own, "conflict.js");
    const options = { cwd: folder, encoding: "utf8" } as const;
    const { status, stderr } = spawnSync(process.execPath, [script, "--epochs", "none"], options);
    expect(status).toBe(2);
    expect(stderr).toContain("npm run example:conflict");
  });

  it("has specs without warnings, and shows what its page shows", () => {
    for (const name of ["spec.yml", "both.yml"]) {
      const file = join(repository, own, name);
      const spec = parseSpec(readFileSync(file, "utf8"), file);
      expect(specWarnings(spec)).toEqual([]);
      expect(spec.combine.method).toBe("upgrad");
    }
    expect(readFileSync(join(repository, own, "README.md"), "utf8")).toContain("](conflict.png)");
    expect(existsSync(join(repository, own, "conflict.png"))).toBe(true);
  });

  it("knows when both tasks are learned, and how far a run still moves", () => {
    const path: Losses[] = [
      [0.5, 0.05],
      [0.05, 0.5],
      [0.09, 0.08],
      [0.2, 0.02],
    ];
    expect(learnedAfter(path)).toBe(3);
    expect(learnedAfter([[0.1, 0.05]])).toBeUndefined();
    expect(
      lastMove([
        [9, 9],
        [9, 9],
        [9, 9],
        [0.5, 0.25],
        [0.5, 0.5],
      ]),
    ).toBe(0);
    expect(lastMove([...Array<Losses>(8).fill([9, 9]), [0.5, 0.25], [0.5, 0.5]])).toBe(0.25);
    // Of a task alone the other has no loss.
    expect(lastMove([[0.5, Number.NaN]])).toBe(0);
  });
});
