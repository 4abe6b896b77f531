// Stored positions: a table with a row for each token, or a number for each pair of them, has the size of the
// images that the network was made for. Another size of images does not fit, and the fault says which does.
import type { Shape, Value } from "../../ir/types.ts";
import type { NodeCall } from "./nodeCall.ts";

/** Class and register tokens that networks put before the grid. */
const MAX_OTHER_TOKENS = 16;

/**
 * E_MODEL_SHAPE with the size of images that fits, where an operator works element by element on tokens of
 * the image and on stored numbers of another number of tokens.
 */
export function refusePositions(node: NodeCall, inputs: readonly (Value | undefined)[]): void {
  const [a, b] = inputs;
  if (!a || !b || inputs.length !== 2) return;
  const isStored = (value: Value) => node.b.constantData(value) !== undefined || node.ctx.weights.has(value);
  if (isStored(a) === isStored(b)) return;
  const [tokens, stored] = isStored(a) ? [b, a] : [a, b];
  const [side, found] = [squareSide(node.ctx.image?.type.shape ?? []), tokens.type.shape.at(-2)];
  const kept = stored.type.shape.at(-2);
  if (stored.type.shape.length < 2 || typeof found !== "number" || typeof kept !== "number") return;
  if (side === undefined || found === kept || kept === 1 || found === 1) return;
  const fitting = fittingSide([side, found, kept], strides(node));
  if (fitting === undefined) return;
  node.fail(
    "E_MODEL_SHAPE",
    `the positions that the file holds are those of images of ${fitting}x${fitting} pixels: ${kept} tokens; ` +
      `images of ${side}x${side} give ${found}`,
    `take imshape: [${fitting}, ${fitting}], or export the network for images of ${side}x${side}`,
  );
}

/** Height of square images of [N,C,H,W] or [N,H,W,C]. */
function squareSide([, first, second, third]: Shape): number | undefined {
  const side = second === third ? second : second === first ? first : undefined;
  return typeof side === "number" ? side : undefined;
}

/** Strides of the convolutions so far, the largest first: that of a patch embedding among them. */
function strides({ b }: NodeCall): readonly number[] {
  const found = b.nodes.flatMap(({ attrs }) =>
    Array.isArray(attrs.strides) ? [Number(attrs.strides[0])] : [],
  );
  return [...new Set(found)].sort((x, y) => y - x);
}

/**
 * Side of the images that give `kept` tokens, where those of `side` give `found`; the grids are square. A
 * patch is as large as a convolution's stride, or else what divides the image.
 */
function fittingSide(
  [side, found, kept]: readonly [side: number, found: number, kept: number],
  steps: readonly number[],
): number | undefined {
  for (let others = 0; others <= MAX_OTHER_TOKENS; others++) {
    const [grid, wanted] = [Math.sqrt(found - others), Math.sqrt(kept - others)];
    if (!(Number.isInteger(grid) && Number.isInteger(wanted) && grid > 1 && wanted > 1)) continue;
    const patch = [...steps, side / grid].find((each) => Math.floor(side / each) === grid);
    if (patch !== undefined && Number.isInteger(patch)) return wanted * patch;
  }
  return undefined;
}
