// How the gradients of several tasks become one: what a method is. A method that looks at gradients sees of
// the shared part only their Gram matrix and answers with a weight for each task, so that it is a small graph
// of its own, whatever the network is.
import type { GraphBuilder } from "../ir/builder.ts";
import type { StepDraw, TaskWeight } from "../ir/roles.ts";
import type { Value } from "../ir/types.ts";

/** A number of a method that the spec may give. */
export interface Setting {
  readonly default: number;
  /** Legal numbers, both included. */
  readonly least: number;
  readonly most: number;
  readonly doc: string;
}

/** What the weights of a step are made from, for T tasks in the order of the spec. */
export interface CombineInputs {
  /**
   * [T,T] G_ij = <g_i, g_j> of the gradients of the shared part; rows and columns of absent tasks are 0.
   * float64, made of float32 products.
   */
  readonly gram: Value;
  /** [T] of gram's dtype: 1 for tasks with a label in the logical batch, else 0. */
  readonly present: Value;
  /** The method's own numbers of the spec, defaults filled in. */
  readonly settings: Readonly<Record<string, number>>;
  /** A tensor that the host draws for the step, by its name in the method's `host`. */
  readonly host: (name: string) => Value;
}

/** What is said of every method. */
export interface MethodFacts {
  /** As the spec names it. */
  readonly name: string;
  /** One sentence for users: what it does, and how its result is scaled. */
  readonly doc: string;
  /** The paper, with its arXiv number. */
  readonly source: string;
  readonly settings: Readonly<Record<string, Setting>>;
}

/** A method that weighs gradients: combined = sum over tasks of w_t g_t in all shared parameters. */
export interface Combiner extends MethodFacts {
  readonly kind: "gradients";
  /** Tensors that the host draws for each step, by name. */
  readonly host?: Readonly<Record<string, StepDraw>>;
  /**
   * Whether the direction of the result is the same however long the gradients are: fixed weights do not
   * turn it.
   */
  readonly ignoresLengths?: boolean;
  /**
   * w [T], of gram's dtype. Fixed iterations, standard operators. What it says of absent tasks, and where
   * fewer than two tasks are present, is not looked at: emitWeights puts 0 and 1 there.
   */
  weights(b: GraphBuilder, inputs: CombineInputs): Value;
}

/**
 * A method that leaves the gradient that of a sum of losses, each with a factor: no gradient by task is
 * computed. Without `factor` and `learned` it is the spec's own weight.
 */
export interface LinearMethod extends MethodFacts {
  readonly kind: "losses";
  /** The formula that the host makes a task's factor by, where it does; `value` is the spec's own weight. */
  readonly factor?: (value: number, settings: Readonly<Record<string, number>>) => TaskWeight;
  /** Whether its factors are made of the losses of epochs before, which a state alone does not hold. */
  readonly readsEarlierLosses?: boolean;
  /** The same by gradients of tasks, where a spec may ask for it to see their Gram matrix. */
  readonly measured?: Combiner;
  /** Factors that the step makes of its losses and of state of its own, where it does. */
  readonly learned?: LearnedFactors;
}

/** Factors that lie in the state and move with each step. */
export interface LearnedFactors {
  /** Names of the state tensors, float32 [T], zeros in the beginning. */
  readonly state: readonly string[];
  /** The factors of the tasks' gradients, float64 [T]; 0 of absent tasks. */
  readonly weights: (b: GraphBuilder, inputs: LossInputs) => Value;
  /** The next state, float64, in the order of `state`. */
  readonly moved: (b: GraphBuilder, inputs: MovedLosses) => readonly Value[];
}

/** Of T tasks, float64 [T]. */
export interface LossInputs {
  /** Mean losses over the labelled rows of the batch; 0 of absent tasks. */
  readonly losses: Value;
  /** 1 for tasks with a label in the batch, else 0. */
  readonly present: Value;
  /** In the order of the method's names. */
  readonly state: readonly Value[];
  readonly settings: Readonly<Record<string, number>>;
}

export interface MovedLosses extends LossInputs {
  /** The losses of the same batch, by the parameters after the step. */
  readonly after: Value;
  /** Steps applied up to this one, int64 scalar: 1 in the first. */
  readonly step: Value;
}

/** What a linear method is by gradients of tasks: a present one once, whatever its loss was given. */
export function measuredSum(facts: MethodFacts): Combiner {
  const { name, doc, source, settings } = facts;
  return { kind: "gradients", name, doc, source, settings, weights: (_b, { present }) => present };
}

export type CombineMethod = Combiner | LinearMethod;

/**
 * The weights of a step, [T] of gram's dtype: those of the method where two tasks or more are present, else 1
 * for a present one, so that the combined gradient is then that task's own; 0 for absent tasks always.
 */
export function emitWeights(b: GraphBuilder, combiner: Combiner, inputs: CombineInputs): Value {
  const { gram, present } = inputs;
  const { dtype } = gram.type;
  const isPresent = b.emit("Greater", [present, b.scalar(0, dtype)]);
  const isAlone = b.emit("Less", [b.reduceSum(present, [0], 1), b.scalar(2, dtype)]);
  const solved = b.where(isPresent, combiner.weights(b, inputs), b.scalar(0, dtype));
  return b.where(isAlone, present, solved);
}
