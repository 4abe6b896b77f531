// Every figure of a run under one name; nothing of a kind is known where names are made.
import { expect, test } from "vitest";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { openTask } from "../../compiler/tasks/openTask.ts";
import { hyperparametersOf } from "../../runtime/logs/hyperparameters.ts";
import { epochScalars, scalarName } from "../../runtime/logs/scalars.ts";
import { StepMeans } from "../../runtime/logs/stepMeans.ts";
import { epochReport, STEPS, stepEvent } from "./loggedRun.ts";

const TASKS = [
  openTask({ task: "species", classes: ["cat", "dog"] }),
  openTask({ task: "größe (m)", kind: "number", mean: [1], deviation: [2], loss: "l2" }),
];

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
  const means = new StepMeans(3, TASKS, { step: 0, sums: {} });
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
  const means = new StepMeans(2, TASKS, { step: 2, sums: stepEvent(1, 2).sums });
  means.after(stepEvent(1, 3));
  const loss = means.after(stepEvent(1, 4))?.["train/loss/species"];
  expect(loss?.toFixed(9)).toBe(((1 / 3 + 1 / 4) / 2).toFixed(9));
});

test("0 logs no step", () => {
  const means = new StepMeans(0, TASKS, { step: 0, sums: {} });
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
