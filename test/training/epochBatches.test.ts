// The micro-batches of an epoch: labels are looked up by the rows of what was read, and labelled rows are
// counted where a step's graph takes their number, once for the whole logical batch.
import { describe, expect, it } from "vitest";
import { compile } from "../../compiler/compile.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { classOf, type TaskLabels } from "../../runtime/labels/taskLabels.ts";
import { EpochBatches, type EpochSources } from "../../runtime/train/epochBatches.ts";
import type { MicroBatch } from "../../runtime/train/microBatch.ts";
import { numberedClasses } from "./tracedGraphs.ts";

const ROWS = 10;
const TASKS = { a: 3, b: 2 };
// Of task a every third row has no label, of b the last six.
const A: TaskLabels = {
  values: Int32Array.from({ length: ROWS }, (_, row) => (row % 3 ? row % 3 : -1)),
  width: 1,
};
const B: TaskLabels = {
  values: Int32Array.from({ length: ROWS }, (_, row) => (row < 4 ? row % 2 : -1)),
  width: 1,
};

/** A reader whose images hold the number of their row. */
const reader: EpochSources["reader"] = {
  format: { height: 6, width: 6, channels: 3, greyscale: false },
  openStream: () => ({
    fill: async ({ rows }, slot) => {
      const bytes = new Uint8Array(slot);
      for (const [place, row] of rows.entries()) bytes.fill(row, place * 108, (place + 1) * 108);
      return slot;
    },
    close: () => Promise.resolve(),
  }),
};

function sourcesFor(more: Partial<SpecInput>, classWeights = new Map<string, Float32Array>()): EpochSources {
  const spec = resolveSpec({
    ...{ tasks: Object.keys(TASKS), fcn: { layers: [2] }, task_layers: [], imshape: [6, 6] },
    ...{ batch_size: 4, seed: 3, train_fcn: true, ...more },
  });
  const { manifest } = compile(spec, numberedClasses(TASKS));
  const paths = Array.from({ length: ROWS }, (_, row) => `${row}.png`);
  const train = { tasks: Object.keys(TASKS), labels: [A, B], paths, locate: () => ({}) };
  const labels = { train, classWeights };
  return { experiment: { spec }, manifest, labels, reader, device: { stagesInputs: false } };
}

async function allOf(batches: EpochBatches): Promise<MicroBatch[]> {
  const all: MicroBatch[] = [];
  for (let batch = await batches.next(); batch; batch = await batches.next()) {
    if (!("images" in batch)) throw new Error("features were not asked for");
    all.push({ ...batch, images: batch.images.slice() });
    batches.release(batch.images.buffer as ArrayBuffer);
  }
  return all;
}

const rowsOf = (batch: MicroBatch): number[] =>
  "images" in batch ? [...batch.images].filter((_, i) => i % 108 === 0) : [];
const labelOf = (labels: TaskLabels, row: number): bigint => BigInt(classOf(labels, row) ?? -1);

describe("the micro-batches of an epoch", () => {
  it.each([1, 2])(
    "have the labels of the rows whose images they hold, with accumulate %i",
    async (accumulate) => {
      await using batches = new EpochBatches(sourcesFor({ accumulate }), 1, 0, []);
      const all = await allOf(batches);
      expect(all).toHaveLength(3 * accumulate);
      for (const batch of all) {
        const rows = rowsOf(batch);
        expect(rows).toHaveLength(4 / accumulate);
        expect([...(batch.labels.get("a") ?? [])]).toEqual(rows.map((row) => labelOf(A, row)));
        expect([...(batch.labels.get("b") ?? [])]).toEqual(rows.map((row) => labelOf(B, row)));
      }
    },
  );

  it("entered in the middle are those of the whole epoch", async () => {
    const sources = sourcesFor({ accumulate: 2 });
    await using whole = new EpochBatches(sources, 2, 0, []);
    await using rest = new EpochBatches(sources, 2, 1, []);
    expect(await allOf(rest)).toEqual((await allOf(whole)).slice(2));
  });
});

