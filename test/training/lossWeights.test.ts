// Runs on image files with weights of losses by dwa, rlw and famo: the weights of each epoch and step are
// what the formulas say of the run's own losses and of its stream, tasks without a label take no part, and a
// run that is cut anywhere ends with the bits of one that was not.
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import { normalNumber } from "../../runtime/draws/normalNumbers.ts";
import { loadNewestCheckpoint } from "../../runtime/runs/checkpoints.ts";
import type { EpochReport, StepEvent } from "../../runtime/train/events.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { TaskWeights } from "../../runtime/train/taskWeights.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { BOUND_FLOAT32, MICRO_BATCHES, WEIGHT_FLOAT64 } from "../tolerances.ts";
import { patternOptions, writePatternImages } from "./patternImages.ts";

let folder: string;
let options: TrainerOptions;
/** Steps of an epoch: 28 rows in batches of 8. */
const STEPS = 4;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-weights-"));
  const rows = await writePatternImages(join(folder, "images"), 40);
  options = { ...patternOptions(rows, 28), task_weights: [1, 0.5], lr: 0.01, log_every: 1 };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Ended {
  readonly hash: string;
  readonly history: readonly EpochReport[];
  readonly events: readonly StepEvent[];
}

async function trainTo(
  more: Partial<TrainerOptions>,
  epochs: number,
  { resume = false, stopAt = Number.POSITIVE_INFINITY } = {},
): Promise<Ended> {
  await using trainer = new MultiTaskTrainer({ ...options, ...more });
  const abort = new AbortController();
  const events: StepEvent[] = [];
  trainer.on("step", (event) => {
    events.push(event);
    if ((event.epoch - 1) * STEPS + event.step === stopAt) abort.abort();
  });
  const fit = trainer.fit(epochs, { resume, signal: abort.signal });
  if (stopAt === Number.POSITIVE_INFINITY) await fit;
  else expect((await faultsOfAsync(() => fit))[0]?.code).toBe("E_INTERRUPTED");
  const { tensors } = await loadNewestCheckpoint(more.logdir ?? "");
  const hash = createHash("sha256");
  for (const [name, { data }] of tensors) hash.update(name).update(data);
  return { hash: hash.digest("hex"), history: [...trainer.history], events };
}

const weightsOf = ({ scalars = {} }: Pick<EpochReport, "scalars">): (number | undefined)[] =>
  ["hue", "stripes"].map((task) => scalars[`combine_weight/${task}`]);

/** K softmax of two numbers. */
function pair(a: number, b: number): [number, number] {
  const share = 1 / (1 + Math.exp(b - a));
  return [2 * share, 2 * (1 - share)];
}

function expectNear(found: readonly (number | undefined)[], wanted: readonly number[]): void {
  expect(found.length).toBe(wanted.length);
  for (const [i, value] of wanted.entries())
    expect(Math.abs((found[i] ?? Number.NaN) - value)).toBeLessThan(WEIGHT_FLOAT64);
}

describe.each([1, 2])("dwa in %i micro-batches", (accumulate) => {
  const dwa = { combine: { method: "dwa", temperature: 0.5 }, accumulate } as const;
  let whole: Ended;
  beforeAll(async () => {
    whole = await trainTo({ ...dwa, logdir: join(folder, `dwa-${accumulate}`) }, 4);
  });

  test("weighs an epoch by the losses of the two before it", async () => {
    const { history, events, hash } = whole;
    expectNear(weightsOf(history[0] ?? {}), [1, 1]);
    expectNear(weightsOf(history[1] ?? {}), [1, 1]);
    for (const epoch of [3, 4]) {
      const ratio = (task: string): number =>
        (history[epoch - 2]?.trainLoss[task] ?? 0) / (history[epoch - 3]?.trainLoss[task] ?? 0);
      const wanted = pair(ratio("hue") / 0.5, ratio("stripes") / 0.5);
      expect(Math.abs(wanted[0] - 1)).toBeGreaterThan(WEIGHT_FLOAT64);
      expectNear(weightsOf(history[epoch - 1] ?? {}), wanted);
      const ofEpoch = events.filter((event) => event.epoch === epoch);
      expect(ofEpoch.length).toBe(STEPS);
      for (const event of ofEpoch) expectNear(weightsOf(event), wanted);
    }
    const other = await trainTo({ combine: "sum", accumulate, logdir: join(folder, `sum-${accumulate}`) }, 4);
    expect(other.hash).not.toBe(hash);
    // In the first two epochs nothing differs.
    expect(other.history[1]?.trainLoss).toEqual(history[1]?.trainLoss);
    expect(other.history[3]?.trainLoss).not.toEqual(history[3]?.trainLoss);
    expect(Object.keys(other.history[3]?.scalars ?? {}).filter((name) => name.startsWith("combine"))).toEqual(
      [],
    );
  });

  test.each(accumulate === 1 ? [6, 11] : [11])(
    "cut after step %i it ends with the same bits and figures",
    async (stopAt) => {
      const logdir = join(folder, `cut-${accumulate}-${stopAt}`);
      await trainTo({ ...dwa, logdir }, 4, { stopAt });
      const rest = await trainTo({ ...dwa, logdir }, 4, { resume: true });
      expect(rest.hash).toBe(whole.hash);
      expect(rest.history.map(weightsOf)).toEqual(whole.history.map(weightsOf));
    },
  );
});

