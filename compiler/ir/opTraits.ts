// What passes, targets and reports ask of an operator. Every operator states its precision and its axes: the
// type asks for them. What it leaves out of the rest, test/ops/opTraits.test.ts asks for where its samples
// show that it is needed.
import type { Node, Shape, Value } from "./types.ts";

/**
 * - commutative: the two inputs may be exchanged
 * - movesData: moves elements, computes nothing
 * - runningStatistics: inputs 3 and 4 are running mean and variance, which training by batches would update
 * - random: results differ between runs (never folded, never merged)
 * - pools: takes the largest, or a mean, of the pixels in a window
 * - convolves: input 1 is filters [.., .., R, S]
 * - collective: exchanges numbers with other processes, all of which must come to it in the same order
 * - scalarParameters: all inputs but the first must be scalars
 */
export type Trait =
  | "commutative"
  | "movesData"
  | "random"
  | "runningStatistics"
  | "pools"
  | "convolves"
  | "collective"
  | "scalarParameters";

/**
 * How an operator is computed in mixed precision (Micikevicius et al., arXiv 1710.03740):
 * - halves: in float16 whatever its inputs are: it takes most of the time
 * - follows: exact or harmless in float16, computed in it where what flows through it is float16 already.
 *   Sums over many elements, exponentials, logarithms, powers and divisions are not
 * - rounds: in float32, but what it hands on (its first output) is an activation, kept in float16
 * - activations: takes these inputs in float16 and all else in float32, as in PyTorch's automatic mixed
 *   precision; both by the type that input 0 was computed in, so that they see the same one
 * - float32: in float32
 */
export type Precision =
  | "halves"
  | "follows"
  | "rounds"
  | "float32"
  | { readonly activations: readonly number[] };

/**
 * What an operator does to axes, and so how a transposition of its data T passes through it:
 * - elementwise: output element i depends on element i of the (broadcast) inputs only: f(T x) = T f(x)
 * - along: works along `axis` of its first input; alongAll: of all its inputs
 * - reduces: reduces the axes that input 1 names
 * - pads: pads axes in their order, as input 1 says; slices: cuts the axes that input 3 names
 * - reshapes: keeps the elements in their order
 * - permutes: is a transposition itself
 * - stops: no transposition passes
 */
export type AxisUse =
  | "elementwise"
  | "along"
  | "alongAll"
  | "reduces"
  | "pads"
  | "slices"
  | "reshapes"
  | "permutes"
  | "stops";

/**
 * When a node is nothing but an earlier value, to the bit (but for the sign of zero, which x + 0 loses):
 * - typeKept: it is its input where both have one type
 * - typeKeptUnstepped: so, with steps (input 4) of 1
 * - reshape: so, and one behind another is one
 * - permutation: two behind one another are one, or none
 * - involution: two behind one another are none
 * - neutral: it is its other input where one of `inputs` is this number throughout
 */
export type Identity =
  | "typeKept"
  | "typeKeptUnstepped"
  | "reshape"
  | "permutation"
  | "involution"
  | { readonly neutral: number; readonly inputs: readonly (0 | 1)[] };

/** Elements of a value or a shape, 0 of none. */
export type Sizes = (value: Value | Shape | undefined) => number;

/** Multiplications and additions of a node, a multiply-add counted as 2. */
export type FlopRule = (node: Node, size: Sizes) => number;

/** Of a gradient that is linear in a cotangent, channel by channel: where a factor of each channel may go. */
export interface ChannelGain {
  /** The input that is the cotangent, of [N,K,...]. */
  readonly cotangent: number;
  /** What takes the factor [K,1,1,1] instead: the result, or an input, both [K,...]. */
  readonly takenBy: "result" | number;
}

/** What an operator may state beside what it must. */
export interface OptionalTraits {
  /**
   * Inputs that kernels read on the host: sizes, axes, bounds. Computed ones would be copied back from a
   * device and waited for.
   */
  readonly hostInputs: readonly number[];
  /** What it costs; undefined where that is next to nothing beside convolutions and products. */
  readonly flops: FlopRule | undefined;
  readonly identity: Identity | undefined;
  readonly channelGain: ChannelGain | undefined;
}

/** What every operator states. */
export interface OpTraits extends OptionalTraits {
  readonly traits: readonly Trait[];
  readonly precision: Precision;
  readonly axes: AxisUse;
}
