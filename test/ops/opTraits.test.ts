// What operators state of themselves for passes, targets and reports holds on their samples, and what a
// sample shows is stated: an operator that forgets a trait is asked for it here.
import { describe, expect, test } from "vitest";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { inferTypes, type NDArray, type Op } from "../../compiler/ir/op.ts";
import { sameType, type TensorData } from "../../compiler/ir/types.ts";
import { kernelEntry } from "../../compiler/lower/cudaKernels.ts";
import { stridesOf, viewOffsets } from "../../compiler/ops/strided.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { type DrawnSample, drawSample } from "./sampleGraph.ts";
import { SAMPLES } from "./samples/allSamples.ts";

const ALL = [...OPS.values()];
/** Those of models; what only lowerings emit comes behind the passes that ask. */
const MODELS = ALL.filter(({ domain }) => domain === "" || domain === "mttc");

function samplesOf(op: Op): DrawnSample[] {
  return (SAMPLES[op.name] ?? []).map((sample) => drawSample(op, sample));
}

/** Outputs of the operator alone on other arrays than its sample's; undefined where they do not fit it. */
function outputsOf(
  { op, sample }: DrawnSample,
  arrays: readonly (NDArray | undefined)[],
): readonly NDArray[] | undefined {
  const b = new GraphBuilder(op.name, OPS);
  const feeds = new Map<string, NDArray>();
  try {
    const inputs = arrays.map((array, i) => {
      if (!array || sample.inputs[i]?.constant) return array && b.constant(array);
      feeds.set(`x${i}`, array);
      return b.input(`x${i}`, array.dtype, array.shape);
    });
    b.emitAll(op.name, inputs, sample.attrs, sample.outputs ?? 1).forEach((y, i) => {
      b.output(`y${i}`, y);
    });
    return [...interpret(b.build(), feeds).values()];
  } catch {
    return undefined;
  }
}

/** The array with its axes in reverse order. */
function turned({ dtype, shape, data }: NDArray): NDArray {
  const offsets = viewOffsets(shape.toReversed(), stridesOf(shape).toReversed());
  return { dtype, shape: shape.toReversed(), data: Float64Array.from(offsets, (offset) => data[offset]!) };
}

const same = (x: NDArray | undefined, y: NDArray | undefined): boolean =>
  String(x?.shape) === String(y?.shape) && x?.data.every((value, i) => Object.is(value, y?.data[i])) === true;

/**
 * Whether f(T x) = T f(x) for T that reverses axes; undefined where the sample says nothing: an output of
 * another rank than the inputs that are no scalars, or axes that all are alike.
 */
function passesTransposition(drawn: DrawnSample): boolean | undefined {
  const { arrays } = drawn;
  const given = outputsOf(drawn, arrays);
  const rank = given?.[0]?.shape.length ?? 0;
  const shapes = arrays.flatMap((array) => (array && array.shape.length > 0 ? [array.shape] : []));
  const tells = shapes.some((shape) => new Set(shape.filter((size) => size > 1)).size > 1);
  if (!given || !tells || shapes.some(({ length }) => length !== rank)) return undefined;
  const found = outputsOf(
    drawn,
    arrays.map((array) => array && turned(array)),
  );
  return given.every((y, i) => same(found?.[i], turned(y)));
}

describe("axes", () => {
  test("elementwise is said of what a transposition passes through, and of nothing else", () => {
    let told = 0;
    for (const op of MODELS) {
      const answers = samplesOf(op)
        .map(passesTransposition)
        .filter((answer) => answer !== undefined);
      told += answers.length;
      if (op.axes === "elementwise") expect(answers, op.name).not.toContain(false);
      else if (answers.length > 0) expect(answers, op.name).toContain(false);
    }
    expect(told).toBeGreaterThan(100);
  });

  test("an operator along an axis has that attribute, and one that names axes has that input", () => {
    for (const { axes, attrs, inputs, name } of ALL) {
      if (axes === "along" || axes === "alongAll") expect(attrs.axis, name).toBeDefined();
      if (axes === "reduces") expect(inputs[1], name).toMatch(/^axes/);
      if (axes === "pads") expect(inputs[1], name).toBe("pads");
      if (axes === "slices") expect(inputs[3], name).toMatch(/^axes/);
    }
  });
});

