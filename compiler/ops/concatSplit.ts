// Concat and Split: parts along an axis, put together and taken apart; each is the other's derivative.
import { sumDim } from "../ir/dims.ts";
import { defineOp, type Lowering, type Op } from "../ir/op.ts";
import { concreteDim, type Value } from "../ir/types.ts";
import { range, resolveAxis } from "./axes.ts";
import { fillLike } from "./elementwise.ts";
import { stridesOf, takeOffsets, viewOffsets, zerosForOutput } from "./strided.ts";

/** What the CUDA kernels of Concat and Split take without uploading lists of pointers at every run. */
export const MOST_JOINED = 32;

/**
 * Into how many equal groups, of at most MOST_JOINED each, `count` parts can be put, themselves that few;
 * undefined where one group will do, or none can.
 */
export function groupsToJoin(count: number): number | undefined {
  if (count <= MOST_JOINED) return undefined;
  for (let groups = 2; groups <= MOST_JOINED; groups++)
    if (count % groups === 0 && count / groups <= MOST_JOINED) return groups;
  return undefined;
}

/** Groups of parts first, then the groups. For as many parts of one size as groupsToJoin can divide. */
const inGroups: Lowering = ({ b, inputs, attrs }) => {
  const parts = inputs.filter((input): input is Value => input !== undefined);
  const groups = groupsToJoin(parts.length) ?? 1;
  const each = parts.length / groups;
  const axis = attrs.int("axis");
  const joined = range(groups).map((group) =>
    b.emit("Concat", parts.slice(group * each, (group + 1) * each), { axis }),
  );
  return [b.emit("Concat", joined, { axis })];
};

export const Concat = defineOp("Concat", {
  doc: "y = the inputs one behind the other along `axis`; all other sizes agree",
  source: "ONNX Concat-13",
  inputs: ["x", "more*"],
  attrs: { axis: { kind: "int" } },
  traits: ["movesData"],
  axes: "alongAll",
  precision: "follows",
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    const axis = resolveAxis(ctx.attrs.int("axis"), shape.length, ctx.fail);
    const sizes = ctx.inputs.map((_, i) => ctx.input(i).shape[axis] ?? 1);
    ctx.inputs.forEach((_, i) => {
      const type = ctx.input(i);
      const agrees = type.shape.length === shape.length && type.dtype === dtype;
      if (!agrees || type.shape.some((dim, k) => k !== axis && dim !== shape[k]))
        ctx.fail(`expected ${dtype}[${shape}] but for axis ${axis}, found ${type.dtype}[${type.shape}]`);
    });
    return [{ dtype, shape: shape.with(axis, sumDim(sizes, ctx.fail)) }];
  },
  // dx_i = the slice of dy that x_i became
  vjp: ({ b, dy, input, inputs, attrs, needs }) => {
    const axis = resolveAxis(attrs.int("axis"), input(0).type.shape.length);
    let start = 0;
    return inputs.map((_, i) => {
      const end = start + concreteDim(input(i).type.shape[axis]);
      const slice = needs[i] ? b.slice(dy, [start], [end], [axis]) : undefined;
      start = end;
      return slice;
    });
  },
  evaluate: (ctx) => {
    const y = zerosForOutput(ctx);
    const axis = resolveAxis(ctx.attrs.int("axis"), y.shape.length);
    const strides = stridesOf(y.shape);
    let start = 0;
    ctx.inputs.forEach((_, i) => {
      const x = ctx.input(i);
      const offsets = viewOffsets(x.shape, strides, start * strides[axis]!);
      for (let k = 0; k < offsets.length; k++) y.data[offsets[k]!] = x.data[k]!;
      start += x.shape[axis]!;
    });
    return [y];
  },
  lower: { inGroups },
});

const Split = defineOp("Split", {
  doc: "the parts of x along `axis`: sizes `split` (constant), or `num_outputs` equal ones, the last smaller",
  source: "ONNX Split-18",
  inputs: ["x", "split?"],
  outputs: ["y*"],
  attrs: { axis: { kind: "int", default: 0 }, num_outputs: { kind: "int", default: null } },
  traits: ["movesData"],
  axes: "along",
  precision: "follows",
  hostInputs: [1],
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    const axis = resolveAxis(ctx.attrs.int("axis"), shape.length, ctx.fail);
    const size = concreteDim(shape[axis]);
    const sizes = ctx.inputs[1] ? ctx.constant(1) : equalParts(size, ctx.attrs.int("num_outputs"));
    if (sizes.reduce((sum, part) => sum + part, 0) !== size || sizes.some((part) => part < 0))
      ctx.fail(`expected parts that add up to ${size}, found [${sizes}]`);
    return sizes.map((part) => ({ dtype, shape: shape.with(axis, part) }));
  },
  // dx = the cotangents of the parts one behind the other
  vjp: ({ b, input, outputs, cotangents, attrs }) => {
    const axis = resolveAxis(attrs.int("axis"), input(0).type.shape.length);
    const parts = outputs.map((output, i) => cotangents[i] ?? fillLike(b, 0, output));
    return [b.emit("Concat", parts, { axis }), undefined];
  },
  evaluate: (ctx) => {
    const x = ctx.input(0);
    const axis = resolveAxis(ctx.attrs.int("axis"), x.shape.length);
    const strides = stridesOf(x.shape);
    let start = 0;
    return ctx.outputs.map((_, i) => {
      const part = zerosForOutput(ctx, i);
      const data = takeOffsets(x.data, viewOffsets(part.shape, strides, start * strides[axis]!));
      start += part.shape[axis]!;
      return { ...part, data };
    });
  },
});

function equalParts(size: number, count: number): number[] {
  const part = Math.ceil(size / count);
  return range(count).map((i) => Math.max(0, Math.min(part, size - i * part)));
}

/** Ops of this family. */
export const CONCAT_SPLIT: readonly Op[] = [Concat, Split];
