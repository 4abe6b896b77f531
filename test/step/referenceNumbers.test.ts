// Numbers worked out elsewhere in double precision (facts of the project, sections 4.1 and 4.2), found again
// by the compiled graphs: uncertainty weighting in patchwork's form, e^-s L + s/2, and the masked
// cross-entropy.
import { describe, expect, test } from "vitest";
import { appendGradients } from "../../compiler/autodiff/reverse.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { buildObjective } from "../../compiler/model/objective.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { openTask } from "../../compiler/tasks/openTask.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { runOnOrt } from "../ops/runOnOrt.ts";
import { REFERENCE_DIGITS, REFERENCE_FLOAT32, SIX_DIGITS } from "../tolerances.ts";
import {
  type Batch,
  compileExperiment,
  initialState,
  nextState,
  randomBatch,
  tensorOf,
  train,
} from "./experiment.ts";
import { type GraphRunner, RUNTIMES, type Tensors, withRunner } from "./graphRunner.ts";

const LOSSES = { one: 2, two: 0.5 };
const TASKS = ["one", "two"] as const;
const S = [0.3, -0.4];

function array(dtype: NDArray["dtype"], shape: readonly number[], numbers: readonly number[]): NDArray {
  return { dtype, shape, data: Float64Array.from(numbers) };
}

const scalar = (value: number) => array("float32", [], [value]);

function expectNumbers(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  expected.forEach((value, i) => {
    expect(Math.abs((actual[i] ?? Number.NaN) - value), `number ${i}`).toBeLessThan(tolerance);
  });
}

describe.each(RUNTIMES)("uncertainty weighting on %s", (runtime) => {
  const traced = compileExperiment({ task_weights: "adaptive", optimizer: "momentum" }, { one: 2, two: 2 });
  const { bundle } = traced;
  const tolerance = runtime === "ONNX Runtime" ? REFERENCE_FLOAT32 : REFERENCE_DIGITS;

  /** A state whose logits are (0, log(e^L - 1)) for every image, so that label 0 costs L; s as given. */
  function stateWith(s: readonly number[]): Map<string, NDArray> {
    const state = initialState(bundle);
    TASKS.forEach((task, i) => {
      const kernel = tensorOf(state, `tasks.${task}.dense.kernel`);
      state.set(`tasks.${task}.dense.kernel`, { ...kernel, data: kernel.data.map(() => 0) });
      const logit = Math.log(Math.exp(LOSSES[task]) - 1);
      state.set(`tasks.${task}.dense.bias`, array("float32", [2], [0, logit]));
      state.set(`tasks.${task}.log_variance`, scalar(s[i] ?? Number.NaN));
    });
    return state;
  }

  /** Every row labelled 0, or not at all. */
  function batchWith(present: readonly boolean[]): Batch {
    const batch = new Map(randomBatch(bundle, "numbers"));
    TASKS.forEach((task, i) => {
      batch.set(`label/${task}`, array("int64", [4], new Array(4).fill(present[i] ? 0 : -1)));
    });
    return batch;
  }

  /** s after one step of plain gradient descent: with velocity 0, momentum's first step is one. */
  function descend(
    run: GraphRunner,
    s: readonly number[],
    present: readonly boolean[],
    rate: number,
  ): number[] {
    const outputs = train(run, bundle, stateWith(s), batchWith(present), rate);
    return TASKS.map((task) => tensorOf(outputs, `next/tasks.${task}.log_variance`).data[0] ?? Number.NaN);
  }

  const slopes = (run: GraphRunner, s: readonly number[], present = [true, true]) =>
    descend(run, s, present, 1).map((next, i) => (s[i] ?? Number.NaN) - next);

  test("the losses are those of the example", () => {
    withRunner(runtime, traced, (run) => {
      const outputs = train(run, bundle, stateWith(S), batchWith([true, true]), 0);
      const means = TASKS.map((task) => (tensorOf(outputs, `loss_sum/${task}`).data[0] ?? 0) / 4);
      expectNumbers(means, [2, 0.5], tolerance);
    });
  });

  test("gradients with respect to s", () => {
    withRunner(runtime, traced, (run) => {
      expectNumbers(slopes(run, S), [-0.981636441, -0.245912349], tolerance);
    });
  });

  test("are zero at s = ln 2L", () => {
    withRunner(runtime, traced, (run) => {
      expectNumbers(slopes(run, [Math.log(4), Math.log(1)]), [0, 0], tolerance);
    });
  });

  test("the presence gate: a task without labels has no gradient", () => {
    withRunner(runtime, traced, (run) => {
      expectNumbers(slopes(run, S, [true, false]), [-0.981636441, 0], tolerance);
    });
  });

  test("one step of gradient descent at 0.1 from the start value 1", () => {
    withRunner(runtime, traced, (run) => {
      expectNumbers(descend(run, [1, 1], [true, true], 0.1), [1.023576, 0.968394], SIX_DIGITS);
    });
  });

  test("ten steps without labels leave s at 1, where the ungated form drifts to 0.5", () => {
    withRunner(runtime, traced, (run) => {
      let state: Tensors = stateWith([1, 1]);
      for (let step = 0; step < 10; step++)
        state = nextState(state, train(run, bundle, state, batchWith([true, false]), 0.1));
      expect(tensorOf(state, "tasks.two.log_variance").data[0]).toBe(1);
      expect(tensorOf(state, "tasks.one.log_variance").data[0]).not.toBe(1);
    });
  });
});

