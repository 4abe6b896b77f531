// A rank that is lost while rank 0 is at something that no sum over ranks ends: images, packs, a digest,
// probes, a checkpoint. Rank 0 says so at once, what is trained is saved, and a resume ends where an
// undisturbed run does, to the bit. In this process, without MPI.
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import type { LabelRow } from "../../runtime/tables/labelTable.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { RankLeader, stateDigest } from "../../runtime/train/rankLeader.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { untilLost } from "../../runtime/train/untilLost.ts";
import { patternOptions, writePatternImages } from "../training/patternImages.ts";
import { connectedPeers } from "./channelPeers.ts";
import { type LocalGroup, openLocalGroup } from "./localGroup.ts";
import { largestDistance, type StateNumbers, stateIn } from "./stateDistance.ts";

const [TRAIN, EPOCHS, STEPS] = [24, 2, 3];
/** What a process has that knows that it is to end. */
const MOST_MS = 8000;

type Logged = TrainerOptions & { readonly logdir: string };

let folder: string;
let rows: LabelRow[];
let undisturbed: StateNumbers;
const opened: LocalGroup[] = [];

async function open(): Promise<LocalGroup> {
  const made = await openLocalGroup(2);
  opened.push(made);
  return made;
}

function optionsOf(name: string, more: Partial<TrainerOptions> = {}): Logged {
  const base = { ...patternOptions(rows, TRAIN), batchnorm: false, rotation_test: 1, visualize_kernels: 1 };
  return { ...base, ...more, logdir: join(folder, name) };
}

async function close(groups: LocalGroup[]): Promise<void> {
  for (const group of groups.splice(0)) await group[Symbol.asyncDispose]();
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-rank-phases-"));
  rows = await writePatternImages(join(folder, "images"), 40);
  const options = optionsOf("undisturbed");
  await using trainer = new MultiTaskTrainer(options, { ranks: await open() });
  await trainer.fit(EPOCHS);
  undisturbed = await stateIn(options.logdir);
  await trainer.close();
  await close(opened);
});

afterEach(async () => await close(opened));
afterAll(async () => await rm(folder, { recursive: true, force: true }));

/** What a run rejects with that loses a rank when `arrange` says so, and how long after that. */
async function lostRun(
  options: Logged,
  arrange: (group: LocalGroup, lose: () => void, trainer: MultiTaskTrainer) => void,
): Promise<{ readonly message: string; readonly group: LocalGroup }> {
  const group = await open();
  const trainer = new MultiTaskTrainer(options, { ranks: group });
  let lostAt = Number.NaN;
  arrange(
    group,
    () => {
      if (!Number.isNaN(lostAt)) return;
      lostAt = performance.now();
      group.lose(1);
    },
    trainer,
  );
  const error: unknown = await trainer.fit(EPOCHS).catch((reason: unknown) => reason);
  await trainer.close();
  expect(error).toBeInstanceOf(MttcError);
  expect(error).toMatchObject({ code: "E_RANK_LOST" });
  expect(performance.now() - lostAt).toBeLessThan(MOST_MS);
  return { message: (error as MttcError).message, group };
}

/** Trains a run to its end with other ranks. */
async function expectResumed(options: Logged): Promise<void> {
  const trainer = new MultiTaskTrainer(options, { ranks: await open() });
  const history = await trainer.fit(EPOCHS, { resume: true });
  await trainer.close();
  expect(history.length).toBe(EPOCHS);
  expect(largestDistance(await stateIn(options.logdir), undisturbed)).toBe(0);
}

const checkpoints = async ({ logdir }: Logged): Promise<string[]> => {
  const all = join(logdir, "checkpoints");
  return existsSync(all) ? (await readdir(all)).toSorted() : [];
};

describe("a rank that is lost before the first step leaves nothing behind", () => {
  test("while images are looked at", async () => {
    const options = optionsOf("looking");
    const { message, group } = await lostRun(
      options,
      (_, lose, trainer) => void trainer.on("progress", lose),
    );
    expect(message).toMatch(/^rank 1 on here has ended/);
    expect(group.told).not.toContain("tables");
    expect(await checkpoints(options)).toEqual([]);
    await rm(options.logdir, { recursive: true });
  });

  test("while images are packed", async () => {
    const options = optionsOf("packing", { pack: true });
    const { group } = await lostRun(options, (_, lose) => {
      const look = setInterval(() => {
        if (!existsSync(join(options.logdir, "cache"))) return;
        clearInterval(look);
        lose();
      }, 1);
    });
    expect(group.told).not.toContain("epoch");
    await rm(options.logdir, { recursive: true });
  });

  test("while the bundle is sent", async () => {
    const options = optionsOf("sending");
    const { group } = await lostRun(options, (local, lose) => {
      local.onTold = (kind) => void (kind === "open" && lose());
    });
    expect(group.told).not.toContain("state");
  });
});

