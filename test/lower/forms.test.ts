// Every form of every own operator computes what the operator's float64 reference computes, on the samples of
// the operator that the form is for; the ties, missing labels and infinities that samples leave out are
// pinned here.
import { describe, expect, test } from "vitest";
import { TARGETS } from "../../compiler/bundle/manifest.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray, Op } from "../../compiler/ir/op.ts";
import type { OpName } from "../../compiler/ir/opNames.ts";
import type { Attrs } from "../../compiler/ir/types.ts";
import { type FormTable, ruleOf } from "../../compiler/lower/forms.ts";
import { TARGET_TRAITS } from "../../compiler/lower/targets.ts";
import { OWN_OPS, RESPELLED_OPS } from "../../compiler/ops/loweredOps.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { assertClose } from "../assertClose.ts";
import { drawSample, forwardGraph } from "../ops/sampleGraph.ts";
import { SAMPLES } from "../ops/samples/allSamples.ts";
import { FORM_FLOAT64 } from "../tolerances.ts";
import { lowerTo, nodeOf, statedForms } from "./formTable.ts";

/** Of the whole table: those that a target must spell, and those that it may. */
const LOWERED = [...OPS.values()].filter(
  ({ domain, lower }) => domain === "mttc" || Object.keys(lower).length > 0,
);

test("every form of the table of operators is stated here, with what it is for", () => {
  const forms = (op: Op) => Object.keys(op.lower).toSorted();
  for (const op of LOWERED) expect(Object.keys(statedForms(op)).toSorted(), op.name).toEqual(forms(op));
  expect(LOWERED.map(forms)).not.toContainEqual([]);
});

test("the types of the targets' tables know every operator that has forms", () => {
  const [own, respelled] = [OWN_OPS, RESPELLED_OPS].map((ops) => new Map(Object.entries<Op>(ops)));
  for (const op of LOWERED) {
    const known = op.domain === "mttc" ? own : respelled;
    expect(known?.get(op.name), op.name).toBe(op);
  }
  expect([...own!.keys(), ...respelled!.keys()].toSorted()).toEqual(
    LOWERED.map(({ name }) => name).toSorted(),
  );
});

test("a table that names a form which does not exist, or leaves an operator of ours out, does not compile", () => {
  const { forms } = TARGET_TRAITS.cpu;
  // @ts-expect-error: the form is "product"
  const misspelled: FormTable = { ...forms, ReluGrad: () => "produkt" };
  // @ts-expect-error: a rule for an operator of ours gives a form for every shape
  const undecided: FormTable = { ...forms, MaxPoolGrad: () => undefined };
  // @ts-expect-error: forms of Conv alone
  const incomplete: FormTable = { Conv: forms.Conv };
  for (const table of [misspelled, undecided, incomplete]) expect(table).not.toBe(forms);
});

for (const op of LOWERED)
  describe(op.name, () => {
    for (const [form, applies] of Object.entries(statedForms(op))) {
      const graphs = (SAMPLES[op.name] ?? [])
        .map((sample) => drawSample(op, sample))
        .map((drawn) => ({ drawn, graph: forwardGraph(drawn, OPS) }))
        .filter(({ graph }) => applies(nodeOf(graph, op)));

      test(`${op.name} as ${form} equals the reference`, () => {
        expect(graphs.length).toBeGreaterThan(0);
        for (const { drawn, graph } of graphs) {
          const expected = interpret(graph, drawn.feeds);
          const found = interpret(lowerTo(graph, op, form), drawn.feeds);
          for (const [name, { data, shape: wanted }] of expected) {
            expect(found.get(name)?.shape).toEqual(wanted);
            const what = `${drawn.sample.title}: ${name}`;
            assertClose(found.get(name)!.data, data, { tolerance: FORM_FLOAT64, what });
          }
        }
      });
    }

    test.each(TARGETS)(`${op.name}: the table for %s chooses a form that is for the shape`, (target) => {
      for (const sample of SAMPLES[op.name] ?? []) {
        const node = nodeOf(forwardGraph(drawSample(op, sample), OPS), op);
        const form = ruleOf(TARGET_TRAITS[target].forms, op)?.(node);
        const what = `${sample.title}: ${form}`;
        if (form !== undefined) expect(statedForms(op)[form]?.(node), what).toBe(true);
        else expect(op.domain, what).toBe("");
      }
    });
  });

