// Reports are made of what lies in a run's folder: a run that is only read stays as it is, one that was
// killed or whose images are gone has a page as well, and no page replaces what mttc did not write.
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { writeReport } from "../../runtime/report/runReport.ts";
import { loadNewestCheckpoint, saveCheckpoint } from "../../runtime/runs/checkpoints.ts";
import { readSittings } from "../../runtime/runs/sittings.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "../cli/tinyData.ts";
import { snapshot } from "../runs/snapshot.ts";
import { OLDER_RUNS, olderRuns, train, trainedData } from "../runs/trainedData.ts";
import { mixedRun, NASTY } from "./reportData.ts";

const runtime = { threads: 1 };
const MISTAKES = "The most certain mistakes";

describe("a run of all kinds", () => {
  let data: TinyData;
  let run: string;
  beforeEach(async () => {
    data = await mixedRun();
    run = join(data.folder, "run");
  });
  afterEach(() => data[Symbol.asyncDispose]());

  test("is only read: its folder stays as it is, byte by byte, where the page goes elsewhere", async () => {
    const before = await snapshot(run);
    const output = join(data.folder, "page.html");
    const { path, notes } = await writeReport(run, { output, runtime });
    expect([path, notes]).toEqual([output, [expect.stringContaining('task "shape"'), expect.anything()]]);
    expect(await snapshot(run)).toEqual(before);
    await writeReport(run, { runtime });
    const after = await snapshot(run);
    expect(Object.keys(after).filter((name) => !(name in before))).toEqual(["report.html"]);
    for (const name of Object.keys(before)) if (name !== "") expect(after[name]).toBe(before[name]);
  });

  test("has its names escaped, whatever they are, and nothing from outside", async () => {
    await writeReport(run, { runtime });
    const page = await readFile(join(run, "report.html"), "utf8");
    expect(page).not.toMatch(/<script|<link|@import|javascript:|\bon\w+="/i);
    expect(
      [...page.matchAll(/(?:src|href)="([^"]{0,8})/g)].every(([, to]) => /^(data:|#)/.test(to ?? "")),
    ).toBe(true);
    expect(page).not.toContain(NASTY[0]);
    expect(page).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
    for (const text of [MISTAKES, "The least certain hits", "The largest errors", "fitted F1", "ECE", "mttc"])
      expect(page).toContain(text);
  });

  test("where its images are gone the page says so, and has the rest", async () => {
    await rename(join(data.folder, "images"), join(data.folder, "moved"));
    const { path, notes } = await writeReport(run, { runtime });
    expect(notes.join("\n")).toMatch(/the model was not asked.*val-0\.png: cannot read the image/);
    const page = await readFile(path, "utf8");
    expect(page).toContain("the model was not asked");
    expect(page).not.toContain(MISTAKES);
    expect(page).toContain("Confusion matrix");
    expect(page.match(/class="chart"/g)?.length).toBeGreaterThan(15);
  });

  test("where its tables are gone, too, and where nobody may be asked", async () => {
    await rm(join(data.folder, "train.csv"));
    const { path, notes } = await writeReport(run, { runtime, seconds: 0 });
    expect(notes).toEqual([
      expect.stringContaining("no image was looked at"),
      expect.stringMatching(/labels cannot be counted: .*train\.csv/),
    ]);
    expect(await readFile(path, "utf8")).not.toContain('id="labels"');
  });

  test("time that is over ends the looking: the page says of how many images", async () => {
    const controller = new AbortController();
    controller.abort();
    const { notes } = await writeReport(run, { runtime, signal: controller.signal });
    expect(notes.join("\n")).toContain("0 of 12 images were looked at");
  });

  test("says where, when and by what it was trained, and what was said", async () => {
    const sittings = await readSittings(run);
    expect(sittings).toEqual([
      expect.objectContaining({
        epoch: 1,
        node: process.versions.node,
        provider: "the CPU",
        cores: expect.any(Number),
      }),
    ]);
    expect(sittings[0]?.lines.join("\n")).toContain('task "shape": taken as missing');
    const { path } = await writeReport(run, { runtime, seconds: 0 });
    expect(await readFile(path, "utf8")).toContain(sittings[0]?.cpu.slice(0, 8));
  });
});

describe("a run's folder", () => {
  let data: TinyData;
  afterEach(() => data[Symbol.asyncDispose]());

  test("a page of the user's own is not replaced, and says no run is there where none is", async () => {
    data = await trainedData();
    await writeFile(join(data.folder, "run", "report.html"), "my thesis");
    const { code, stderr } = await runCli(data.folder, ["report", "run"]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("[E_RUN_EXISTS]")]);
    expect(await readFile(join(data.folder, "run", "report.html"), "utf8")).toBe("my thesis");
    expect((await runCli(data.folder, ["report", "run", "--overwrite"])).code).toBe(0);
    expect((await runCli(data.folder, ["report", "run"])).code).toBe(0);
    const none = await runCli(data.folder, ["report", "images"]);
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining("run.json")]);
    const name = await runCli(data.folder, ["report", "run", "-o", "page.pdf"]);
    expect([name.code, name.stderr]).toEqual([2, expect.stringContaining(".html")]);
  });

  test("a run that was killed before its first checkpoint has a page", async () => {
    data = await trainedData();
    const run = join(data.folder, "run");
    for (const name of await readdir(join(run, "checkpoints")))
      await rm(join(run, "checkpoints", name), { recursive: true });
    const { path, notes } = await writeReport(run, { runtime });
    expect(notes[0]).toContain("no epoch is finished");
    expect(await readFile(path, "utf8")).toContain("of 2 epochs trained");
  });

  test("training ends with the page, after Ctrl-C, too, and not where it is not wanted", async () => {
    data = await makeTinyData();
    const file = join(data.folder, "run", "report.html");
    const without = await runCli(data.folder, ["train", "spec.yml", "--no-report", "--epochs", "1"]);
    expect([without.code, without.stdout.includes("Report:")]).toEqual([0, false]);
    await expect(readFile(file)).rejects.toThrow();
    const on = await runCli(data.folder, ["train", "run", "--resume"]);
    expect([on.code, on.stdout]).toEqual([0, expect.stringMatching(/Report: +run\/report\.html/)]);
    expect(await readFile(file, "utf8")).toContain("2</b><span>of 2 epochs trained");
    const stopped = await runCli(data.folder, ["train", "run", "--resume", "--epochs", "5000"], {
      interruptAt: "epoch 3/5000",
    });
    expect([stopped.code, stopped.stderr]).toEqual([130, expect.stringContaining("report: run/report.html")]);
    expect(await readFile(file, "utf8")).toMatch(/<b>\d+<\/b><span>of 2 epochs trained/);
    expect((await readSittings(join(data.folder, "run"))).map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
  });

  test("what keeps the page from being written does not change how training ends", async () => {
    data = await makeTinyData();
    await mkdir(join(data.folder, "run"));
    await train(data.folder, 1);
    await mkdir(join(data.folder, "run", "report.html"));
    const { code, stderr } = await runCli(data.folder, ["train", "run", "--resume"]);
    expect([code, stderr]).toEqual([0, expect.stringContaining("no report is written")]);
  });

  test.each(OLDER_RUNS)("a run of an earlier version has a page: %s", async (name) => {
    data = await olderRuns();
    const { path } = await writeReport(join(data.folder, "out", name), { runtime });
    const page = await readFile(path, "utf8");
    expect(page).toContain("did not keep where it was trained");
    expect(page.match(/class="chart"/g)?.length).toBeGreaterThan(3);
  });
});