describe("a rank that is lost after the last step of an epoch costs no step", () => {
  test.each(["digest", "turn", "evaluated"] as const)("at the %s", async (at) => {
    const options = optionsOf(`lost-${at}`);
    const { message } = await lostRun(options, (group, lose) => {
      // Probes come after the evaluation.
      group.onTold = (kind) => void (kind === at && (at === "evaluated" ? setTimeout(lose, 2) : lose()));
    });
    expect(message).toContain(`saved as it was at epoch 1, step ${STEPS}`);
    expect(await checkpoints(options)).toEqual(["epoch-0000"]);
    await expectResumed(options);
  });

  test("while its checkpoint is written: it stands whole", async () => {
    const options = optionsOf("writing");
    const holds: number[] = [];
    const { message } = await lostRun(options, (group, lose) => {
      group.onTold = (kind) => {
        if (kind !== "hold") return;
        holds.push(holds.length);
        lose();
      };
    });
    expect(message).toMatch(/has ended; saved is .*epoch-0001/);
    expect(holds.length).toBeGreaterThan(0);
    expect(await checkpoints(options)).toEqual(["epoch-0001"]);
    await expectResumed(options);
  });

  test("and once nothing is left to train, nothing is wrong", async () => {
    const options = optionsOf("late");
    const group = await open();
    const trainer = new MultiTaskTrainer(options, { ranks: group });
    let held = 0;
    group.onTold = (kind) => {
      if (kind === "hold") held += 1;
      if (kind === "hold" && held === EPOCHS) group.lose(1);
    };
    const history = await trainer.fit(EPOCHS);
    await trainer.close();
    expect(history.length).toBe(EPOCHS);
    expect(largestDistance(await stateIn(options.logdir), undisturbed)).toBe(0);
  });
});

describe("work that a loss ends", () => {
  test("rejects with why, though it hears nothing, and gives its value without a loss", async () => {
    const failure = new AbortController();
    const reason = new MttcError({ code: "E_RANK_LOST", message: "gone" });
    expect(await untilLost(failure.signal, undefined, async () => 3)).toBe(3);
    const deaf = untilLost(failure.signal, undefined, () => new Promise(() => undefined));
    failure.abort(reason);
    await expect(deaf).rejects.toBe(reason);
    await expect(untilLost(failure.signal, undefined, async () => 3)).rejects.toBe(reason);
  });

  test("that ends by Ctrl-C, or by a fault of its own, says that", async () => {
    const stop = new AbortController();
    const interrupted = new MttcError({ code: "E_INTERRUPTED", message: "stopped" });
    const failed = new AbortController();
    const work = untilLost(failed.signal, stop.signal, async (signal) => {
      await new Promise((resolve) => signal?.addEventListener("abort", resolve));
      throw interrupted;
    });
    stop.abort();
    await expect(work).rejects.toBe(interrupted);
    const full = new MttcError({ code: "E_DISK", message: "full" });
    await expect(untilLost(failed.signal, undefined, () => Promise.reject(full))).rejects.toBe(full);
  });

  test("a digest of a large state lets others have their turn", async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const tensors = [new Float32Array(1 << 23), new BigInt64Array(3)];
    const digest = await stateDigest(tensors);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(2);
    expect(digest).not.toBe(await stateDigest(tensors.toReversed().slice(1)));
  });
});

describe("what rank 0 tells", () => {
  test("and cannot be sent fails the run with a fault of ours, on all ranks", async () => {
    await using peers = await connectedPeers(2);
    const { hub, links } = peers;
    void links[0]!.serve(() => undefined).catch(() => undefined);
    const run = {
      directory: folder,
      manifest: { files: {} },
      kernels: {},
      allowSpinning: false,
      tf32: false,
    };
    const leader = await RankLeader.open(hub, 2, run as unknown as Parameters<typeof RankLeader.open>[2]);
    leader.tell({ kind: "step", scalars: { rate: () => 1 } } as never);
    await vi.waitFor(() => expect(hub.failed.aborted).toBe(true));
    expect(hub.failed.reason).toBeInstanceOf(InternalError);
    expect(String(hub.failed.reason)).toContain("cannot be sent");
    await leader.close();
  });

  test("the files of a bundle are gone once they are read", async () => {
    const own = await mkdtemp(join(folder, "temporary-"));
    vi.stubEnv("TMPDIR", own);
    try {
      const group = await open();
      const found: Record<string, number> = {};
      const look = async (when: string): Promise<void> => {
        found[when] = (await readdir(own)).filter((name) => name.startsWith("mttc-rank-")).length;
      };
      const trainer = new MultiTaskTrainer(optionsOf("temporary"), { ranks: group });
      const looks: Promise<void>[] = [];
      group.onTold = (kind) => {
        if (kind === "open" || kind === "epoch") looks.push(look(kind));
      };
      await trainer.fit(1);
      await trainer.close();
      await Promise.all(looks);
      await look("end");
      expect(found).toEqual({ open: 1, epoch: 0, end: 0 });
    } finally {
      vi.unstubAllEnvs();
    }
  });
});
