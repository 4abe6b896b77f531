// Arithmetic of dimensions. A symbol stands for one size that is known when the graph runs ("N"), its
// multiples are written with the factor first ("4*N": windows, patches or heads that were merged with the
// batch). What is neither a number nor such a multiple is no dimension.
import type { Dim, Shape } from "./types.ts";

/** A dimension as factor times symbol; numbers have none. */
interface Multiple {
  readonly factor: number;
  readonly symbol: string | undefined;
}

/** "4*N" as 4 and "N"; 4 as 4 and none. */
export function splitDim(dim: Dim): Multiple {
  if (typeof dim === "number") return { factor: dim, symbol: undefined };
  const [, factor, symbol] = /^(\d+)\*(.+)$/.exec(dim) ?? [];
  return { factor: Number(factor ?? 1), symbol: symbol ?? dim };
}

/** `factor` times `symbol` as a dimension. */
export function multipleDim(factor: number, symbol: string | undefined): Dim {
  if (symbol === undefined || factor === 0) return factor;
  return factor === 1 ? symbol : `${factor}*${symbol}`;
}

/** The dimension with its symbol, whichever it is, as a size. */
export function dimAt(dim: Dim, size: number): number {
  const { factor, symbol } = splitDim(dim);
  return symbol === undefined ? factor : factor * size;
}

/**
 * Product of `dims` divided by that of `divisors`; fails unless it is a whole number or a multiple of one
 * symbol.
 */
export function quotientDim(dims: Shape, divisors: Shape, fail: (message: string) => never): Dim {
  const [over, under] = [dims.map(splitDim), divisors.map(splitDim)];
  const symbols = over.flatMap(({ symbol }) => symbol ?? []);
  for (const { symbol } of under) {
    if (symbol === undefined) continue;
    const at = symbols.indexOf(symbol);
    if (at < 0) fail(`${symbol} is not one of the sizes [${dims}]`);
    symbols.splice(at, 1);
  }
  const [above, below] = [productOf(over), productOf(under)];
  if (symbols.length > 1) fail(`the product of [${dims}] by [${divisors}] is not one size`);
  if (above === 0 && below === 0) return 0;
  if (!Number.isInteger(above / below)) fail(`[${divisors}] does not divide [${dims}]`);
  return multipleDim(above / below, symbols[0]);
}

/** Sum of dimensions; fails unless all are numbers, or multiples of one symbol. */
export function sumDim(dims: Shape, fail: (message: string) => never): Dim {
  const parts = dims.map(splitDim).filter(({ factor }) => factor !== 0);
  const symbol = parts[0]?.symbol;
  if (parts.some((part) => part.symbol !== symbol)) fail(`the sum of the sizes [${dims}] is not one size`);
  return multipleDim(
    parts.reduce((sum, { factor }) => sum + factor, 0),
    symbol,
  );
}

function productOf(parts: readonly Multiple[]): number {
  return parts.reduce((product, { factor }) => product * factor, 1);
}