test("dwa leaves a task without a loss in an epoch out, with weight 1", () => {
  const value = { formula: "dynamic_average", value: 2, temperature: 2 } as const;
  const names = ["a", "b", "c"];
  const inputs = names.map((task) => ({
    ...{ name: `task_weight/${task}`, dtype: "float32", shape: [], role: "scalar" },
    ...{ scalar: "task_weight", task, value },
  }));
  const manifest = {
    tasks: names.map((name) => ({ name, weight: 2 })),
    graphs: { train: { file: "", purpose: "train", inputs, outputs: [] } },
  } as unknown as Manifest;
  const history = [
    { a: 1, b: 2, c: 4 },
    { a: 0.9, b: Number.NaN, c: 1 },
    { a: 0.5, b: 1, c: 1 },
  ].map((trainLoss) => ({ trainLoss }));
  const inEpoch = (epoch: number): TaskWeights => new TaskWeights(manifest, { seed: 1, epoch, history });
  const factorsOf = (epoch: number) => [
    ...inEpoch(epoch)
      .factors(9, () => true)
      .values(),
  ];
  const [a, c] = pair(0.9 / 2, 0.25 / 2);
  expectNear(factorsOf(3), [a, 1, c]);
  const [later, last] = pair(0.5 / 0.9 / 2, 1 / 2);
  expectNear(factorsOf(4), [later, 1, last]);
  expect([1, 2].map(factorsOf)).toEqual([
    [1, 1, 1],
    [1, 1, 1],
  ]);
  const weights = inEpoch(3);
  expectNear([...weights.weights(weights.factors(9, () => true)).values()], [2 * a, 2, 2 * c]);
});

test.each(["dynamic_average", "random_softmax"])(
  "%s: a task of weight 0 has no share of the factors",
  (formula) => {
    const values = { a: 1, idle: 0, c: 2 };
    const inputs = Object.entries(values).map(([task, value]) => ({
      ...{ name: `task_weight/${task}`, dtype: "float32", shape: [], role: "scalar" },
      ...{ scalar: "task_weight", task, value: { formula, value, temperature: 2, stream: "combine rlw" } },
    }));
    const manifest = {
      tasks: Object.entries(values).map(([name, weight]) => ({ name, weight })),
      graphs: { train: { file: "", purpose: "train", inputs, outputs: [] } },
    } as unknown as Manifest;
    const history = [1, 0.5].map((share) => ({ trainLoss: { a: share, idle: 3, c: share ** 2 } }));
    const weights = new TaskWeights(manifest, { seed: 3, epoch: 3, history });
    const factors = weights.factors(7, () => true);
    expect([...factors.keys()]).toEqual(["a", "c"]);
    const wanted =
      formula === "dynamic_average"
        ? pair(0.5 / 2, 0.25 / 2)
        : pair(normalNumber(3, "combine rlw", 7, 0), normalNumber(3, "combine rlw", 7, 2));
    expectNear([...factors.values()], wanted);
    expectNear([...weights.weights(factors).values()], [wanted[0], 0, 2 * wanted[1]]);
  },
);

describe.each([1, 2])("rlw in %i micro-batches", (accumulate) => {
  const rlw = { combine: "rlw", accumulate } as const;

  test("weighs each step by normal numbers of its stream", async () => {
    const { history, events, hash } = await trainTo({ ...rlw, logdir: join(folder, `rlw-${accumulate}`) }, 2);
    const wanted = events.map((_, step) =>
      pair(normalNumber(5, "combine rlw", step, 0), normalNumber(5, "combine rlw", step, 1)),
    );
    expect(wanted.length).toBe(2 * STEPS);
    for (const [i, event] of events.entries()) expectNear(weightsOf(event), wanted[i] ?? []);
    for (const [i, report] of history.entries()) {
      const ofEpoch = wanted.slice(i * STEPS, (i + 1) * STEPS);
      const mean = [0, 1].map((t) => ofEpoch.reduce((sum, weights) => sum + (weights[t] ?? 0), 0) / STEPS);
      expectNear(weightsOf(report), mean);
    }
    const again = await trainTo({ ...rlw, logdir: join(folder, `again-${accumulate}`) }, 2);
    expect(again.hash).toBe(hash);
    const seeded = await trainTo({ ...rlw, seed: 6, logdir: join(folder, `seed-${accumulate}`) }, 2);
    expect(seeded.events.map(weightsOf)).not.toEqual(events.map(weightsOf));
  });

  test("cut in the middle of an epoch it ends with the same bits and figures", async () => {
    const whole = await trainTo({ ...rlw, logdir: join(folder, `rlw-whole-${accumulate}`) }, 2);
    const logdir = join(folder, `rlw-cut-${accumulate}`);
    await trainTo({ ...rlw, logdir }, 2, { stopAt: 5 });
    const rest = await trainTo({ ...rlw, logdir }, 2, { resume: true });
    expect(rest.hash).toBe(whole.hash);
    expect(rest.history.map(weightsOf)).toEqual(whole.history.map(weightsOf));
    expect(rest.events.map(weightsOf)).toEqual(whole.events.slice(5).map(weightsOf));
  });
});

