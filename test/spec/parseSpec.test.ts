// The spec parser: defaults, all faults at once with line and nearest name, and hostile text.
import { describe, expect, it } from "vitest";
import { parseSpec, resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { faultsOf, printedFaults } from "./faultsOf.ts";

const least = "tasks: [a, b]\nfcn: {layers: [16, p, 32]}\n";

function parse(text: string) {
  return () => parseSpec(text, "spec.yaml");
}

describe("a good spec", () => {
  it("takes every default of semantics.md", () => {
    expect(parseSpec(least, "spec.yaml")).toEqual({
      logdir: null,
      log_to: [],
      log_every: 10,
      task_kinds: {},
      label_smoothing: 0,
      focal_gamma: 0,
      train_labels: null,
      val_labels: null,
      test_labels: null,
      split: null,
      filepaths: "filepath",
      tasks: ["a", "b"],
      classes: {},
      fcn: { layers: [16, "p", 32] },
      train_fcn: false,
      shared_layers: [],
      task_layers: [128, "p", 128],
      task_weights: null,
      balance_probs: true,
      balance_classes: false,
      class_weights: null,
      augment: false,
      imshape: [256, 256],
      num_channels: 3,
      bit_depth: 8,
      norm: 255,
      single_channel: false,
      batch_size: 64,
      accumulate: 1,
      num_parallel_calls: -1,
      epochs: 10,
      init_from: null,
      keep: "best",
      monitor: "gain",
      patience: null,
      optimizer: "adam",
      lr: 1e-3,
      lr_decay: 0,
      decay_type: "exponential",
      warmup: null,
      one_cycle: false,
      weight_decay: 0,
      combine: { method: "sum", measure: false },
      clip_norm: null,
      ema: 0,
      layer_lr: 1,
      max_task_weight: null,
      teacher: null,
      distill_weight: 0,
      global_pooling: "max",
      kernel_size: 3,
      padding: "same",
      dropout_rate: 0.5,
      separable: false,
      batchnorm: false,
      sync_batchnorm: true,
      sobel: false,
      cache_features: "auto",
      precision: "fp32",
      unsure: null,
      strategy: null,
      downstream_labels: null,
      linear_probe: true,
      rotation_test: false,
      query_fig: false,
      save_projections: false,
      visualize_kernels: false,
      log_fcn: false,
      avpool: true,
      seed: 0,
      pack: "auto",
      pack_format: "raw",
      max_megapixels: 50,
      nodata: "refuse",
      image_root: null,
      split_leak: "error",
      on_bad_image: "stop",
      missing: ["None", "NaN", "nan", "null", "NULL", "NA", "N/A"],
      unknown_val_classes: "error",
      path_prefix: null,
      path_suffix: null,
      notes: null,
    });
  });

  it("is the same from YAML, from JSON with tabs and from an object", () => {
    const spec = {
      tasks: ["species", "age"],
      fcn: { layers: [8, "r"] },
      shared_layers: [512, "r"],
      task_layers: [128, "p", "d", 256],
      task_weights: "adaptive",
      classes: { age: [1, 2, "old"] },
    } satisfies SpecInput;
    const resolved = resolveSpec(spec);
    expect(resolved.classes).toEqual({ age: ["1", "2", "old"] });
    expect(parseSpec(JSON.stringify(spec, null, "\t"), "spec.json")).toEqual(resolved);
    const yaml =
      "tasks: [species, age]\nfcn:\n  layers: [8, r]\nshared_layers: [512, r]\n" +
      "task_layers: [128, p, d, 256]\ntask_weights: adaptive\nclasses: {age: [1, 2, old]}\n";
    expect(parseSpec(yaml, "spec.yaml")).toEqual(resolved);
  });

  it("accepts the off values of keys, and aliases", () => {
    const off = "augment: false\nlr_decay: 0\nteacher:\n";
    expect(parseSpec(`${least}${off}shared_layers: &l [8]\ntask_layers: *l\n`, "s").task_layers).toEqual([8]);
  });
});

describe("a faulty spec", () => {
  it("reports all faults at once, in the order of the file, with line, column, path and nearest name", () => {
    const text = [
      "tasks: [a, b]",
      "fnc: {layers: [8]}",
      "task_layers:",
      "  - 128",
      "  - q",
      "imshape: [32]",
      "  ",
      "lr: fast",
      "task_weights: [1, 2, 3]",
      "classes: {aa: [x, y], b: [x, x]}",
      "dropout_rate: 1",
    ].join("\n");
    expect(printedFaults(parse(text))).toEqual([
      "spec.yaml:1:1: fcn: missing; expected a map {layers: [...]}, the path of a model file (.onnx, .h5, .keras) or a map {path: ...} [E_CONFIG]",
      'spec.yaml:2:1: fnc: unknown key "fnc" [E_CONFIG]\n  did you mean "fcn"?',
      'spec.yaml:5:5: task_layers[1]: expected a number of filters (1 to 65536), "p", "d" or "r", found "q" [E_CONFIG]',
      "spec.yaml:6:10: imshape: expected [height, width] or one number for both, each from 1 to 8192, found [32] [E_CONFIG]",
      'spec.yaml:8:5: lr: expected a number > 0, found "fast" [E_CONFIG]',
      "spec.yaml:9:15: task_weights: expected 2 weights, one per task, found 3 [E_CONFIG]",
      'spec.yaml:10:11: classes.aa: classes of an unknown task "aa" [E_CONFIG]\n  did you mean "a"?',
      'spec.yaml:10:30: classes.b[1]: class "x" is listed twice [E_CONFIG]',
      "spec.yaml:11:15: dropout_rate: expected a number >= 0 and < 1, found 1 [E_CONFIG]",
    ]);
  });

  it.each([
    ["tasks: []\nfcn: {layers: [8]}", "at least one task"],
    [
      "tasks: [a]\nfcn: {layers: [8]}\nstrategy: horovod",
      'expected null, "mpi", "nccl" or "auto", found "horovod"',
    ],
    ["tasks: [a]\nfcn: {layers: [8]}\nsync_batchnorm: 1", "expected true or false, found 1"],
    ["tasks: [a]\nfcn: {layers: [8]}\nlr_decay: -1", "expected an integer from 0"],
    ["tasks: [a]\nfcn: {layers: [8]}\ndecay_type: linear", 'one of "exponential", "staircase", "cosine"'],
    ["tasks: [a]\nfcn: {layers: [8]}\nwarmup: 1.5", "expected an integer from 0"],
    ["tasks: [a]\nfcn: {layers: [8]}\none_cycle: 1", "true, false or a number of steps from 2 on"],
    ["tasks: [a]\nfcn: {layers: [8]}\none_cycle: true\nlr_decay: 9", "cannot decay over 9 steps"],
    ["tasks: [a]\nfcn: {layers: [8]}\none_cycle: 50\nwarmup: 9", "a rise of its own"],
    ["tasks: [a]\nfcn: {layers: [8]}\nclip_norm: 0", "null or a number > 0"],
    ["tasks: [a]\nfcn: {layers: [8]}\nema: 1", "a number from 0 to below 1"],
    ["tasks: [a]\nfcn: {layers: [8]}\nlayer_lr: 0", "train_fcn: false freezes"],
    ["tasks: [a]\nfcn: {layers: [8]}\nlayer_lr: {fnc: 2}", "fnc"],
    ["tasks: [a]\nfcn: {layers: [8]}\nmax_task_weight: 0", "null or a number > 0"],
    ["tasks: [a]\nfcn: {layers: [8]}\noptimizer: sgd", '"momentum" or "lars"'],
    ["tasks: [a, a]\nfcn: {layers: [8]}", "listed twice"],
    ["tasks: [filepath]\nfcn: {layers: [8]}", "column of image paths"],
    ["tasks: [../x]\nfcn: {layers: [8]}", "a task's name"],
    ["tasks: [__proto__]\nfcn: {layers: [8]}", "a task's name"],
    ["tasks: [a]\nfcn: {layers: [8], layer: 1}", 'unknown key "layer"'],
    ["tasks: [a]\nfcn: {layers: []}", "at least one layer"],
    ["tasks: [a]\nfcn: {}", "missing; expected a list"],
    ["tasks: [a]\nfcn: {layers: [p, r, 8]}", "keeps the width"],
    [`${least}padding: valid\nshared_layers: [8, r]`, 'needs padding "same"'],
    [`${least}kernel_size: 4`, "expected an odd kernel_size"],
    [`${least}imshape: [8, 3]`, "the image is 4x1 here, too small for pooling 2x2"],
    [`${least}imshape: [9, 9]\npadding: valid`, "the image is 1x1 here, too small for a 3x3 convolution"],
    [`${least}batch_size: 1000000000`, "from 1 to 65536, found 1000000000"],
    [`${least}batch_size: 10\naccumulate: 3`, "a divisor of batch_size (10), found 3"],
    [`${least}task_weights: [-1, 1]`, "expected a number >= 0, found -1"],
    [`${least}task_weights: [0, 0]`, "all task weights are 0"],
    [`${least}num_channels: 17`, "expected an integer from 1 to 16, found 17"],
    [`${least}bit_depth: 12`, "expected 8, 16 or 32, found 12"],
    [`${least}bit_depth: 16`, "norm is needed: there is no usual range of 16-bit numbers"],
    [
      `${least}num_channels: 5\naugment: {hue_delta: 0.1}`,
      "hue_delta needs the colours red, green and blue, num_channels is 5",
    ],
    [`${least}pack: false\npack_format: jpeg`, "nothing is packed: pack is false"],
    [`${least}num_channels: 4\npack_format: jpeg`, "JPEG holds 1 or 3 channels of 8 bits"],
    [`${least}lr: .nan`, "expected a number > 0, found NaN"],
    [`${least}lr: .inf`, "found Infinity"],
    [`${least}__proto__: {lr: 1}`, 'unknown key "__proto__"'],
    [`${least}classes: {__proto__: [x, y]}`, "__proto__"],
    ["just text", "expected a map of keys"],
    ["", "expected a map of keys"],
    ["- a", "expected a map of keys"],
  ])("%j is refused", (text, part) => {
    const faults = faultsOf(parse(text));
    expect(faults.map((fault) => fault.message).join("\n")).toContain(part);
    expect(new Set(faults.map((fault) => fault.code))).toEqual(new Set(["E_CONFIG"]));
    for (const fault of faults) expect(fault.at?.line).toBeGreaterThan(0);
  });

  it("follows an alias to the place of a fault", () => {
    const [fault] = faultsOf(parse(`${least}shared_layers: &l\n  - 8\n  - z\ntask_layers: *l\n`));
    expect(fault?.at).toMatchObject({ line: 5, column: 5 });
  });
});

describe("text that is not a spec", () => {
  const bomb = `a0: &a0 [x, x]\n${Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`).join("\n")}`;
  it.each([
    ["unclosed bracket", "tasks: [a, b\nfcn: 1", "E_CONFIG_PARSE"],
    ["duplicate key", `${least}tasks: [c]`, "E_CONFIG_PARSE"],
    ["alias bomb", bomb, "E_CONFIG_PARSE"],
    ["foreign tag", `${least}notes: !!js/function "x"`, "E_CONFIG_PARSE"],
    ["second document", `${least}---\nx: 1`, "E_CONFIG_PARSE"],
    ["unknown alias", `${least}notes: *nowhere`, "E_CONFIG_PARSE"],
    ["deep nesting", "[".repeat(20_000), "E_CONFIG_PARSE"],
    ["a megabyte", `notes: ${"x".repeat(1_000_001)}`, "E_CONFIG_PARSE"],
  ])("is refused: %s", (_, text, code) => {
    const faults = faultsOf(parse(text));
    expect(faults[0]?.code).toBe(code);
    expect(faults[0]?.at?.file).toBe("spec.yaml");
  });

  it("names the line of a syntax fault", () => {
    expect(faultsOf(parse(`${least}tasks: [c]`))[0]?.at).toMatchObject({ line: 3, column: 1 });
  });
});
