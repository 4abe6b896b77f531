// Distillation: a teacher's probabilities for the same images pull the heads towards them. The teacher is a
// frozen graph; its weights are constants.
import { need } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Graph, Value } from "../ir/types.ts";
import { whiteLevel } from "../spec/pixelRange.ts";
import type { ModelSpec, StepSpec } from "../spec/schema.ts";
import type { Task } from "../tasks/task.ts";
import { asBytes, preprocess, scaledPixels } from "./network.ts";
import { partOfTask } from "./parameters.ts";
import { expectsBytePixels } from "./pixelArithmetic.ts";
import { replayGraph } from "./replay.ts";

export interface Teacher {
  /** One image input, one output [N, width] for each task that it knows: what that task's exports give. */
  readonly graph: Graph;
  readonly layout: "NCHW" | "NHWC";
  /** Output of the graph by task. */
  readonly outputs: ReadonlyMap<string, string>;
  /** SHA-256 of the file, for checkpoints. */
  readonly hash: string;
}

/** The figure of a training graph that tells the divergence. */
export const DISTILLATION = "distillation";

/** The largest pixel that networks for bytes expect. */
const WHITE = 255;

/** What distillation adds to a training graph. */
export interface Distillation {
  /** Float32 scalar, a term of the loss. */
  readonly objective: Value;
  /** By task the divergence summed over the images, float32 scalars. */
  readonly divergences: ReadonlyMap<string, Value>;
}

/**
 * distill_weight * sum over heads of the mean over the images of the divergence that the kind has, of classes
 * KL(teacher || student), float32 scalar (Hinton et al., arXiv 1503.02531, at temperature 1). The mean is
 * over the whole logical batch, so that micro-batches add up.
 */
export function buildDistillation(
  b: GraphBuilder,
  spec: ModelSpec & Pick<StepSpec, "distill_weight" | "batch_size">,
  teacher: Teacher,
  image: Value,
  heads: ReadonlyMap<Task, Value>,
): Distillation {
  const takesBytes = teacher.graph.inputs[0]?.type.dtype === "uint8";
  const outputs = replayGraph(b, {
    graph: teacher.graph,
    layout: teacher.layout,
    image: takesBytes ? asBytes(b, image) : teacherImage(b, spec, teacher, image),
    prefix: "teacher",
    constant: (_value, data) => b.constant(data),
  });
  const terms = [...teacher.outputs].map(([task, output]) => {
    const term = (): Value => {
      const given = need(outputs.get(output), `an output ${output}`);
      const [student, y] = need(
        [...heads].find(([{ name }]) => name === task),
        `a task ${task}`,
      );
      return need(student.distil?.(b, y, given), `a divergence of tasks of the kind ${student.kind}`);
    };
    return [task, b.within(`tasks.${task}.distillation`, term, { part: partOfTask(task) })] as const;
  });
  const objective = b.within("distillation", () => {
    const [first, ...others] = terms.map(([, term]) => term);
    const sum = others.reduce((total, term) => b.add(total, term), need(first, "a task"));
    return b.mul(sum, b.scalar(spec.distill_weight / spec.batch_size));
  });
  return { objective, divergences: new Map(terms) };
}

/** What the fcn would be given; pixels of 0 to 255 where the teacher brings such to its own scale itself. */
function teacherImage(b: GraphBuilder, spec: ModelSpec, { graph }: Teacher, image: Value): Value {
  if (!expectsBytePixels(graph)) return preprocess(b, spec, image);
  return b.within("image", () => scaledPixels(b, spec, image, WHITE / whiteLevel(spec)));
}
