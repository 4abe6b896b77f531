// Which checkpoint a reader takes, and that the best one stays: marked in the newest one's manifest, kept
// when older ones go, found again after any kill, and skipped with a word where it is damaged or gone.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FileSystem, nodeFileSystem } from "../../runtime/files/fileSystem.ts";
import {
  checkpointsOf,
  choiceText,
  parseWanted,
  readCheckpoint,
} from "../../runtime/runs/checkpointChoice.ts";
import {
  type CheckpointContent,
  loadNewestCheckpoint,
  saveCheckpoint,
} from "../../runtime/runs/checkpoints.ts";
import { faultsOf, faultsOfAsync } from "../spec/faultsOf.ts";
import { contentOf, isIntact } from "./content.ts";

const BYTES = 500;
let run: string;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "mttc-choice-"));
});
afterEach(() => rmSync(run, { recursive: true, force: true }));

const folders = (): string[] => readdirSync(join(run, "checkpoints")).sort();
const save = (epoch: number, best?: CheckpointContent["best"], more: Partial<CheckpointContent> = {}) =>
  saveCheckpoint(run, { ...contentOf(epoch, BYTES), ...more, best });

/** Seven epochs of which the second is the best. */
async function sevenEpochs(): Promise<void> {
  await save(1, "this");
  await save(2, "this");
  for (let epoch = 3; epoch <= 7; epoch++) await save(epoch, "epoch-0002");
}

describe("the best checkpoint", () => {
  test("stays beside the newest three, and is what readers take", async () => {
    await sevenEpochs();
    expect(folders()).toEqual(["epoch-0002", "epoch-0005", "epoch-0006", "epoch-0007"]);
    const best = await readCheckpoint(run);
    expect([best.epoch, best.warnings, isIntact(best, BYTES)]).toEqual([2, [], true]);
    expect(choiceText(best.choice)).toBe("epoch 2, the best; the newest is 7");
    expect((await readCheckpoint(run, "best")).epoch).toBe(2);
    expect((await loadNewestCheckpoint(run)).epoch).toBe(7);
  });

  test("goes when another is better", async () => {
    await sevenEpochs();
    await save(8, "this");
    expect(folders()).toEqual(["epoch-0006", "epoch-0007", "epoch-0008"]);
    expect(choiceText((await readCheckpoint(run)).choice)).toBe("epoch 8, the best and the newest");
  });

  test("is not marked in older runs: the newest is taken, and `best` is refused with what there is", async () => {
    for (let epoch = 1; epoch <= 5; epoch++) await save(epoch);
    expect(folders()).toEqual(["epoch-0003", "epoch-0004", "epoch-0005"]);
    expect(choiceText((await readCheckpoint(run)).choice)).toBe("epoch 5, the newest");
    const [fault] = await faultsOfAsync(() => readCheckpoint(run, "best"));
    expect(fault).toMatchObject({
      code: "E_CKPT_NONE",
      hint: expect.stringContaining("--checkpoint newest"),
    });
  });

  test("is found after a kill between any two steps of a save", async () => {
    await sevenEpochs();
    // The new checkpoint stands, and nothing is removed yet: a call that fails ends the save there.
    for (let failing = 1; ; failing++) {
      let calls = 0;
      const fileSystem = new Proxy<FileSystem>(
        { ...nodeFileSystem },
        {
          get(target, name: keyof FileSystem) {
            return async (...parameters: unknown[]) => {
              if (++calls >= failing) throw Object.assign(new Error("killed"), { code: "EIO" });
              return (target[name] as (...all: unknown[]) => unknown)(...parameters);
            };
          },
        },
      );
      const copy = `${run}-copy`;
      cpSync(run, copy, { recursive: true });
      const saved = await saveCheckpoint(
        copy,
        { ...contentOf(8, BYTES), best: failing % 2 === 0 ? "this" : "epoch-0002" },
        3,
        fileSystem,
      ).then(
        () => true,
        () => false,
      );
      const read = await readCheckpoint(copy);
      expect([read.warnings, isIntact(read, BYTES), read.choice.isBest]).toEqual([[], true, true]);
      expect([2, 8]).toContain(read.epoch);
      expect((await loadNewestCheckpoint(copy)).epoch).toBeGreaterThanOrEqual(7);
      rmSync(copy, { recursive: true });
      if (saved) break;
      expect(failing).toBeLessThan(200);
    }
  });

  test("damaged or gone, gives way to the newest, and says so", async () => {
    await sevenEpochs();
    truncateSync(join(run, "checkpoints", "epoch-0002", "state.safetensors"), 10);
    const newest = await readCheckpoint(run);
    expect(newest.epoch).toBe(7);
    expect(newest.warnings.join()).toMatch(
      /epoch-0002: state\.safetensors has 10 bytes.*the newest is taken/,
    );
    expect(choiceText(newest.choice)).toBe("epoch 7, the newest; the best is 2");
    rmSync(join(run, "checkpoints", "epoch-0002"), { recursive: true });
    const left = await readCheckpoint(run);
    expect([left.epoch, left.warnings]).toEqual([
      7,
      ["the best checkpoint, epoch-0002, is gone: the newest is taken"],
    ]);
    expect((await readCheckpoint(run, "newest")).warnings).toEqual([]);
  });

  test("is what an older one says where the newest is damaged", async () => {
    await sevenEpochs();
    for (const epoch of [6, 7])
      writeFileSync(join(run, "checkpoints", `epoch-000${epoch}`, "MANIFEST.json"), "{");
    expect((await readCheckpoint(run)).epoch).toBe(2);
    const newest = await readCheckpoint(run, "newest");
    expect([newest.epoch, newest.warnings.length]).toEqual([5, 2]);
  });

  test("is looked for anew where training replaces it meanwhile", async () => {
    await sevenEpochs();
    let lists = 0;
    const fileSystem: FileSystem = {
      ...nodeFileSystem,
      readdir: async (path: string) => {
        const names = await nodeFileSystem.readdir(path);
        if (++lists === 1) await save(8, "this");
        return names;
      },
    };
    expect(await readCheckpoint(run, undefined, fileSystem)).toMatchObject({ epoch: 8, warnings: [] });
  });
});