describe("totals of uncertainty weighting", () => {
  /** The objective of the graphs for losses that are given, and the s/2 of the tasks that are present. */
  function total(losses: readonly number[], s: readonly number[], present = [true, true]): number {
    const spec = resolveSpec({ tasks: [...TASKS], fcn: { layers: [1] }, task_weights: "adaptive" });
    const b = new GraphBuilder("objective", OPS);
    const feeds = new Map<string, NDArray>();
    const given = new Map(
      TASKS.map((task, i) => {
        const lossSum = b.input(`loss/${task}`, "float32", []);
        feeds.set(lossSum.name, scalar(4 * (losses[i] ?? 0)));
        feeds.set(`inv_count/${task}`, scalar(present[i] ? 1 / 4 : 0));
        feeds.set(`tasks.${task}.log_variance`, scalar(s[i] ?? Number.NaN));
        return [openTask({ task, classes: ["a", "b"] }), { objective: lossSum, figures: {} }];
      }),
    );
    const source = (_: GraphBuilder, { name }: { name: string }) => b.input(name, "float32", []);
    b.output("objective", buildObjective(b, spec, given, source).total);
    const objective = interpret(b.build(), feeds).get("objective")?.data[0] ?? Number.NaN;
    return s.reduce((sum, value, i) => sum + (present[i] ? value / 2 : 0), objective);
  }

  test.each([
    ["at s = (0.3, -0.4)", S, [true, true], 2.17754879],
    ["at the start, s = (1, 1)", [1, 1], [true, true], 1.919698603],
    ["with the second task absent", S, [true, false], 1.631636441],
    ["at the minimum, s = ln 2L", [Math.log(4), 0], [true, true], 1 + Math.log(4) / 2],
  ])("%s", (_, s, present, expected) => {
    expectNumbers([total([2, 0.5], s, present)], [expected], REFERENCE_DIGITS);
  });
});

