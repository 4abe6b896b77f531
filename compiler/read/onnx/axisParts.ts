// What an axis of a value is made of: the image's batch, channels, height and width, or parts of them, in
// order. A reshape splits and merges axes; following the parts says exactly what comes out: [h,w] as one axis
// are tokens, windows that were cut out of a map and put back are the map again.
import type { Dim, Shape } from "../../ir/types.ts";

export type PartKind = "batch" | "channels" | "height" | "width" | "tokens" | "unknown";

export interface AxisPart {
  readonly kind: PartKind;
  readonly size: number;
  /** Of a piece: what it was split from, which piece it is, and the sizes of all. */
  readonly whole?: AxisPart;
  readonly piece?: number;
  readonly pieces?: string;
  /** Of tokens that are not the grid alone: its height and width, and how many tokens come before it. */
  readonly grid?: readonly [height: number, width: number];
  readonly before?: number;
}

/** The parts of an axis, slowest first; none of an axis of length 1. */
export type AxisParts = readonly AxisPart[];

/** Stands for the batch where it is a symbol: no product of sizes is a multiple of it. */
const SYMBOL_SIZE = 1_000_003;

/** Elements of a dimension as a number; "4*N" is four times the batch. */
export function sizeOf(dim: Dim | undefined): number {
  if (typeof dim === "number") return dim;
  return SYMBOL_SIZE * Number(/^(\d+)\*/.exec(dim ?? "")?.[1] ?? 1);
}

export function wholePart(kind: PartKind, dim: Dim | undefined): AxisParts {
  const size = sizeOf(dim);
  return size === 1 && kind !== "batch" ? [] : [{ kind, size }];
}

/**
 * Whether a part is an axis of the image: whole, or the outer piece of it, which is the axis of a coarser map
 * where the inner ones went to the channels (patch merging) or were pooled.
 */
export function isOuter(part: AxisPart | undefined, kind: PartKind): part is AxisPart {
  if (part?.kind !== kind) return false;
  return part.whole === undefined || (part.piece === 0 && isOuter(part.whole, kind));
}

/** The parts of the axes of `to`, which holds the elements of axes made of `from` in the same order. */
export function reshapedParts(from: readonly AxisParts[], to: Shape): readonly AxisParts[] {
  const sources = from.flat();
  const cuts = sources.map((): number[] => []);
  const taken = to.map((): { source: number; cut: number }[] => []);
  let [source, left] = [-1, 1];
  const places = to.map((dim, axis) => {
    let needed = sizeOf(dim);
    while (needed > 1) {
      if (left === 1) {
        source += 1;
        left = sources[source]?.size ?? 0;
      }
      const size = needed % left === 0 ? left : left % needed === 0 ? needed : 0;
      // Sizes that do not nest: whatever comes, it is not known.
      if (size === 0) return false;
      taken[axis]?.push({ source, cut: cuts[source]?.push(size) ?? 0 });
      needed /= size;
      left /= size;
    }
    return true;
  });
  if (places.includes(false)) return to.map((dim) => wholePart("unknown", dim));
  const axes = taken.map((list) =>
    withoutPieces(
      list.flatMap(({ source: at, cut }) => {
        const part = sources[at];
        return part ? [pieceOf(part, cuts[at] ?? [], cut - 1)] : [];
      }),
    ),
  );
  return axes.map(mixed);
}

/** Channels, and inner pieces of other axes. */
function isMixed(parts: AxisParts): boolean {
  const others = parts.filter(({ kind }) => kind !== "channels");
  const isInner = others.every(({ whole, piece }) => whole !== undefined && piece !== 0);
  return parts.length > 1 && others.length < parts.length && isInner;
}

function mixed(parts: AxisParts): AxisParts {
  if (!isMixed(parts)) return parts;
  return [{ kind: "channels", size: parts.reduce((product, { size }) => product * size, 1) }];
}

function pieceOf(part: AxisPart, sizes: readonly number[], piece: number): AxisPart {
  const size = sizes[piece] ?? 1;
  if (sizes.length === 1) return part;
  if (part.kind === "channels") return { kind: "channels", size };
  if (part.kind === "unknown" || part.kind === "tokens") return { kind: "unknown", size };
  return { kind: part.kind, size, whole: part, piece, pieces: String(sizes) };
}

/** Pieces that lie in order become what they were split from. */
function withoutPieces(parts: AxisParts): AxisParts {
  const list: AxisPart[] = [];
  for (const part of parts) {
    list.push(part);
    for (let last = completed(list); last; last = completed(list)) {
      list.splice(list.length - (last.pieces ?? "").split(",").length);
      if (last.whole) list.push(last.whole);
    }
  }
  return list;
}

/** The last of `parts`, if all its pieces stand before it. */
function completed(parts: AxisParts): AxisPart | undefined {
  const last = parts.at(-1);
  const count = (last?.pieces ?? "").split(",").length;
  if (!last?.whole || last.piece !== count - 1) return undefined;
  const pieces = parts.slice(-count);
  const isWhole = pieces.every(
    ({ whole, piece, pieces: sizes }, i) => whole === last.whole && piece === i && sizes === last.pieces,
  );
  return isWhole && pieces.length === count ? last : undefined;
}
