// What a spec says in other words than the schema's: taken where it is plain, else answered with the key.
import { describe, expect, it } from "vitest";
import { parseSpec, resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { faultsOf } from "./faultsOf.ts";

const least: SpecInput = { tasks: ["species", "season"], fcn: { layers: [8] } };

function hintOf(keys: string): string | undefined {
  const text = `tasks: [species]\nfcn: {layers: [8]}\n${keys}\n`;
  return faultsOf(() => parseSpec(text, "spec.yml"))[0]?.hint;
}

describe("words that are taken", () => {
  it("in any case, where the schema has a list of them", () => {
    const text =
      "optimizer: Adam\nglobal_pooling: AVERAGE\nprecision: FP16\ntask_weights: Adaptive\ntask_layers: [4, P]";
    const spec = parseSpec(`tasks: [a]\nfcn: {layers: [8, D, R]}\n${text}`, "spec.yml");
    expect(spec).toMatchObject({
      ...{ optimizer: "adam", global_pooling: "average", precision: "fp16", task_weights: "adaptive" },
      ...{ task_layers: [4, "p"], fcn: { layers: [8, "d", "r"] } },
    });
    const imported = parseSpec(
      "tasks: [a]\nfcn: {path: A.onnx, batchnorm: Train, layout: nhwc}\n",
      "spec.yml",
    );
    expect(imported.fcn).toMatchObject({ path: "A.onnx", batchnorm: "train", layout: "NHWC" });
  });

  it("but the name of a folder stays as it is", () => {
    expect(resolveSpec({ ...least, pack: "Auto" }).pack).toBe("Auto");
    expect(resolveSpec({ ...least, logdir: "NULL" }).logdir).toBe("NULL");
  });

  it("one number is both sides of the images", () => {
    expect(resolveSpec({ ...least, imshape: 96 }).imshape).toEqual([96, 96]);
    expect(faultsOf(() => resolveSpec({ ...least, imshape: 0 }))[0]?.message).toContain(
      "one number for both",
    );
  });

  it("weights by task, in any order, are those of the list", () => {
    const byTask = resolveSpec({ ...least, task_weights: { season: 0.5, species: 2 } });
    expect(byTask).toEqual(resolveSpec({ ...least, task_weights: [2, 0.5] }));
  });

  it("weights of unknown tasks and tasks without a weight are faults, all of them", () => {
    const faults = faultsOf(() => resolveSpec({ ...least, task_weights: { specis: 2, prototype: 1 } }));
    expect(faults.map(({ message, at, hint }) => [at?.path, message, hint])).toEqual([
      ["task_weights.specis", 'a weight of an unknown task "specis"', 'did you mean "species"?'],
      ["task_weights.prototype", 'a weight of an unknown task "prototype"', "one of: species, season"],
      ["task_weights", 'no weight for task "species"', undefined],
      ["task_weights", 'no weight for task "season"', undefined],
    ]);
  });
});

describe("the answer to an unknown key", () => {
  it.each([
    ["learning_rate: 0.1", 'did you mean "lr"?'],
    ["num-epochs: 3", 'did you mean "epochs"?'],
    ["Image_Size: 64", 'did you mean "imshape"?'],
    ["rotate: true", 'did you mean "rot90" under `augment`?'],
    ["augment: {rotate: true}", 'did you mean "rot90"?'],
    ["augment: {learning_rate: 1}", '"lr" is a key of the spec itself'],
    ["batch_sizes: 3", 'did you mean "batch_size"?'],
    ["augment: {flip: true}", 'did you mean "flip_left_right"?'],
    ["augment: {flip_: true}", 'did you mean "flip_up_down" or "flip_left_right"?'],
    ["toString: 1", undefined],
  ])("%s: %s", (keys, hint) => {
    const found = hintOf(keys);
    if (hint === undefined) expect(found).toMatch(/^one of: train_labels, /);
    else expect(found).toBe(hint);
  });
});
