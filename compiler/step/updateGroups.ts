// Updates of many small tensors as one: a network has dozens of biases, norms' scales and small kernels of
// one shape, and each operator costs microseconds however little it computes. Their tensors are joined one
// behind the other, updated together and taken apart; the arithmetic of each number is the same.
import type { GraphBuilder } from "../ir/builder.ts";
import { elementCount, type Value } from "../ir/types.ts";
import { isDecayed, type Parameter } from "../model/parameters.ts";
import { MOST_JOINED } from "../ops/concatSplit.ts";

/**
 * Numbers of a tensor that is joined with others, at most: joining and parting move some 40 bytes a number,
 * of so many in no more time than the launches that are saved take.
 */
const MOST_NUMBERS = 2 ** 18;

/**
 * What is joined: nothing; tensors of one shape, at most MOST_JOINED, as CUDA's kernels want them; or vectors
 * of any length, as the CPU's take them, where large tensors are better left where they are.
 */
export type Joining = "nothing" | "alike" | "vectors";

/** What keeps parameters apart, beside whether they decay. */
export interface UpdateKinds {
  /** Whether the update of a kernel depends on all of its numbers. */
  readonly isPerTensor: boolean;
  /** Factor of a parameter's learning rate. */
  readonly rateOf: (parameter: Parameter) => number;
  /** Whether a parameter's gradient comes by task, where others' do not. */
  readonly isApart?: (parameter: Parameter) => boolean;
}

const PLAIN: UpdateKinds = { isPerTensor: false, rateOf: () => 1 };

/** Parameters that are updated together, in the order of their first ones; a log variance is alone. */
export function updateGroups(
  parameters: readonly Parameter[],
  joining: Joining,
  { isPerTensor, rateOf, isApart }: UpdateKinds = PLAIN,
): readonly Parameter[][] {
  const kind = (each: Parameter): string | undefined => {
    // A log variance depends on whether its task is present.
    if (each.role === "log_variance" || (isPerTensor && isDecayed(each))) return undefined;
    return `${isDecayed(each) ? "decayed" : ""} at ${rateOf(each)}${isApart?.(each) ? " by task" : ""}`;
  };
  return groupsOf(parameters, joining, kind);
}

/**
 * Tensors of one kind together as `joining` says, in the order of their first ones; each of no kind alone, and
 * each that is too large.
 */
export function groupsOf<T extends { readonly shape: readonly number[] }>(
  tensors: readonly T[],
  joining: Joining,
  kindOf: (tensor: T) => string | undefined,
): readonly T[][] {
  const most = joining === "alike" ? MOST_JOINED : Number.POSITIVE_INFINITY;
  const groups: T[][] = [];
  const open = new Map<string, T[]>();
  for (const tensor of tensors) {
    const kind = isJoined(tensor.shape, joining) ? kindOf(tensor) : undefined;
    const key = joining === "alike" ? `${tensor.shape} ${kind}` : kind;
    const group = kind === undefined ? undefined : open.get(key ?? "");
    if (group && group.length < most) {
      group.push(tensor);
      continue;
    }
    const begun = [tensor];
    groups.push(begun);
    if (kind !== undefined) open.set(key ?? "", begun);
  }
  return groups;
}

function isJoined(shape: readonly number[], joining: Joining): boolean {
  if (joining === "nothing" || elementCount(shape) > MOST_NUMBERS) return false;
  return joining === "alike" || shape.length === 1;
}

/** Tensors that are alike but for their first axis one behind the other along it; a single one as it is. */
export function join(b: GraphBuilder, values: readonly Value[]): Value {
  return values.length === 1 && values[0] ? values[0] : b.emit("Concat", values, { axis: 0 });
}

/** What `join` joined of tensors of such shapes, apart again. */
export function part(
  b: GraphBuilder,
  joined: Value,
  shapes: readonly (readonly number[])[],
): readonly Value[] {
  if (shapes.length === 1) return [joined];
  const lengths = shapes.map(([length = 1]) => length);
  return b.emitAll("Split", [joined, b.ints(lengths)], { axis: 0 }, shapes.length);
}
