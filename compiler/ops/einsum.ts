// Einsum: sums of products named by letters. Its derivatives are Einsums again.
import { InternalError } from "../diagnostics.ts";
import { type AttrReader, defineOp, type Op, type VjpContext } from "../ir/op.ts";
import { concreteDim, type Dim, type Shape, type Value } from "../ir/types.ts";
import { range } from "./axes.ts";
import { expectKind } from "./elementwise.ts";
import { stridesOf, viewOffsets, zerosForOutput } from "./strided.ts";

/** An equation with letters for all axes: each term has one letter for each axis of its operand. */
interface Equation {
  readonly terms: readonly string[];
  readonly result: string;
}

const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

const Einsum = defineOp("Einsum", {
  doc: "y = sum of products of the inputs as `equation` says, '...' too; letters of one size each (no broadcast)",
  source: "ONNX Einsum-12 (numpy.einsum)",
  inputs: ["x", "more*"],
  attrs: { equation: { kind: "string" } },
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    const { dtype } = ctx.input(0);
    const shapes = ctx.inputs.map((_, i) => {
      expectKind(ctx, ctx.input(i), "number");
      if (ctx.input(i).dtype !== dtype)
        ctx.fail(`expected one dtype, found ${dtype} and ${ctx.input(i).dtype}`);
      return ctx.input(i).shape;
    });
    const equation = readEquation(ctx.attrs, shapes, ctx.fail);
    const sizes = letterSizes(equation, shapes, ctx.fail);
    const shape = [...equation.result].map(
      (letter) => sizes.get(letter) ?? ctx.fail(`${letter} stands on the right only`),
    );
    return [{ dtype, shape }];
  },
  vjp: differentiateEinsum,
  evaluate: (ctx) => {
    const shapes = ctx.inputs.map((_, i) => ctx.input(i).shape);
    const equation = readEquation(ctx.attrs, shapes);
    const sizes = letterSizes(equation, shapes);
    const letters = [...sizes.keys()];
    const space = letters.map((letter) => concreteDim(sizes.get(letter)));
    // An axis of every letter; a letter that stands twice in a term walks along its diagonal.
    const offsetsOf = (term: string, shape: readonly number[]): Int32Array => {
      const strides = stridesOf(shape);
      const steps = letters.map((letter) =>
        [...term].reduce((sum, other, axis) => (other === letter ? sum + strides[axis]! : sum), 0),
      );
      return viewOffsets(space, steps);
    };
    const y = zerosForOutput(ctx);
    const into = offsetsOf(equation.result, y.shape);
    const from = equation.terms.map((term, i) => offsetsOf(term, shapes[i]!));
    into.forEach((at, k) => {
      y.data[at]! += from.reduce((product, offsets, i) => product * ctx.input(i).data[offsets[k]!]!, 1);
    });
    return [y];
  },
});

/** Without "->" the result has the letters that stand once, in order, after what the dots stand for. */
function readEquation(attrs: AttrReader, shapes: readonly Shape[], fail = invalid): Equation {
  const text = attrs.string("equation").replaceAll(/\s/g, "");
  const [left = "", right] = text.split("->");
  const given = left.split(",");
  if (given.length !== shapes.length)
    fail(`"${text}" has ${given.length} terms, there are ${shapes.length} inputs`);
  if (/[^a-zA-Z,.]/.test(left + (right ?? ""))) fail(`"${text}" holds more than letters`);
  const free = [...LETTERS].filter((letter) => !text.includes(letter));
  let dots = "";
  const terms = given.map((term, i) => {
    const rank = shapes[i]!.length;
    const count = rank - term.replace("...", "").length;
    if (count < 0 || (count > 0 && !term.includes("...")))
      fail(`"${term}" does not name the axes of [${shapes[i]}]`);
    const names = free.slice(0, count).join("");
    if (term.includes("...") && dots !== "" && names !== dots)
      fail("the dots stand for axes of different number");
    if (term.includes("...")) dots = names;
    return term.replace("...", names);
  });
  const once = [...left.replaceAll(/[,.]/g, "")].filter((letter, _, all) => isSingle(letter, all)).toSorted();
  const result = right === undefined ? dots + once.join("") : right.replace("...", dots);
  if (new Set(result).size !== result.length) fail(`"${text}" names an axis of the result twice`);
  return { terms, result };
}

function isSingle(letter: string, all: readonly string[]): boolean {
  return all.indexOf(letter) === all.lastIndexOf(letter);
}

function letterSizes({ terms }: Equation, shapes: readonly Shape[], fail = invalid): Map<string, Dim> {
  const sizes = new Map<string, Dim>();
  terms.forEach((term, i) => {
    [...term].forEach((letter, axis) => {
      const dim = shapes[i]![axis]!;
      const known = sizes.get(letter) ?? dim;
      if (known !== dim) fail(`expected one size for ${letter}, found ${known} and ${dim}`);
      sizes.set(letter, dim);
    });
  });
  return sizes;
}

/**
 * dx_i = einsum(dy, the other operands -> the letters of x_i). Letters of x_i that stand nowhere else come
 * from ones; a letter that x_i repeats (a diagonal) gets another name and is tied to the first by an
 * identity matrix.
 */
function differentiateEinsum({
  b,
  dy,
  inputs,
  input,
  attrs,
  needs,
}: VjpContext): readonly (Value | undefined)[] {
  const shapes = inputs.map((_, i) => input(i).type.shape);
  const equation = readEquation(attrs, shapes);
  const sizes = letterSizes(equation, shapes);
  const free = [...LETTERS].filter((letter) => !sizes.has(letter));
  return equation.terms.map((term, i) => {
    if (!needs[i]) return undefined;
    const terms = [equation.result, ...equation.terms.filter((_, k) => k !== i)];
    const operands = [dy, ...inputs.filter((_, k) => k !== i)];
    const known = new Set(terms.join(""));
    const names = free.values();
    const goal = [...term].map((letter, axis) => {
      const size = concreteDim(sizes.get(letter));
      if (term.indexOf(letter) < axis) {
        const name = names.next().value ?? invalid("too many letters");
        terms.push(letter + name);
        operands.push(b.constant({ dtype: dy.type.dtype, shape: [size, size], data: identity(size) }));
        return name;
      }
      if (!known.has(letter)) {
        terms.push(letter);
        const data = new Float64Array(size).fill(1);
        operands.push(b.constant({ dtype: dy.type.dtype, shape: [size], data }));
      }
      return letter;
    });
    return b.emit("Einsum", operands, { equation: `${terms.join(",")}->${goal.join("")}` });
  });
}

function identity(size: number): Float64Array {
  const data = new Float64Array(size * size);
  for (const i of range(size)) data[i * size + i] = 1;
  return data;
}

function invalid(message: string): never {
  throw new InternalError(message);
}

/** Ops of this family. */
export const PRODUCTS: readonly Op[] = [Einsum];