describe("--checkpoint", () => {
  test.each([
    ["best", 2],
    ["NEWEST", 7],
    ["6", 6],
    ["epoch-0005", 5],
  ])("%s takes epoch %i", async (text, epoch) => {
    await sevenEpochs();
    expect((await readCheckpoint(run, parseWanted(text))).epoch).toBe(epoch);
  });

  test("of an epoch's number takes its end, not what was saved in the middle of the next", async () => {
    await sevenEpochs();
    const path = await save(7, "epoch-0002", { isPartial: true, progress: { step: 3 } });
    expect(path).toBe(join(run, "checkpoints", "epoch-0007.1"));
    expect((await readCheckpoint(run, 7)).choice).toMatchObject({ name: "epoch-0007", isPartial: false });
    const partial = await readCheckpoint(run, "epoch-0007.1");
    expect(choiceText(partial.choice)).toBe("epoch 7 and a part of the next, the newest; the best is 2");
    // The plain name stays that of a whole epoch, also where that was never saved.
    expect(await save(9, undefined, { isPartial: true })).toBe(join(run, "checkpoints", "epoch-0009.1"));
  });

  test.each([
    ["4", /no checkpoint of epoch 4/],
    ["epoch-0004", /no checkpoint named epoch-0004/],
  ])("%s that is not kept is refused with those that are", async (text, message) => {
    await sevenEpochs();
    const [fault] = await faultsOfAsync(() => readCheckpoint(run, parseWanted(text)));
    expect(fault).toMatchObject({ code: "E_CKPT_NONE", message: expect.stringMatching(message) });
    expect(fault?.hint).toContain("epoch-0007, epoch-0006, epoch-0005, epoch-0002 (the best)");
  });

  test("that names a damaged one is refused, and no other taken in its place", async () => {
    await sevenEpochs();
    truncateSync(join(run, "checkpoints", "epoch-0006", "progress.json"), 1);
    for (const wanted of [6, "epoch-0006"])
      expect(await faultsOfAsync(() => readCheckpoint(run, wanted))).toMatchObject([
        { code: "E_CKPT_CORRUPT" },
      ]);
  });

  test.each(["bset", "epoch-1", "-1", "1.5", ""])("%j is no checkpoint", (text) => {
    expect(faultsOf(() => parseWanted(text))).toMatchObject([{ code: "E_USAGE" }]);
  });
});

test("a mark that is no name of a checkpoint is damage", async () => {
  await save(1);
  const path = await save(2, "this");
  const file = join(path, "MANIFEST.json");
  writeFileSync(
    file,
    readFileSync(file, "utf8").replace('"best": "epoch-0002"', '"best": "../../elsewhere"'),
  );
  expect(await readCheckpoint(run)).toMatchObject({
    epoch: 1,
    warnings: [expect.stringMatching(/not a manifest/)],
  });
  expect((await checkpointsOf(run)).best).toBeUndefined();
});
