// What epochs are compared by: gains over baselines, the figure that `monitor` names, the best epoch, and
// when patience is at its end.
import { describe, expect, test } from "vitest";
import { openTask } from "../../compiler/tasks/openTask.ts";
import type { EvaluationReport } from "../../runtime/infer/evaluationReport.ts";
import { BestKeeper } from "../../runtime/train/bestKeeper.ts";
import type { EpochReport } from "../../runtime/train/events.ts";
import { bestOf, gainScalars, gainsOf, isBetter, judgeOf } from "../../runtime/train/judgement.ts";
import { nothingLeft, outOfPatience, stoppedText } from "../../runtime/train/patience.ts";
import { faultsOf } from "../spec/faultsOf.ts";
import { SUM_ORDER_FLOAT64 } from "../tolerances.ts";

const TASKS = [
  openTask({ task: "species", classes: ["cat", "dog", "owl", "pig"] }),
  openTask({ task: "a/b", classes: ["x", "y"] }),
  openTask({ task: "weight", kind: "number", mean: [3], deviation: [2], loss: "l2" }),
];

/** An epoch by recall and loss of species, and R2 and MAE of weight. */
function epochOf(epoch: number, recall: number, loss: number, r2 = 0.5, mae = 1): EpochReport {
  const species = {
    labelled: 8,
    loss,
    accuracy: recall,
    macroRecall: recall,
    majority: 0.4,
    majorityRecall: 0.25,
  };
  const weight = { labelled: 8, loss, mae, meanMae: 2, rmse: 1.5, meanRmse: 3, r2 };
  const evaluation = { images: 8, tasks: { species, weight } } as unknown as EvaluationReport;
  return {
    ...{ epoch, steps: 1, seconds: 1, waitShare: 0, trainLoss: {}, trainAccuracy: {}, taskWeights: {} },
    evaluation,
  };
}

const bare = (epoch: number): EpochReport => {
  const { evaluation: _, ...rest } = epochOf(epoch, 0, 0);
  return rest;
};

describe("gains", () => {
  test("are (f - f0) / (1 - f0) of each task with figures, and their mean", () => {
    const { evaluation } = epochOf(1, 0.7, 1, 0.3);
    expect(gainsOf(evaluation, TASKS)).toEqual({
      byTask: { species: (0.7 - 0.25) / 0.75, weight: 0.3 },
      mean: ((0.7 - 0.25) / 0.75 + 0.3) / 2,
    });
    expect(gainScalars(evaluation, TASKS)).toEqual({
      ...{ "gain/species": (0.7 - 0.25) / 0.75, "gain/weight": 0.3 },
      gain: ((0.7 - 0.25) / 0.75 + 0.3) / 2,
    });
  });

  test("leave out what has no number, and are none without validation", () => {
    expect(gainScalars(epochOf(1, Number.NaN, 1, Number.NaN).evaluation, TASKS)).toEqual({});
    expect(gainsOf(undefined, TASKS)).toEqual({ byTask: {}, mean: undefined });
  });
});

describe("monitor", () => {
  test.each([
    ["gain", false, (0.7 - 0.25) / 0.75 / 2 + 0.15],
    ["gain/species", false, (0.7 - 0.25) / 0.75],
    ["species/gain", false, (0.7 - 0.25) / 0.75],
    ["species/macro_recall", false, 0.7],
    ["species/macroRecall", false, 0.7],
    ["Species/Loss", true, 1.5],
    ["weight/mae", true, 0.25],
    ["weight/rmse", true, 1.5],
    ["weight/r2", false, 0.3],
  ])("%s falls: %s", (monitor, falls, value) => {
    const judge = judgeOf(monitor, TASKS);
    expect(judge.falls).toBe(falls);
    expect(Math.abs(judge.valueIn(epochOf(1, 0.7, 1.5, 0.3, 0.25)) - value)).toBeLessThan(SUM_ORDER_FLOAT64);
    expect(judge.valueIn(bare(1))).toBeNaN();
  });

  test("knows tasks whose names have a slash", () => {
    expect(judgeOf("a/b/loss", TASKS).task).toBe("a/b");
    expect(judgeOf("gain/a/b", TASKS).task).toBe("a/b");
  });

  test.each([
    ["species/macrorecal", /species\/macro_recall/],
    ["specis/loss", /species\/loss/],
    ["gian", /gain/],
    ["species/majority", /species/],
    ["loss", /species\/loss/],
  ])("%s is refused with the nearest name", (monitor, hint) => {
    const [fault] = faultsOf(() => judgeOf(monitor, TASKS));
    expect(fault).toMatchObject({ code: "E_CONFIG", at: { path: "monitor" } });
    expect(fault?.message).toContain(JSON.stringify(monitor));
    expect(fault?.hint).toMatch(hint);
  });

  test("NaN is never the best, and the first of equal ones is", () => {
    expect([isBetter({ falls: true }, 1, 2), isBetter({ falls: false }, 1, 2)]).toEqual([true, false]);
    expect(isBetter({ falls: true }, Number.NaN, 2)).toBe(false);
    expect(isBetter({ falls: true }, 5, Number.NaN)).toBe(true);
    const history = [epochOf(1, 0.3, Number.NaN), epochOf(2, 0.9, 2), epochOf(3, 0.9, 1), epochOf(4, 0.5, 1)];
    expect(bestOf(history, judgeOf("species/accuracy", TASKS))).toBe(1);
    expect(bestOf(history, judgeOf("species/loss", TASKS))).toBe(2);
    expect(bestOf([bare(1), bare(2)], judgeOf("gain", TASKS))).toBeUndefined();
  });
});

