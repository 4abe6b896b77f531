// Every figure of a run under one name; nothing of a kind is known where names are made.
import { expect, test } from "vitest";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { hyperparametersOf } from "../../runtime/logs/hyperparameters.ts";
import { lossScalars } from "../../runtime/logs/lossTotals.ts";
import { epochScalars, scalarName } from "../../runtime/logs/scalars.ts";
import { StepMeans } from "../../runtime/logs/stepMeans.ts";
import { decayScalars } from "../../runtime/train/epochFigures.ts";
import { SUM_ORDER_FLOAT64 } from "../tolerances.ts";
import { epochReport, STEPS, stepEvent, TASKS, WEIGHTS } from "./loggedRun.ts";

const SPEC = { log_every: 3, batch_size: 8, distill_weight: 0 };
const FRESH = { step: 0, sums: {} };

test("an epoch gives losses, figures with their baselines, weights and what its report names", () => {
  expect(epochScalars(epochReport(2), TASKS)).toEqual({
    "train/loss/species": 0.5,
    "train/accuracy/species": 0.75,
    "val/loss/species": 1,
    "val/accuracy/species": 0.5,
    "val/majority/species": 0.5,
    "val/macro_recall/species": 0.7,
    "val/majority_recall/species": 0.5,
    "weight/species": 1,
    "train/loss/größe (m)": 0.5,
    "val/loss/größe (m)": 1,
    "val/mae/größe (m)": 0.5,
    "val/mean_mae/größe (m)": 1,
    "val/rmse/größe (m)": 1,
    "val/mean_rmse/größe (m)": 1,
    "weight/größe (m)": 1,
    wait_share: 0.25,
    lr: 0.25,
  });
});

test("names of figures are words with underscores", () => {
  const names = ["macroRecall", "microF1", "r2", "meanAveragePrecision", "mae"];
  expect(names.map((name) => scalarName("val", name, "a"))).toEqual([
    ...["val/macro_recall/a", "val/micro_f1/a", "val/r2/a", "val/mean_average_precision/a", "val/mae/a"],
  ]);
});

test("figures by step are means over the steps since the last entry, to the end of the epoch", () => {
  const means = new StepMeans({ spec: SPEC, tasks: TASKS, weights: WEIGHTS, begun: FRESH });
  const losses = [1, 2].flatMap((epoch) =>
    Array.from({ length: STEPS }, (_, i) => means.after(stepEvent(epoch, i + 1))?.["train/loss/species"]),
  );
  const third = (1 + 1 / 2 + 1 / 3) / 3;
  const next = (1 / 5 + 1 / 6 + 1 / 7) / 3;
  const rounded = losses.map((loss) => loss && Number(loss.toFixed(9)));
  const round = (value: number): number => Number(value.toFixed(9));
  expect(rounded).toEqual([
    ...[undefined, undefined, round(third), 0.25],
    ...[undefined, undefined, round(next), 0.125],
  ]);
});

test("an epoch that is gone on with counts what came before", () => {
  const means = new StepMeans({
    ...{ spec: { ...SPEC, log_every: 2 }, tasks: TASKS, weights: WEIGHTS },
    begun: { step: 2, sums: stepEvent(1, 2).sums },
  });
  means.after(stepEvent(1, 3));
  const loss = means.after(stepEvent(1, 4))?.["train/loss/species"];
  expect(loss?.toFixed(9)).toBe(((1 / 3 + 1 / 4) / 2).toFixed(9));
});

test("0 logs no step", () => {
  const means = new StepMeans({
    spec: { ...SPEC, log_every: 0 },
    tasks: TASKS,
    weights: WEIGHTS,
    begun: FRESH,
  });
  expect(means.after(stepEvent(1, STEPS))).toBeUndefined();
});

test("hyperparameters are what decides, flat", () => {
  const spec = resolveSpec({
    tasks: ["a"],
    fcn: { layers: [8, "p"] },
    augment: { zoom_scale: 0.2 },
    logdir: "x",
  });
  const found = hyperparametersOf(spec);
  expect(found).toMatchObject({ lr: 0.001, "fcn.layers": '[8,"p"]', "augment.zoom_scale": 0.2, epochs: 10 });
  expect(Object.keys(found)).not.toEqual(expect.arrayContaining(["logdir"]));
  expect(found.task_weights).toBeUndefined();
});

test("the total is what the weights make of the tasks' losses, with what a teacher adds", () => {
  const sums = {
    species: { loss_sum: 6, count: 3, distillation: 4 },
    "größe (m)": { loss_sum: 8, count: 2 },
  };
  const totals = { tasks: TASKS, isAdaptive: false, distillWeight: 0.5 };
  const weights = { species: 2, "größe (m)": 0.25 };
  const fixed = lossScalars(sums, weights, 8, totals);
  expect(fixed).toEqual({ "train/loss": 2 * 2 + 0.25 * 4 + 0.5 * 0.5, "train/distillation": 0.25 });
  // Learned: c exp(-s) L + s / 2, c being 1 of classes and 1 / 2 of numbers.
  const learned = lossScalars(sums, { species: Math.exp(-1), "größe (m)": Math.exp(2) / 2 }, 8, {
    ...totals,
    isAdaptive: true,
    distillWeight: 0,
  });
  const expected = Math.exp(-1) * 2 + 0.5 + (Math.exp(2) / 2) * 4 - 1;
  expect(Math.abs((learned["train/loss"] ?? Number.NaN) - expected)).toBeLessThan(SUM_ORDER_FLOAT64);
  expect(lossScalars(sums, { species: 1 }, 8, totals)).toEqual({ "train/distillation": 0.25 });
  const empty = lossScalars({ species: { loss_sum: 0, count: 0 } }, { species: 1 }, 8, totals);
  expect(empty).toEqual({ "train/loss": 0 });
});

test("weight decay is half the squares of the trained kernels, where the gradients have it", () => {
  const tensor = (name: string, ...numbers: number[]) => {
    const data = new Uint8Array(Float32Array.from(numbers).buffer);
    return { name, dtype: "float32", shape: [numbers.length], data } as const;
  };
  const parameter = (name: string, role: "kernel" | "bias", trained: boolean) => ({
    ...{ name, role, trained, shape: [2], part: "fcn" },
    initial: { kind: "constant", value: 0 } as const,
  });
  const parameters = [
    parameter("k", "kernel", true),
    parameter("b", "bias", true),
    parameter("f", "kernel", false),
  ];
  const tensors = [tensor("k", 3, 4), tensor("b", 9, 9), tensor("f", 9, 9), tensor("slot", 9)];
  const decay = (optimizer: "adam" | "adamw", weight_decay: number) =>
    decayScalars({ optimizer, weight_decay }, { parameters }, tensors);
  expect(decay("adam", 0.5)).toEqual({ "train/weight_decay": 6.25 });
  expect([decay("adamw", 0.5), decay("adam", 0)]).toEqual([{}, {}]);
});