describe("the parts of several processes", () => {
  const augmented: Partial<SpecInput> = {
    augment: { zoom_scale: 0.3, gaussian_noise: 0.9, flip_left_right: true, jitter: 0.5 },
    ...{ dropout_rate: 0.5, shared_layers: [4, "d"], batch_size: 12 },
  };

  it.each([
    [2, 1],
    [3, 1],
    [4, 1],
    [2, 2],
    [3, 2],
  ])(
    "of %i make up each of %i micro-batches, images, labels, masks and augmentation",
    async (size, parts) => {
      const sources = sourcesFor({ ...augmented, accumulate: parts });
      await using whole = new EpochBatches(sources, 2, 0, []);
      const shares = Array.from({ length: size }, (_, rank) => ({ ...sources, share: { rank, size } }));
      const ranks = shares.map((each) => new EpochBatches(each, 2, 0, []));
      const all = await allOf(whole);
      const found = await Promise.all(ranks.map(allOf));
      expect(all.length).toBe(whole.steps * parts);
      for (const [place, batch] of all.entries()) {
        const pieces = found.map((ofRank) => ofRank[place]!);
        const joined = (of: (piece: MicroBatch) => Iterable<number | bigint>): (number | bigint)[] =>
          pieces.flatMap((piece) => [...of(piece)]);
        expect(joined((piece) => rowsOf(piece))).toEqual(rowsOf(batch));
        expect(joined((piece) => piece.augment ?? [])).toEqual([...(batch.augment ?? [])]);
        expect(batch.augment?.length).toBeGreaterThan(0);
        for (const task of Object.keys(TASKS))
          expect(joined((piece) => piece.labels.get(task) ?? [])).toEqual([
            ...(batch.labels.get(task) ?? []),
          ]);
        expect(batch.masks.size).toBe(1);
        for (const [name, mask] of batch.masks)
          expect(joined((piece) => piece.masks.get(name) ?? [])).toEqual([...mask]);
      }
      for (const ofRank of ranks) await ofRank[Symbol.asyncDispose]();
    },
  );

  it("are counted over the whole batch by each", async () => {
    const sources = sourcesFor({ accumulate: 2 });
    await using whole = new EpochBatches(sources, 1, 0, []);
    await using second = new EpochBatches({ ...sources, share: { rank: 1, size: 2 } }, 1, 0, []);
    for (let step = 0; step < whole.steps; step++)
      expect(second.scalars(step, 9)).toEqual(whole.scalars(step, 9));
  });

  it("entered in the middle are those of the whole epoch", async () => {
    const sources = { ...sourcesFor({ accumulate: 2 }), share: { rank: 1, size: 2 } };
    await using whole = new EpochBatches(sources, 2, 0, []);
    await using rest = new EpochBatches(sources, 2, 1, []);
    expect(await allOf(rest)).toEqual((await allOf(whole)).slice(2));
  });
});

describe("labelled rows", () => {
  it("are not counted where the step's graph counts them itself", async () => {
    await using batches = new EpochBatches(sourcesFor({ class_weights: "balanced" }), 1, 0, []);
    for (let step = 0; step < batches.steps; step++) expect(batches.scalars(step, 9).counts.size).toBe(0);
  });

  it.each<[string, Map<string, Float32Array>]>([
    ["their number", new Map()],
    ["the sum of their classes' weights", new Map([["a", Float32Array.of(1, 0.25, 8)]])],
  ])("of a batch in parts are counted over all of it: %s", async (_, weights) => {
    const more = weights.size > 0 ? { class_weights: { a: { "1": 0.25, "2": 8 } } } : {};
    await using batches = new EpochBatches(sourcesFor({ accumulate: 2, ...more }, weights), 1, 0, []);
    const all = await allOf(batches);
    for (let step = 0; step < batches.steps; step++) {
      const labels = (task: string) =>
        all.slice(2 * step, 2 * step + 2).flatMap((micro) => [...(micro.labels.get(task) ?? [])].map(Number));
      const wanted = Object.keys(TASKS).map((task) => {
        const found = labels(task).filter((label) => label >= 0);
        return [task, found.reduce((sum, label) => sum + (weights.get(task)?.[label] ?? 1), 0)];
      });
      expect([...batches.scalars(step, 9).counts]).toEqual(wanted);
    }
  });
});