/** One own operator on given numbers, as its reference and in every form that applies. */
function everyWay(name: OpName, inputs: readonly NDArray[], attrs: Attrs, outputs = 1): Float64Array[][] {
  const op = OPS.get(name)!;
  const b = new GraphBuilder(name, OPS);
  const values = inputs.map((array, i) => b.input(`input${i}`, array.dtype, array.shape));
  b.emitAll(name, values, attrs, outputs).forEach((value, i) => {
    b.output(`y${i}`, value);
  });
  const graph = b.build();
  const feeds = new Map(inputs.map((array, i) => [`input${i}`, array]));
  const forms = Object.keys(op.lower).filter((form) => statedForms(op)[form]!(nodeOf(graph, op)));
  return [graph, ...forms.map((form) => lowerTo(graph, op, form))].map((each) =>
    [...interpret(each, feeds).values()].map(({ data }) => data),
  );
}

function array(dtype: NDArray["dtype"], size: readonly number[], ...data: number[]): NDArray {
  return { dtype, shape: size, data: Float64Array.from(data) };
}

test("MaxPoolGrad gives the cotangent to the first of equal maxima, in every form", () => {
  const x = array("float32", [1, 1, 4, 4], 0, 0, 1, 2, 0, 0, 2, 2, -1, -2, 5, 3, -1, -1, 5, 5);
  const dy = array("float32", [1, 1, 2, 2], 1, 2, 3, 4);
  const y = array("float32", [1, 1, 2, 2], 0, 2, -1, 5);
  const attrs = { kernel_shape: [2, 2], strides: [2, 2] };
  for (const [dx] of everyWay("MaxPoolGrad", [dy, x, y], attrs))
    expect(Array.from(dx!)).toEqual([1, 0, 0, 2, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0]);
});

test("MaxPoolGrad adds the cotangents of windows that share their maximum, in every form", () => {
  const x = array("float32", [1, 1, 1, 3], 1, 7, 2);
  const dy = array("float32", [1, 1, 1, 2], 10, 20);
  const y = array("float32", [1, 1, 1, 2], 7, 7);
  for (const [dx] of everyWay("MaxPoolGrad", [dy, x, y], { kernel_shape: [1, 2] }))
    expect(Array.from(dx!)).toEqual([0, 30, 0]);
});

test("MaskedCrossEntropy leaves rows without label out, whatever they hold, in every form", () => {
  const logits = array("float32", [3, 2], Number.NaN, Number.POSITIVE_INFINITY, 0, 0, 5, -1);
  const labels = array("int64", [3], -1, 1, -1);
  for (const [loss, count, correct] of everyWay("MaskedCrossEntropy", [logits, labels], {}, 3)) {
    assertClose(loss!, [Math.log(2)], { tolerance: FORM_FLOAT64, what: "loss" });
    // Of equal logits the first is the prediction.
    expect([count![0], correct![0]]).toEqual([1, 0]);
  }
});

test("MaskedCrossEntropy of a batch without labels is exactly 0, and so is its gradient, in every form", () => {
  const logits = array("float32", [2, 2], Number.NaN, Number.POSITIVE_INFINITY, 3, 4);
  const labels = array("int64", [2], -1, -1);
  for (const results of everyWay("MaskedCrossEntropy", [logits, labels], {}, 3))
    for (const result of results) expect(Math.abs(result[0]!)).toBe(0);
  const infinite = array("float32", [], Number.POSITIVE_INFINITY);
  for (const [dlogits] of everyWay("MaskedCrossEntropyGrad", [logits, labels, infinite], {}))
    expect(Array.from(dlogits!)).toEqual([0, 0, 0, 0]);
});
