// Two ranks whose steps have two micro-batches each, so that a fault of one comes in the middle of a step: a
// run that is interrupted, diverges, lacks an image on rank 0 alone, has one that only the other cannot read,
// or finds its disk full. All end soon by it, it is told once, and a resume ends as an undisturbed run does.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import type { FailingRun, FailingStart } from "./failingJob.ts";
import { FailingRuns } from "./failingRuns.ts";
import { mpichHere } from "./mpiPrograms.ts";

const mpi = mpichHere();
const EPOCHS = 3;
const END_MS = 15_000;
const isRoot = process.getuid?.() === 0;

/** A copy with the times of the files, to the nanosecond: images are known by them. */
function copyOf(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  execFileSync("cp", ["-a", `${from}/.`, to]);
}

describe.skipIf(mpi === undefined)("where setup-mpi has been", () => {
  let runs: FailingRuns;
  const mounted: string[] = [];

  /** A run of its own that stands in the middle of its second epoch. */
  function begunRun(name: string, parent = runs.folder): TrainerOptions {
    const logdir = join(parent, name);
    copyOf(join(runs.folder, "interrupted"), logdir);
    return { ...runs.base, logdir };
  }

  /** The run ends by a fault, which rank 0 tells, and both by exit code 2. */
  async function expectFault(run: FailingRun, code: string, message: RegExp): Promise<void> {
    const fault = await run.hears("fault", { rank: 0 });
    expect(fault).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(await run.hears("ended", { rank: 1 })).toMatchObject({ how: "failed" });
    await run.gone([0, 1], END_MS);
    for (const rank of [0, 1]) expect(await run.exitOf(rank)).toBe(2);
    expect(run.news.filter(({ kind }) => kind === "fault")).toHaveLength(1);
  }

  /** Words by which rank 1 sees other images. */
  function seeing(other: string): Partial<FailingStart> {
    const bound = `mount --bind ${other} ${runs.images} && exec "$@"`;
    return { wrap: (rank) => (rank === 1 ? ["unshare", "-m", "sh", "-c", bound, "sh"] : []) };
  }

  beforeAll(async () => {
    runs = await FailingRuns.open(mpi!, { epochs: EPOCHS }, { accumulate: 2 });
    copyOf(runs.images, join(runs.folder, "copy"));
    const stopped = runs.start(runs.optionsOf("interrupted"));
    await stopped.hears("step", { epoch: 2, step: 2 });
    for (const rank of [1, 0]) await stopped.kill(rank, "SIGINT");
    expect(await stopped.hears("fault", { rank: 0 })).toMatchObject({ code: "E_INTERRUPTED" });
    expect(await stopped.hears("ended", { rank: 1 })).toMatchObject({ how: "interrupted" });
    await stopped.gone([0, 1], END_MS);
    for (const rank of [0, 1]) expect(await stopped.exitOf(rank)).toBe(130);
    expect(stopped.checkpoints()).toEqual(["epoch-0001", "epoch-0001.1"]);
  }, 90_000);

  afterEach(async () => {
    await runs.cleanUp();
    for (const place of mounted.splice(0)) execFileSync("umount", ["-l", place]);
  });

  afterAll(() => rmSync(runs.folder, { recursive: true, force: true }));

  it("Ctrl-C to both in the middle of a step: saved once, and the run goes on", async () => {
    await runs.expectResumed(begunRun("resumed"));
  }, 60_000);

  it("numbers that are not finite on rank 0 end both", async () => {
    const wild = { optimizer: "momentum", lr: 1e6, task_weights: null } as const;
    const run = runs.start({ ...runs.optionsOf("diverged"), ...wild }, { delays: [] });
    await expectFault(run, "E_DIVERGED", /the loss became .* \[E_DIVERGED\]/s);
  }, 60_000);

  it.skipIf(!isRoot)(
    "images that only rank 0 has no more (needs root) end both",
    async () => {
      const options = begunRun("deleted");
      const run = runs.start(options, { resume: true, delays: [60], ...seeing(join(runs.folder, "copy")) });
      await run.hears("step", { epoch: 2 });
      for (const name of readdirSync(runs.images)) rmSync(join(runs.images, name));
      await expectFault(run, "E_FILE", /images\/\d+\.png: (?!rank).*\[E_FILE\]/);
      copyOf(join(runs.folder, "copy"), runs.images);
      await runs.expectResumed(options);
    },
    90_000,
  );

  it.skipIf(!isRoot)(
    "images that only the other rank finds damaged (needs root): told once, with the rank",
    async () => {
      const damaged = join(runs.folder, "damaged");
      copyOf(runs.images, damaged);
      for (const name of readdirSync(damaged)) {
        const bytes = readFileSync(join(damaged, name));
        writeFileSync(join(damaged, name), bytes.fill(0, Math.floor(bytes.length / 2)));
        execFileSync("touch", ["-r", join(runs.images, name), join(damaged, name)]);
      }
      const options = begunRun("damaged-run");
      const run = runs.start(options, { resume: true, ...seeing(damaged) });
      await expectFault(run, "E_IMG_TRUNCATED", /images\/\d+\.png: rank 1 on \S+: .*\[E_IMG_\w+\]/);
      await runs.expectResumed(options);
    },
    90_000,
  );

  it("a disk that is full on rank 0 (needs root, and a file system in memory) ends both", async (test) => {
    const disk = join(runs.folder, "disk");
    try {
      execFileSync("sh", ["-c", `mkdir ${disk} && mount -t tmpfs -o size=4m none ${disk}`], {
        stdio: "ignore",
      });
    } catch {
      return test.skip("nothing may be mounted here");
    }
    mounted.push(disk);
    const options = begunRun("full", disk);
    const run = runs.start(options, { resume: true });
    await run.hears("step", { epoch: 2 });
    const filler = join(disk, "filler");
    expect(() => writeFileSync(filler, Buffer.alloc(8 << 20))).toThrow(/ENOSPC/);
    await expectFault(run, "E_DISK", /\[E_DISK\]/);
    rmSync(filler);
    expect(run.checkpoints()).toEqual(["epoch-0001", "epoch-0001.1"]);
    await runs.expectResumed(options);
  }, 90_000);
});
