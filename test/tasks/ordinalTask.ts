// A kind of tasks that mttc does not have, as whoever adds one writes it: grades 0 to K-1, each threshold
// between two of them a logistic regression (Frank and Hall, 2001).
import { z } from "zod";
import type { GraphBuilder } from "../../compiler/ir/builder.ts";
import type { Value } from "../../compiler/ir/types.ts";
import { singleAnswer } from "../../compiler/tasks/answer.ts";
import { inverseCountOf } from "../../compiler/tasks/presence.ts";
import { factsOf, type LossInputs, type Task, type TaskKind } from "../../compiler/tasks/task.ts";

const facts = z.object({ grades: z.int().min(2).max(100) });

const kind = "ordinal";

/** Grade of probabilities of being above each threshold. */
const gradeOf = (p: readonly number[]): number => p.filter((value) => value > 0.5).length;

const isGiven = (b: GraphBuilder, labels: Value) => b.emit("GreaterOrEqual", [labels, b.scalar(0, "int64")]);

export const ORDINAL: TaskKind = {
  ...{ kind, doc: "grades from 0 on", settings: {}, facts },
  describe: (task, _, { names }) => ({ task, kind, grades: 1 + Math.max(1, ...names.map(Number)) }),
  open: (description): Task => {
    const width = factsOf(facts, description).grades - 1;
    const thresholds = Float64Array.from({ length: width }, (_, i) => i + 0.5);
    const above = { name: "above", isShare: true, of: (b: GraphBuilder, y: Value) => b.emit("Sigmoid", [y]) };
    const loss = ({ b, y, labels }: LossInputs) => {
      const grade = b.emit("Unsqueeze", [b.cast(labels, "float32"), b.ints([1])]);
      const steps = b.constant({ dtype: "float32", shape: [width], data: thresholds });
      const target = b.cast(b.emit("Greater", [grade, steps]), "float32");
      const given = isGiven(b, labels);
      const cells = b.sub(b.emit("Softplus", [y]), b.mul(target, y));
      const kept = b.where(b.emit("Unsqueeze", [given, b.ints([1])]), cells, b.scalar(0));
      const objective = b.reduceSum(kept, [0, 1], 0);
      const count = b.reduceSum(b.cast(given, "float32"), [0], 0);
      return { objective, figures: { loss_sum: objective, count } };
    };
    return {
      ...{ name: description.task, kind, description, width, numbersAre: "thresholds" },
      numbers: Array.from(thresholds, (threshold) => `above ${threshold}`),
      label: {
        ...{ dtype: "int64", shape: [], encoding: "class_index", missing: -1, names: [] },
        encode: (names) => Int32Array.from(names, (name) => (/^\d+$/.test(name) ? Number(name) : -1)),
        expected: () => "a grade",
      },
      ...{ figures: ["loss_sum", "count"], loss, outputs: [above], scored: "above", served: above },
      inverseCount: (b, labels) => inverseCountOf(b, isGiven(b, labels)),
      groups: {
        ...{ names: Array.from({ length: width + 1 }, (_, i) => `${i}`), areClasses: false },
        of: (row) => Array.from(row).filter((grade) => grade >= 0),
      },
      evaluation: () => {
        const errors: number[] = [];
        return {
          add: (p, labels) => {
            for (const [row, grade] of Array.from(labels).entries())
              if (grade >= 0)
                errors.push(Math.abs(gradeOf([...p.subarray(row * width, (row + 1) * width)]) - grade));
          },
          report: () => {
            const mae = errors.reduce((sum, error) => sum + error, 0) / errors.length;
            return { labelled: errors.length, loss: mae, mae };
          },
        };
      },
      reports: { figures: [{ name: "mae", head: "MAE", epochHead: "MAE" }], gain: ({ loss: mae }) => -mae },
      answers: {
        ...singleAnswer("grade", "100", gradeOf),
        ...{ promise: "probabilities of thresholds", rule: "from 0 to 1" },
        accepts: (p) => p.every((value) => value >= 0 && value <= 1),
      },
    };
  },
};
