// The key `combine`: a name or a map, what is refused, and what of it decides.
import { describe, expect, it } from "vitest";
import type { CombineMethod, LinearMethod } from "../../compiler/combine/combiner.ts";
import { COMBINE_METHODS, combinationOf, taskFactor } from "../../compiler/combine/combiners.ts";
import { sum } from "../../compiler/combine/sum.ts";
import { changedKeys } from "../../compiler/spec/decisiveKeys.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { specWarnings } from "../../compiler/spec/specWarnings.ts";
import { faultsOf } from "./faultsOf.ts";

const base: SpecInput = { tasks: ["a", "b"], fcn: { layers: [8] }, train_fcn: true };

const isLinear = (method: CombineMethod): method is LinearMethod => method.kind === "losses";
const linear = [...COMBINE_METHODS.values()].filter(isLinear);
const gradientMethods = [...COMBINE_METHODS.values()].filter((method) => !isLinear(method));
/** Their factors are known before the step, so that gradients by task can be taken beside them. */
const measurable = linear.filter(({ learned }) => !learned);

function resolved(combine: unknown, more: Partial<SpecInput> = {}) {
  return resolveSpec({ ...base, ...more, combine } as SpecInput);
}

describe("combine", () => {
  it("is sum where nothing is said, and the same as a name and as a map", () => {
    expect(resolveSpec(base).combine).toEqual({ method: "sum", measure: false });
    expect(resolved("sum").combine).toEqual({ method: "sum", measure: false });
    expect(resolved({ method: "sum" }).combine).toEqual({ method: "sum", measure: false });
    expect(resolved("Sum").combine).toEqual({ method: "sum", measure: false });
  });

  it.each([...COMBINE_METHODS.keys()])("a spec of %s as it is stored is read as the same", (name) => {
    const { combine } = resolved(name);
    expect(resolved(JSON.parse(JSON.stringify(combine))).combine).toEqual(combine);
    expect(combine.method).toBe(name);
  });

  it.each([...COMBINE_METHODS.values()])(
    "$name has its settings with defaults within their bounds",
    (method) => {
      const { combine } = resolved(method.name);
      for (const [name, { default: usual, least, most, doc }] of Object.entries(method.settings)) {
        expect(combine[name]).toBe(usual);
        expect([least <= usual, usual <= most, doc.length > 0]).toEqual([true, true, true]);
        const faults = faultsOf(() => resolved({ method: method.name, [name]: most + 1 }));
        expect(faults.map(({ at }) => at?.path)).toEqual([`combine.${name}`]);
      }
      expect(Object.keys(method.settings)).not.toEqual(expect.arrayContaining(["method", "features"]));
      expect(method.doc).not.toMatch(/[.]$/);
      expect(combinationOf(resolved(method.name)) === undefined).toBe(isLinear(method));
      const measured = combinationOf(resolved({ method: "sum", measure: true }));
      expect(measured?.combiner).toBe(sum.measured);
      expect(combinationOf(resolved(method.name, { tasks: ["a"] }))).toBeUndefined();
    },
  );

  it.each<[string, unknown, string, RegExp]>([
    ["a mistyped name", "summ", "combine", /expected one of "sum".*found "summ"/],
    ["a number", 3, "combine", /found 3/],
    ["a list", ["sum"], "combine", /found \["sum"\]/],
    ["a map without a method", { c: 1 }, "combine.method", /missing; expected one of "sum"/],
    ["a mistyped method", { method: "summ", c: 1 }, "combine.method", /expected one of "sum".*found "summ"/],
    ["a setting that it has not", { method: "sum", c: 1 }, "combine.c", /unknown key "c"/],
    ["features of a sum", { method: "sum", features: true }, "combine.features", /unknown key "features"/],
  ])("%s is refused by name", (_, combine, path, message) => {
    const faults = faultsOf(() => resolved(combine));
    expect(faults.map(({ at }) => at?.path)).toEqual([path]);
    expect(faults[0]?.message).toMatch(message);
    const hints = JSON.stringify(combine).includes("summ") ? ['did you mean "sum"?'] : [];
    expect(faults.flatMap(({ hint = "" }) => (hint.startsWith("did you mean") ? [hint] : []))).toEqual(hints);
  });

  it.each([
    ["uncertainty", "weights learned by uncertainty are `task_weights: adaptive`"],
    [{ method: "UW" }, "weights learned by uncertainty are `task_weights: adaptive`"],
    ["ew", "that is `sum`, the default"],
  ])("%j, which others have, is told what it is here", (combine, hint) => {
    const faults = faultsOf(() => resolved(combine));
    expect(faults.map((fault) => fault.hint)).toEqual([hint]);
  });

  it.each(["dwa", "rlw"])("%s beside learned weights is refused, beside fixed ones not", (method) => {
    const faults = faultsOf(() => resolved(method, { task_weights: "adaptive" }));
    expect(faults.map(({ at, hint }) => [at?.path, hint])).toEqual([["combine", "leave one of them out"]]);
    expect(faults[0]?.message).toContain(`${method} weighs the losses`);
    expect(resolved(method, { task_weights: [1, 2] }).combine.method).toBe(method);
    expect(resolved("sum", { task_weights: "adaptive" }).combine.method).toBe("sum");
  });

  it("of factors that can do nothing but rescale, or nothing, it is told", () => {
    const told = (more: Partial<SpecInput>): string[] =>
      specWarnings(resolved("dwa", more)).filter((warning) => warning.startsWith("combine"));
    expect(told({})).toEqual([]);
    expect(told({ tasks: ["a"] })).toEqual(["combine: there is a single task, so dwa is sum"]);
    const frozen = { train_fcn: false, shared_layers: [] };
    expect(told(frozen)).toEqual([
      "combine: nothing trained is shared, so dwa can only rescale the heads' learning rates",
    ]);
  });

  it("decides what training computes; a run of before the key goes on with sum", () => {
    const spec = resolved("sum");
    const { combine: _, ...older } = spec;
    expect(changedKeys(older, spec)).toEqual([]);
    const changed = changedKeys({ ...spec, combine: { method: "other", c: 1 } }, spec);
    expect(changed.map(({ key }) => key)).toEqual(["combine.method", "combine.c", "combine.measure"]);
  });

  it.each(measurable)("$name is measured where it is asked for", (method) => {
    const { name: asked } = method;
    const spec = resolved({ method: asked, measure: true });
    expect(combinationOf(spec)?.combiner).toBe(method.measured);
    expect(method.measured).toBeDefined();
    expect(combinationOf(resolved(asked))).toBeUndefined();
    // Its factors are what they are without.
    expect(taskFactor(spec, 3)).toEqual(taskFactor(resolved(asked), 3));
    expect(combinationOf(resolved({ method: asked, measure: true }, { tasks: ["a"] }))).toBeUndefined();
  });

  const others = [...gradientMethods, ...linear.filter((method) => !measurable.includes(method))];

  it.each(others)("$name has no measure: it tells what it weighs always", ({ name: asked }) => {
    const faults = faultsOf(() => resolved({ method: asked, measure: true }));
    expect(faults.map(({ at }) => at?.path)).toEqual(["combine.measure"]);
  });

  it("at the features needs whole batches", () => {
    const faults = faultsOf(() => resolved({ method: "upgrad", features: true }, { accumulate: 2 }));
    expect(faults.map(({ at }) => at?.path)).toEqual(["combine.features"]);
    expect(faults[0]?.message).toMatch(/accumulate 2/);
    expect(resolved({ method: "upgrad", features: true }).combine.features).toBe(true);
  });

  it.each<[Partial<SpecInput>, RegExp]>([
    [{ tasks: ["a"] }, /there is a single task, so mgda is sum/],
    [{ train_fcn: false }, /nothing trained is shared, so mgda is sum/],
  ])("warns where there is nothing to combine: %o", (more, message) => {
    expect(specWarnings(resolved("mgda", more))).toEqual(
      expect.arrayContaining([expect.stringMatching(message)]),
    );
  });

  it.each([
    ["imtl", [1, 2], true],
    ["nash", [1, 2], true],
    ["nash", [2, 2], false],
    ["upgrad", [1, 2], false],
    ["imtl", "adaptive", false],
  ] as const)(
    "%s with task_weights %o: whether it warns that they do not turn the direction is %o",
    (...given) => {
      const [method, weights, isWarned] = given;
      const task_weights = weights === "adaptive" ? weights : [...weights];
      const warnings = specWarnings(resolved(method, { tasks: ["a", "b"], task_weights }));
      const found = warnings.filter((warning) => /^task_weights: .* do not turn it/.test(warning));
      expect(found.length).toBe(isWarned ? 1 : 0);
    },
  );

  it("says nothing of sum where nothing is shared", () => {
    const warnings = specWarnings(resolved("sum", { tasks: ["a"] }));
    expect(warnings.filter((warning) => warning.startsWith("combine"))).toEqual([]);
  });
});