describe("precision and cost", () => {
  test("what is worth float16 says what it costs, and what costs is worth it", () => {
    for (const { name, precision, flops } of MODELS)
      expect(flops !== undefined, name).toBe(precision === "halves");
  });

  test("activations are inputs that there are", () => {
    for (const { name, precision, inputs } of ALL)
      if (typeof precision === "object")
        for (const index of precision.activations) expect(inputs[index], name).toBeDefined();
  });
});

describe("inputs that are read on the host", () => {
  /** Inputs without whose numbers the shape rule refuses, or gives another type. */
  function steering({ op, sample, arrays }: DrawnSample): number[] {
    const types = (without?: number): string => {
      const constants = arrays.map((array, i) =>
        array && sample.inputs[i]?.constant && i !== without
          ? ({ ...array, data: array.data } satisfies TensorData)
          : undefined,
      );
      try {
        const inputs = arrays.map((array) => array && { dtype: array.dtype, shape: array.shape });
        return JSON.stringify(inferTypes(op, inputs, constants, sample.attrs ?? {}, "sample"));
      } catch {
        return "refused";
      }
    };
    return arrays.flatMap((array, i) => (array && types(i) !== types() ? [i] : []));
  }

  test("are, wherever CUDA has a kernel, those that decide a shape", () => {
    let found = 0;
    for (const op of ALL.filter(({ name }) => kernelEntry(name)))
      for (const index of samplesOf(op).flatMap(steering)) {
        expect(op.hostInputs, `input ${index} of ${op.name}`).toContain(index);
        found++;
      }
    expect(found).toBeGreaterThan(30);
  });

  test("are inputs that there are", () => {
    for (const { name, hostInputs, inputs } of ALL)
      for (const index of hostInputs) expect(inputs[index], `input ${index} of ${name}`).toBeDefined();
  });
});

describe("identities hold to the bit:", () => {
  const numbers: NDArray = { dtype: "float32", shape: [3], data: Float64Array.of(-2.5, 0.75, 3) };
  const run = (op: Op, arrays: readonly NDArray[]): NDArray | undefined => {
    const drawn = { op, arrays, feeds: new Map(), sample: { title: "", inputs: arrays } };
    return outputsOf({ ...drawn, sample: { title: "", inputs: [] } }, arrays)?.[0];
  };

  test("a neutral element changes nothing, on the sides that are named and on no other", () => {
    for (const op of ALL) {
      if (typeof op.identity !== "object") continue;
      const { neutral, inputs } = op.identity;
      const element = { ...numbers, data: numbers.data.map(() => neutral) };
      for (const side of [0, 1] as const) {
        const arrays = side === 0 ? [element, numbers] : [numbers, element];
        expect(same(run(op, arrays), numbers), `${op.name}, input ${side}`).toBe(inputs.includes(side));
      }
    }
  });

  test("an involution undoes itself", () => {
    for (const op of ALL)
      if (op.identity === "involution") {
        const once = run(op, [numbers]);
        expect(same(once, numbers), op.name).toBe(false);
        expect(same(once && run(op, [once]), numbers), op.name).toBe(true);
      }
  });

  test("where the type is kept, so are the numbers", () => {
    let kept = 0;
    for (const op of ALL) {
      if (op.identity !== "typeKept" && op.identity !== "reshape") continue;
      for (const drawn of samplesOf(op)) {
        const [x] = drawn.arrays;
        const [y] = outputsOf(drawn, drawn.arrays) ?? [];
        if (!x || !y || !sameType(x, y)) continue;
        expect(same(y, x), `${op.name} with ${drawn.sample.title}`).toBe(true);
        kept++;
      }
    }
    expect(kept).toBeGreaterThan(2);
  });
});