describe("a long run of many tasks", () => {
  const TASKS = 20;
  const EPOCHS = 100;

  test("has its page in less than 10 seconds, and of bounded size", async () => {
    const names = Array.from({ length: TASKS }, (_, i) => `task ${i}`);
    await using data = await makeTinyData();
    for (const split of ["train", "val"]) {
      const rows = (await readFile(join(data.folder, `${split}.csv`), "utf8")).trim().split("\n").slice(1);
      const lines = rows.map((row) => [
        row.split(",")[0],
        ...names.map((_, i) => row.split(",")[1 + (i % 2)]),
      ]);
      const head = ["file", ...names].join(",");
      await writeFile(join(data.folder, `${split}.csv`), `${[head, ...lines].join("\n")}\n`);
    }
    const spec = { tasks: JSON.stringify(names), epochs: "1" };
    await writeFile(join(data.folder, "spec.yml"), tinySpec(spec));
    await train(data.folder, 1, spec);
    const run = join(data.folder, "run");
    await lengthen(run, EPOCHS);
    // Seconds of processors, of all threads: the clock of a busy machine says nothing.
    const before = process.cpuUsage();
    const { path } = await writeReport(run, { runtime });
    const { user, system } = process.cpuUsage(before);
    const seconds = (user + system) / 1e6;
    const page = await readFile(path, "utf8");
    console.log(
      `report of ${TASKS} tasks, ${EPOCHS} epochs: ${seconds.toFixed(1)} CPU s, ${page.length} bytes`,
    );
    expect(seconds).toBeLessThan(10);
    expect(page.length).toBeLessThan(6_000_000);
    expect(page.match(/class="chart"/g)?.length).toBeGreaterThan(4 * TASKS);
  });
});

/** Gives a run of one epoch a history of so many, each a little other. */
async function lengthen(run: string, epochs: number): Promise<void> {
  const { tensors, progress } = await loadNewestCheckpoint(run);
  const [first] = progress.history as [Record<string, unknown>];
  const history = Array.from({ length: epochs }, (_, i) => varied({ ...first, epoch: i + 1 }, i));
  await saveCheckpoint(run, {
    epoch: epochs,
    tensors: [...tensors.values()],
    progress: { ...progress, history: [...history.slice(0, -1), { ...first, epoch: epochs }] },
  });
}

/** Shares and losses of one epoch moved by a wave. */
function varied(report: Record<string, unknown>, epoch: number): Record<string, unknown> {
  const move = (value: unknown): unknown => {
    if (typeof value === "number" && !Number.isInteger(value)) return value * (1 + 0.2 * Math.sin(epoch / 7));
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, move(inner)]));
  };
  return move(report) as Record<string, unknown>;
}
