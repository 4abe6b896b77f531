// Ranks that are killed, stopped, slow, interrupted, or cannot read or write: real processes. All of a run
// ends soon and says why; what was trained is saved; a resume ends where an undisturbed run does, to the bit.
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { readSittings } from "../../runtime/runs/sittings.ts";
import { RANKS_NORMED } from "../tolerances.ts";
import { HASTY } from "./failingJob.ts";
import { FailingRuns } from "./failingRuns.ts";
import { mpichHere } from "./mpiPrograms.ts";
import { RankNetwork } from "./rankNetwork.ts";
import { largestDistance, stateIn } from "./stateDistance.ts";

const mpi = mpichHere();
const EPOCHS = 6;

describe.skipIf(mpi === undefined)("where setup-mpi has been", () => {
  let runs: FailingRuns;
  beforeAll(async () => {
    runs = await FailingRuns.open(mpi!, { epochs: EPOCHS });
  }, 60_000);

  afterEach(() => runs.cleanUp());

  it("a killed follower: rank 0 says who, saves the last step, and the run goes on", async () => {
    const options = runs.optionsOf("killed");
    const run = runs.start(options);
    await run.hears("step", { epoch: 2, step: 3 });
    await run.kill(1, "SIGKILL");
    const { code, message } = await run.hears("fault", { rank: 0 });
    expect(code).toBe("E_RANK_LOST");
    expect(message).toMatch(
      /rank 1 on \S+ has ended; saved as it was at epoch \d, step \d, in .*epoch-000\d\.\d/,
    );
    await run.gone([0, 1], 10_000);
    await runs.expectResumed(options);
  }, 60_000);

  it("a follower that is stopped: the same after the limit, and it ends once it goes on", async () => {
    const options = runs.optionsOf("stopped");
    const run = runs.start(options);
    await run.hears("step", { epoch: 2, step: 2 });
    await run.kill(1, "SIGSTOP");
    const { message } = await run.hears("fault", { rank: 0 });
    expect(message, run.said).toMatch(/rank 1 on \S+ does not answer since 1 s; saved as it was at epoch/);
    await run.gone([0], 10_000);
    await run.kill(1, "SIGCONT");
    expect(await run.hears("fault", { rank: 1 })).toMatchObject({ code: "E_RANK_LOST" });
    await run.gone([1], 10_000);
    await runs.expectResumed(options);
  }, 60_000);

  it("rank 0 killed: the others end, the newest checkpoint is whole, nothing is locked", async () => {
    const options = runs.optionsOf("headless");
    const run = runs.start(options);
    await run.hears("epoch", { epoch: 2 });
    await run.kill(0, "SIGKILL");
    expect((await run.hears("fault", { rank: 1 })).message).toMatch(
      /rank 0 on \S+ has ended \[E_RANK_LOST\]/,
    );
    await run.gone([0, 1], 10_000);
    await runs.expectResumed(options);
  }, 60_000);

  it("before the first step: nothing is saved, and the same command begins", async () => {
    const options = runs.optionsOf("early");
    const run = runs.start(options);
    await run.hears("joined", { rank: 0 });
    await run.kill(1, "SIGKILL");
    const { code, message } = await run.hears("fault", { rank: 0 });
    expect([code, /saved/.test(message.split("\n")[0] ?? "")]).toEqual(["E_RANK_LOST", false]);
    await run.gone([0, 1], 10_000);
    rmSync(join(runs.folder, "early"), { recursive: true, force: true });
  }, 60_000);

  it("killed while an epoch is evaluated and saved: the run goes on from there", async () => {
    for (const [i, ms] of [0, 4, 8].entries()) {
      const options = runs.optionsOf(`evaluated-${i}`);
      const run = runs.start(options, { delays: [] });
      await run.hears("step", { epoch: 2, step: 6 });
      await new Promise((resolve) => setTimeout(resolve, ms));
      await run.kill(1, "SIGKILL");
      expect(await run.hears("fault", { rank: 0 })).toMatchObject({ code: "E_RANK_LOST" });
      await run.gone([0, 1], 10_000);
      const leftovers = run.checkpoints().filter((name) => !/^epoch-\d{4}(\.\d+)?$/.test(name));
      expect(leftovers).toEqual([]);
      await runs.expectResumed(options);
    }
  }, 120_000);

  it("Ctrl-C, to rank 0 or to all: saved once, all end as interrupted, and the run goes on", async () => {
    for (const ranks of [[0], [0, 1]]) {
      const options = runs.optionsOf(`interrupted-${ranks.length}`);
      const run = runs.start(options);
      await run.hears("step", { epoch: 2, step: 2 });
      for (const rank of ranks) await run.kill(rank, "SIGINT");
      expect(await run.hears("fault", { rank: 0 })).toMatchObject({ code: "E_INTERRUPTED" });
      expect(await run.hears("ended", { rank: 1 })).toMatchObject({ how: "interrupted" });
      await run.gone([0, 1], 10_000);
      for (const rank of [0, 1]) expect(await run.exitOf(rank)).toBe(130);
      expect(run.checkpoints().filter((name) => name.includes("."))).toHaveLength(1);
      await runs.expectResumed(options);
    }
  }, 120_000);

  it("one rank slower, rank 0 or the other: the numbers are the same", async () => {
    for (const [slow, delays] of [
      [0, [25, 0]],
      [1, [0, 25]],
    ] as const) {
      const run = runs.start(runs.optionsOf(`slow-${slow}`), { delays });
      const ends = [await run.hears("ended", { rank: 0 }), await run.hears("ended", { rank: 1 })];
      expect(await run.ends()).toBe(0);
      runs.expectUndisturbed(run);
      // 6 epochs of 6 steps.
      expect(ends[slow]?.slowed).toBeGreaterThanOrEqual(36);
      expect(ends[1 - slow]?.slowed).toBe(0);
      expect(await readSittings(join(runs.folder, `slow-${slow}`))).toMatchObject([{ epoch: 1, ranks: 2 }]);
    }
  }, 120_000);

  it("an endless loop on the main thread of a rank: the others say which, and the run goes on", async () => {
    for (const rank of [1, 0]) {
      const options = runs.optionsOf(`looping-${rank}`);
      const run = runs.start(options, { channel: { ...HASTY, stallMs: 1000 } });
      await run.hears("step", { epoch: 2, step: 2 });
      await run.kill(rank, "SIGUSR2");
      const { code, message } = await run.hears("fault", { rank: 1 - rank });
      expect(code).toBe("E_RANK_LOST");
      expect(message).toMatch(/rank \d on \S+ hangs: its main thread has stood still for 1(\.\d)? s/);
      expect(message).toContain(`rank ${rank} on`);
      if (rank === 1) expect(message).toMatch(/saved as it was at epoch 2, step \d/);
      await run.gone([0, 1], 10_000);
      expect(await run.exitOf(rank)).toBe(2);
      expect(run.said).toMatch(new RegExp(`error: rank ${rank} on \\S+ hangs: .*it is ended`));
      // What rank 0 leaves is what it leaves when it is killed.
      if (rank === 1) await runs.expectResumed(options);
    }
  }, 120_000);

  it("more silence than the limit because everything is stopped: it goes on", async () => {
    const options = runs.optionsOf("suspended");
    const run = runs.start(options);
    await run.hears("step", { epoch: 2, step: 2 });
    for (const rank of [1, 0]) await run.kill(rank, "SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 3 * HASTY.limitMs));
    for (const rank of [0, 1]) await run.kill(rank, "SIGCONT");
    await run.hears("ended", { rank: 0 });
    expect(await run.ends()).toBe(0);
    runs.expectUndisturbed(run);
  }, 60_000);

  it.skipIf(process.getuid?.() !== 0)(
    "images that a follower cannot see (needs root): told once, with the rank",
    async () => {
      const options = runs.optionsOf("unseen");
      const images = runs.images;
      const hidden = `mount -t tmpfs none ${images} && exec "$@"`;
      const wrap = (rank: number) => (rank === 1 ? ["unshare", "-m", "sh", "-c", hidden, "sh"] : []);
      const run = runs.start(options, { wrap });
      const { code, message } = await run.hears("fault", { rank: 0 });
      expect(code).toBe("E_FILE");
      expect(message).toMatch(/images\/\d+\.png: rank 1 on \S+: .*\[E_FILE\]/);
      expect(await run.hears("ended", { rank: 1 })).toMatchObject({ how: "failed" });
      await run.gone([0, 1], 10_000);
      for (const rank of [0, 1]) expect(await run.exitOf(rank)).toBe(2);
      expect(readdirSync(images)).toHaveLength(72);
    },
    60_000,
  );

  it("a link that is cut: four ranks in network namespaces end within 30 s, and the run goes on", async (test) => {
    const network = RankNetwork.of(4);
    if (typeof network === "string") return test.skip(network);
    using machines = network;
    const options = runs.optionsOf("cut");
    const hosts = [0, 1, 2, 3].map((machine) => machines.host(machine)).join(",");
    const shell = ["-launcher", "ssh", "-launcher-exec", machines.shell()];
    const launch = [...shell, "-hosts", hosts, "-iface", "eth0"];
    const run = runs.start(options, { size: 4, channel: {}, launch, on: machines.on(0) });
    await run.hears("step", { epoch: 2, step: 3 });
    machines.cut(2);
    await run.gone([0, 1, 2, 3], 30_000);
    const { code, message } = await run.hears("fault", { rank: 0 });
    expect(code).toBe("E_RANK_LOST");
    expect(message).toMatch(/rank 2 on \S+ does not answer since 14 s; saved as it was at epoch 2, step \d/);
    expect((await run.hears("fault", { rank: 2 })).message).toMatch(
      /rank 0 on \S+ does not answer since 14 s/,
    );
    for (const rank of [1, 3]) expect(await run.hears("ended", { rank })).toMatchObject({ how: "failed" });
    expect(run.locks()).toEqual([]);
    const resumed = runs.start(options, { resume: true, delays: [] });
    await resumed.hears("ended", { rank: 0 });
    expect(await resumed.ends()).toBe(0);
    // Four ranks added up in another order than the two that nothing disturbed.
    const [found, wanted] = [
      await stateIn(join(runs.folder, "cut")),
      await stateIn(join(runs.folder, "undisturbed")),
    ];
    expect(largestDistance(found, wanted)).toBeLessThan(RANKS_NORMED);
  }, 120_000);
});