describe("patience", () => {
  const judge = judgeOf("species/accuracy", TASKS);
  const history = [0.3, 0.6, 0.5, 0.6, 0.4].map((recall, i) => epochOf(i + 1, recall, 1));
  const waiting = (epochs: number, patience: number | null, since = 0) =>
    outOfPatience({ history: history.slice(0, epochs), judge, patience, since });

  test("ends when so many epochs were no better than the best", () => {
    expect([waiting(3, 3), waiting(4, 3), waiting(5, 4), waiting(5, null)]).toEqual(Array(4).fill(undefined));
    expect(waiting(5, 3)).toBe(
      "species/accuracy has not risen for 3 epochs (patience); the best is epoch 2, 0.6000",
    );
    expect(waiting(3, 1)).toContain("has not risen for an epoch");
  });

  test("begins anew when the rate is changed", () => {
    expect(waiting(5, 3, 4)).toBeUndefined();
    expect(waiting(5, 3, 2)).toBeDefined();
  });

  test("never ends where no epoch has a value", () => {
    const none = [bare(1), bare(2), bare(3)];
    expect(outOfPatience({ history: none, judge, patience: 1, since: 0 })).toBeUndefined();
  });

  test("says what stopped and how to go on", () => {
    const reason = waiting(5, 3) ?? "";
    expect(stoppedText(reason, 5)).toMatch(/^stopped after epoch 5: species\/accuracy/);
    expect(nothingLeft(reason, 5)).toMatch(/nothing is trained: .*epoch 5.*patience.*--resume --lr/);
  });
});

describe("the best checkpoint's keeper", () => {
  const judge = judgeOf("species/accuracy", TASKS);
  const named = (...epochs: number[]) => new Map(epochs.map((epoch) => [epoch, `epoch-000${epoch}`]));

  test("marks the first of the best, and only those that stand", () => {
    const keeper = new BestKeeper(judge);
    const marks = [0.3, 0.6, 0.5, 0.6].map((recall, i) => {
      const mark = keeper.markOf(epochOf(i + 1, recall, 1));
      keeper.stands(`epoch-000${i + 1}`);
      return mark;
    });
    expect(marks).toEqual(["this", "this", "epoch-0002", "epoch-0002"]);
    expect(keeper.markOf(undefined)).toBe("epoch-0002");
    // The save of a better one fails: the next is compared with what stands.
    expect(keeper.markOf(epochOf(5, 0.9, 1))).toBe("this");
    expect(keeper.markOf(epochOf(6, 0.7, 1))).toBe("this");
  });

  test("takes a run up: of the checkpoints that stand the best is marked, and a lost best is told", () => {
    const history = [0.9, 0.3, 0.6, 0.5].map((recall, i) => epochOf(i + 1, recall, 1));
    const keeper = new BestKeeper(judge);
    expect(keeper.goOn(history, named(1, 2, 3, 4))).toBeUndefined();
    expect(keeper.markOf(epochOf(5, 0.7, 1))).toBe("epoch-0001");
    expect(keeper.goOn(history, named(2, 3, 4))).toMatch(/best epoch so far, 1, has no checkpoint any more/);
    expect(keeper.markOf(undefined)).toBe("epoch-0003");
    expect(keeper.markOf(epochOf(5, 0.7, 1))).toBe("this");
  });

  test("marks nothing where the newest is kept, or nothing was validated", () => {
    expect(new BestKeeper(undefined).markOf(epochOf(1, 0.9, 1))).toBeUndefined();
    const keeper = new BestKeeper(judge);
    expect(keeper.goOn([bare(1)], named(1))).toBeUndefined();
    expect(keeper.markOf(bare(2))).toBeUndefined();
  });
});