describe.each<[string, Partial<TrainerOptions>]>([
  ["as a whole", {}],
  ["in micro-batches", { accumulate: 2 }],
  ["in micro-batches, on features", { accumulate: 2, train_fcn: false, cache_features: true }],
])("famo on a batch %s", (name, more) => {
  const famo = { ...more, combine: { method: "famo", rate: 0.2 }, task_weights: null } as const;

  test("tells weights whose sum is 1, and cut in the middle of an epoch it ends with the same bits", async () => {
    const whole = await trainTo({ ...famo, logdir: join(folder, `famo ${name}`) }, 2);
    expect(whole.events.length).toBe(2 * STEPS);
    for (const [i, event] of whole.events.entries()) {
      const [hue, stripes] = weightsOf(event);
      expect(Math.abs((hue ?? 0) + (stripes ?? 0) - 1)).toBeLessThan(BOUND_FLOAT32);
      // Weights of the first step are by the losses alone.
      if (i > 0) expect(hue).not.toBe(weightsOf(whole.events[0] ?? {})[0]);
    }
    for (const [i, report] of whole.history.entries()) {
      const ofEpoch = whole.events.slice(i * STEPS, (i + 1) * STEPS).map(weightsOf);
      const mean = [0, 1].map((t) => ofEpoch.reduce((sum, weights) => sum + (weights[t] ?? 0), 0) / STEPS);
      expectNear(weightsOf(report), mean);
    }
    const logdir = join(folder, `famo cut ${name}`);
    await trainTo({ ...famo, logdir }, 2, { stopAt: 5 });
    const rest = await trainTo({ ...famo, logdir }, 2, { resume: true });
    expect(rest.hash).toBe(whole.hash);
    expect(rest.history.map(weightsOf)).toEqual(whole.history.map(weightsOf));
    const { tensors } = await loadNewestCheckpoint(logdir);
    const logits = tensors.get("combine.logits");
    expect(logits?.shape).toEqual([2]);
    expect(logits?.data.some((byte) => byte !== 0)).toBe(true);
  });
});

describe.each<[string, Partial<TrainerOptions>]>([
  ["of images", { accumulate: 2 }],
  ["of features", { accumulate: 4, train_fcn: false, cache_features: true }],
])("famo in micro-batches %s", (name, more) => {
  const famo = { ...more, combine: { method: "famo", rate: 0.2 }, task_weights: null } as const;

  test("ends an epoch with the figures of the whole batch's steps", async () => {
    const own = { ...famo, batchnorm: false };
    const [parts, whole] = [own, { ...own, accumulate: 1 }];
    const [found, wanted] = [
      await trainTo({ ...parts, logdir: join(folder, `famo parts ${name}`) }, 1),
      await trainTo({ ...whole, logdir: join(folder, `famo whole ${name}`) }, 1),
    ];
    for (const [task, loss] of Object.entries(wanted.history[0]?.trainLoss ?? {}))
      expect(Math.abs((found.history[0]?.trainLoss[task] ?? Number.NaN) / loss - 1)).toBeLessThan(
        MICRO_BATCHES,
      );
    expect(found.events.at(-1)?.sums.hue?.count).toBe(wanted.events.at(-1)?.sums.hue?.count);
    const [weights, wholes] = [found, wanted].map(({ history }) => weightsOf(history[0] ?? {}));
    for (const [i, weight] of (wholes ?? []).entries())
      expect(Math.abs((weights?.[i] ?? Number.NaN) - (weight ?? 0))).toBeLessThan(MICRO_BATCHES);
  });
});

test("rlw weighs the tasks with a label in the batch alone", async () => {
  const rows = options.train_labels as { hue: string | null }[];
  const train = rows.map((row, i) => (i === 2 ? row : { ...row, hue: null }));
  const more = { train_labels: train, classes: { hue: ["red", "green", "blue"] }, balance_probs: false };
  const { events } = await trainTo({ ...more, combine: "rlw", logdir: join(folder, "alone") } as never, 2);
  let [isThere, seen] = [0, 0];
  for (const event of events) {
    const count = event.sums.hue?.count ?? 0;
    const before = event.step === 1 ? 0 : seen;
    seen = count;
    const [hue, stripes] = weightsOf(event);
    if (count === before) expect([hue, stripes]).toEqual([undefined, 1]);
    else {
      isThere++;
      expect(Math.abs((hue ?? 0) + (stripes ?? 0) - 2)).toBeLessThan(WEIGHT_FLOAT64);
    }
  }
  expect(isThere).toBeGreaterThan(0);
  expect(isThere).toBeLessThan(events.length);
});