describe("masked cross-entropy", () => {
  const library = OrtLibrary.open();
  const LOGITS = [2, 1, 0, 0, 0, 0, 1, -1, 3, 0.5, 0.2, -0.1];
  const LABELS = [0, -1, 2, 1];

  /** Summed loss, count and the gradient of lossSum * inverseCount, on both runtimes. */
  function run(logits: readonly number[], labels: readonly number[], inverseCount: number) {
    const rows = labels.length;
    const b = new GraphBuilder("loss", OPS);
    const [x, y] = [b.input("logits", "float32", [rows, 3]), b.input("labels", "int64", [rows])];
    const [lossSum, count] = b.emitAll("MaskedCrossEntropy", [x, y], {}, 3);
    if (!lossSum || !count) throw new Error("three outputs");
    const mean = b.mul(lossSum, b.input("inv_count", "float32", []));
    b.output("lossSum", lossSum);
    b.output("count", count);
    b.output("gradient", appendGradients(b, mean, [x]).get(x) ?? x);
    const graph = b.build();
    const feeds = new Map([
      ["logits", array("float32", [rows, 3], logits)],
      ["labels", array("int64", [rows], labels)],
      ["inv_count", scalar(inverseCount)],
    ]);
    const results = [
      { outputs: interpret(graph, feeds), tolerance: REFERENCE_DIGITS },
      { outputs: runOnOrt(library, graph, feeds, OPS), tolerance: REFERENCE_FLOAT32 },
    ];
    return results.map(({ outputs, tolerance }) => {
      const numbers = (name: string) => Array.from(tensorOf(outputs, name).data);
      return {
        lossSum: numbers("lossSum"),
        count: numbers("count")[0],
        gradient: numbers("gradient"),
        tolerance,
      };
    });
  }

  test("losses of the rows, one by one", () => {
    [0.407605964, 0, 0.142931628, 1.12839017].forEach((expected, row) => {
      const only = LABELS.map((label, i) => (i === row ? label : -1));
      for (const { lossSum, count, tolerance } of run(LOGITS, only, 1)) {
        expectNumbers(lossSum, [expected], tolerance);
        expect(count).toBe(row === 1 ? 0 : 1);
      }
    });
  });

  test("the mean over labelled rows and its gradient", () => {
    for (const { lossSum, count, gradient, tolerance } of run(LOGITS, LABELS, 1 / 3)) {
      expect(count).toBe(3);
      expectNumbers(
        lossSum.map((sum) => sum / 3),
        [0.559642588],
        tolerance,
      );
      expectNumbers(
        gradient,
        [
          -0.111586348, 0.081576157, 0.030010191, 0, 0, 0, 0.039103476, 0.00529208, -0.044395556, 0.145583939,
          -0.225482099, 0.07989816,
        ],
        tolerance,
      );
      expect(gradient.slice(3, 6).every((x) => x === 0)).toBe(true);
    }
  });

  test("micro-batches of two weigh 1/3 and 2/3, their plain mean is wrong", () => {
    const first = run(LOGITS.slice(0, 6), LABELS.slice(0, 2), 1);
    const second = run(LOGITS.slice(6), LABELS.slice(2), 1);
    first.forEach(({ lossSum: [a = Number.NaN], count: rowsA = 0, tolerance }, i) => {
      const { lossSum: [b = Number.NaN] = [], count: rowsB = 0 } = second[i] ?? {};
      expectNumbers([a / rowsA, b / rowsB], [0.407605964, 0.635660899], tolerance);
      expectNumbers([(a / rowsA + b / rowsB) / 2], [0.521633432], tolerance);
      expectNumbers([a / 3 + b / 3], [0.559642588], tolerance);
    });
  });

  test("a batch without labels: loss 0, gradient exactly 0, whatever the logits", () => {
    const wild = [1e30, Number.POSITIVE_INFINITY, -1e30, ...LOGITS.slice(3)];
    for (const logits of [LOGITS, wild])
      for (const { lossSum, count, gradient } of run(logits, [-1, -1, -1, -1], 0)) {
        expect(Math.abs(lossSum[0] ?? Number.NaN)).toBe(0);
        expect(count).toBe(0);
        expect(gradient.every((x) => x === 0)).toBe(true);
      }
  });
});
