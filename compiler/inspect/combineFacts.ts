// What combining gradients, or weighing losses by factors that a step learns, costs: the step as it is beside
// that of the sum, and the gradients that it holds.
import { type Manifest, withRole } from "../bundle/manifest.ts";
import { learningOf } from "../combine/combiners.ts";
import { elementCount } from "../ir/types.ts";
import type { Spec } from "../spec/schema.ts";
import { valueBytes } from "./graphCosts.ts";

export interface CombineFacts {
  readonly method: string;
  /** Whether it works on the gradient at the shared features. */
  readonly atFeatures: boolean;
  /** Tasks whose gradients are combined. */
  readonly tasks: readonly string[];
  /** Operations of one training step (multiply-add = 2), and what the sum's would be. */
  readonly stepFlops: number;
  readonly sumFlops: number;
  /** Further forward passes that a step looks at the losses of its batch in: after its update, and before. */
  readonly looks: 0 | 1 | 2;
  /** Numbers that tasks share and train, where gradients of them are held by task; else 0. */
  readonly sharedNumbers: number;
  /** Bytes of their gradients by task, of one set. */
  readonly gradientBytes: number;
}

/** Further forward passes of a step that learns factors of losses. */
export function looksOf(spec: Spec): CombineFacts["looks"] {
  if (!learningOf(spec)) return 0;
  return spec.accumulate === 1 ? 1 : 2;
}

/** How often a step in parts runs each of its graphs. */
export function partRuns(spec: Spec): Readonly<Record<string, number>> {
  const { accumulate } = spec;
  const looks = looksOf(spec);
  const ofFactors = looks > 0 ? { losses: looks * accumulate, factors: 1 } : {};
  return { grad: accumulate, apply: 1, ...ofFactors };
}

/** Undefined where the step combines nothing. */
export function combineFacts(
  method: Omit<CombineFacts, "tasks" | "sharedNumbers" | "gradientBytes">,
  { graphs }: Pick<Manifest, "graphs">,
): CombineFacts | undefined {
  const weights = Object.values(graphs).flatMap(({ outputs }) => withRole(outputs, "gradient_weights"))[0];
  if (!weights) return undefined;
  const accumulators = withRole(graphs.grad?.inputs ?? [], "accumulator");
  const byTask = accumulators.filter(({ of, tasks }) => of !== undefined && tasks !== undefined);
  return {
    ...{ ...method, tasks: weights.tasks },
    sharedNumbers: byTask.reduce((sum, { shape }) => sum + elementCount(shape.slice(1)), 0),
    gradientBytes: byTask.reduce((sum, entry) => sum + valueBytes(entry), 0),
  };
}
