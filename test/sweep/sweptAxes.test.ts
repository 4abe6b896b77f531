// What a sweep varies: texts of the command line -> axes, points and rounds.
import { describe, expect, it } from "vitest";
import { MttcError } from "../../compiler/diagnostics.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { best, epochsOf, halvingRounds } from "../../runtime/sweep/halving.ts";
import { gridPoints, randomPoints, specsOf } from "../../runtime/sweep/points.ts";
import { gridValues, parseAxes, valueAt } from "../../runtime/sweep/sweptAxes.ts";
import { experimentFromSpec } from "../../runtime/train/experiment.ts";

function faultsOf(texts: readonly string[]): string[] {
  try {
    parseAxes(texts);
  } catch (error) {
    if (error instanceof MttcError)
      return error.faults.map(({ message, hint }) => `${message} ${hint ?? ""}`);
    throw error;
  }
  return [];
}

describe("axes", () => {
  it("are ranges of numbers, over logarithms too, and lists of anything", () => {
    expect(parseAxes(["lr=1e-4..1e-2:log", "shared_layers=[[64], [128, p]]", "dropout_rate=0..1"])).toEqual([
      { key: "lr", low: 1e-4, high: 1e-2, scale: "log", isInteger: false, points: undefined },
      { key: "shared_layers", values: [[64], [128, "p"]] },
      { key: "dropout_rate", low: 0, high: 1, scale: "linear", isInteger: false, points: undefined },
    ]);
  });

  it("take whole numbers where the key does, at every depth", () => {
    expect(parseAxes(["batch_size=8..64", "augment.zoom_scale=0..1"])).toMatchObject([
      { key: "batch_size", isInteger: true },
      { key: "augment.zoom_scale", isInteger: false },
    ]);
  });

  it.each([
    [["lrr=1..2"], "no key", '"lr"'],
    [["lr=1..x"], "expected two numbers", ""],
    [["lr=2..1"], "second number", ""],
    [["lr=0..1:log"], "logarithm", ""],
    [["lr=0.1..1:lgo"], '":log" or a number of points', ""],
    [["lr"], "expected KEY=", ""],
    [["lr=[1]"], "at least two", ""],
    [["lr=[1, 1]"], "twice", ""],
    [["lr=[1, {"], "not YAML", ""],
    [["lr=a"], "expected KEY=", ""],
    [["epochs=1..3"], "differ in other keys", ""],
    [["lr=1..2", "lr=[1, 2]"], "names lr twice", ""],
    [["batch_size=1.5..3"], "whole numbers", ""],
    [[], "nothing to vary", "KEY="],
  ])("%j is refused", (texts, message, hint) => {
    const [fault = ""] = faultsOf(texts);
    expect(fault).toContain(message);
    expect(fault).toContain(hint);
  });

  it("all faults are told at once", () => {
    expect(faultsOf(["lrr=1..2", "lr=2..1", "seed=[1]"])).toHaveLength(3);
  });

  it("give values within their ends: even over logarithms, each whole number as often", () => {
    const [lr, batch] = parseAxes(["lr=1e-4..1e-2:log", "batch_size=1..4"]);
    if (!lr || !batch) throw new Error("two axes");
    const shares = Array.from({ length: 1000 }, (_, i) => i / 1000);
    const rates = shares.map((share) => Number(valueAt(lr, share)));
    const powers = [rates[0], rates[500], Math.max(...rates)].map((rate) =>
      Math.round(Math.log10(rate ?? 0)),
    );
    expect(powers).toEqual([-4, -3, -2]);
    expect(Math.round(rates.filter((rate) => rate < 0.001).length / 100)).toBe(5);
    const counts = [1, 2, 3, 4].map((n) => shares.filter((share) => valueAt(batch, share) === n).length);
    expect(counts.map((count) => Math.round(count / 10))).toEqual([25, 25, 25, 25]);
  });

  it("a grid takes ends and what lies evenly between", () => {
    const [lr] = parseAxes(["lr=1e-4..1e-2:log:3"]);
    expect(lr && gridValues(lr)).toEqual([0.0001, 0.001, 0.01]);
  });
});

describe("points", () => {
  const axes = parseAxes(["lr=1e-4..1e-2:log", "shared_layers=[[4], [8]]"]);

  it("are functions of seed, axis and place: more runs begin with the same ones", () => {
    const few = randomPoints(axes, 5, 3);
    expect(randomPoints(axes, 9, 3).slice(0, 5)).toEqual(few);
    expect(randomPoints(axes, 5, 4)).not.toEqual(few);
  });

  it("another axis changes no number of the first", () => {
    const rates = randomPoints(axes, 6, 1).map(({ lr }) => lr);
    expect(randomPoints(axes.slice(0, 1), 6, 1).map(({ lr }) => lr)).toEqual(rates);
  });

  it("of few combinations each comes once", () => {
    const lists = parseAxes(["seed=[1, 2]", "shared_layers=[[4], [8]]"]);
    expect(randomPoints(lists, 20, 0)).toHaveLength(4);
    expect(gridPoints(lists)).toHaveLength(4);
  });

  it("a grid asks how many points a range has", () => {
    expect(() => gridPoints(axes)).toThrow(/how many points lr/);
  });

  it("are checked before anything trains, every fault said once, with its values", () => {
    const spec = resolveSpec({ tasks: ["a"], fcn: { layers: [4] }, train_fcn: true });
    const experiment = experimentFromSpec(spec, "spec.yml");
    const bad = parseAxes(["batch_size=[4, 0, -1]", "accumulate=[1, 3]"]);
    const check = () => specsOf(experiment, gridPoints(bad));
    expect(check).toThrow(MttcError);
    expect(check).toThrow(/batch_size 0/);
  });
});

describe("successive halving", () => {
  it.each([
    [
      20,
      10,
      3,
      [
        [20, 2],
        [6, 4],
        [2, 10],
      ],
    ],
    [
      9,
      9,
      3,
      [
        [9, 1],
        [3, 3],
        [1, 9],
      ],
    ],
    [4, 1, 3, [[4, 1]]],
    [1, 10, 3, [[1, 10]]],
    [
      8,
      8,
      2,
      [
        [8, 1],
        [4, 2],
        [2, 4],
        [1, 8],
      ],
    ],
    [7, 5, 1, [[7, 5]]],
  ])("%i runs of %i epochs, one of %i passing", (runs, epochs, factor, rounds) => {
    const found = halvingRounds(runs, epochs, factor);
    expect(found.map((round) => [round.runs, round.epochs])).toEqual(rounds);
    expect(found.at(-1)?.epochs).toBe(epochs);
    expect(epochsOf(found)).toBeLessThanOrEqual(runs * epochs);
  });

  it("those without a number never pass; of equal ones the lower loss is better, then the first", () => {
    const judged = (scores: number[], losses: number[] = []) =>
      scores.map((score, i) => ({ score, loss: losses[i] ?? 1 }));
    expect(best(judged([0.1, Number.NaN, 0.3, 0.3, -1]), 3)).toEqual([2, 3, 0]);
    expect(best(judged([0, 0, 0], [3, 2, 2.5]), 2)).toEqual([1, 2]);
    expect(best(judged([Number.NaN, 0.2]), 2)).toEqual([1]);
  });
});
