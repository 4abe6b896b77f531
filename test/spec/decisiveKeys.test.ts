// Which keys decide whether a checkpoint belongs to a spec, and how differences are told: a spec that an
// older mttc stored lacks keys, which then have their defaults.
import { expect, test } from "vitest";
import { changedKeys, settleKeys } from "../../compiler/spec/decisiveKeys.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { SPEC_KEYS, type SpecInput, type SpecKey, specSchema } from "../../compiler/spec/schema.ts";
import { specJsonSchema } from "../../compiler/spec/specDocs.ts";

const BASE: SpecInput = {
  tasks: ["a", "b"],
  fcn: { path: "trunk.onnx", mean: [0.5], std: 0.2 },
  augment: { flip_left_right: true, zoom_scale: 0.3 },
  class_weights: { a: { x: 2, y: 3 } },
  shared_layers: [8, "d"],
};

/** A resolved spec as it is read back from a checkpoint. */
const stored = (changes: Partial<SpecInput> = {}): Record<string, unknown> =>
  JSON.parse(JSON.stringify(resolveSpec({ ...BASE, ...changes })));
const changes = (before: Record<string, unknown>, now: Partial<SpecInput> = {}) =>
  changedKeys(before, resolveSpec({ ...BASE, ...now }));

test("a spec agrees with itself, read back, with maps in any order, and without keys at their defaults", () => {
  expect(changes(stored())).toEqual([]);
  const turned = Object.fromEntries(Object.entries(stored()).reverse());
  expect(changes({ ...turned, class_weights: { a: { y: 3, x: 2 } } })).toEqual([]);
  for (const key of ["lr", "optimizer", "sobel", "bit_depth", "pack_format", "balance_classes", "seed"]) {
    const { [key]: _, ...rest } = stored();
    expect(changes(rest)).toEqual([]);
  }
  const { layout: _l, batchnorm: _b, scale: _s, ...fcn } = stored().fcn as Record<string, unknown>;
  expect(changes({ ...stored(), fcn })).toEqual([]);
});

test("keys that say where things lie, or how fast it goes, decide nothing", () => {
  const other: Partial<SpecInput> = {
    ...{ logdir: "x", train_labels: "t.csv", val_labels: "v.csv", filepaths: "file", image_root: "/" },
    ...{ num_parallel_calls: 2, pack: "cache", cache_features: false, split_leak: "allow", epochs: 99 },
    ...{ notes: "n", fcn: { path: "moved/trunk.onnx", mean: [0.5], std: 0.2 } },
  };
  expect(changes(stored(), other)).toEqual([]);
});

test.each<[Partial<SpecInput>, string, string, string]>([
  [{ lr: 0.5 }, "lr", "0.001", "0.5"],
  [{ shared_layers: [8] }, "shared_layers", '[8,"d"]', "[8]"],
  [{ fcn: { layers: [4] } }, "fcn", expect.stringContaining('"mean":[0.5]'), '{"layers":[4]}'],
  [{ fcn: { path: "trunk.onnx", mean: [0.4], std: 0.2 } }, "fcn.mean", "[0.5]", "[0.4]"],
  [{ augment: { flip_left_right: true } }, "augment.zoom_scale", "0.3", "nothing"],
  [{ class_weights: { a: { x: 2, y: 4 } } }, "class_weights.a.y", "3", "4"],
  [{ task_weights: [1, 2] }, "task_weights", "nothing", "[1,2]"],
  [{ cache_features: { draws: 4 } }, "cache_features", "nothing", '{"draws":4}'],
  [{ classes: { a: ["x", "y"] } }, "classes.a", "nothing", '["x","y"]'],
])("%j is told as %s", (now, key, before, after) => {
  expect(changes(stored(), now)).toEqual([{ key, before, now: after }]);
});

test("each key says in the schema what of it decides, and the JSON Schema for editors does not repeat it", () => {
  const saying = (what: string) =>
    SPEC_KEYS.filter((key) => specSchema.shape[key].meta()?.decides === what).toSorted();
  expect(saying("settings")).toEqual(["fcn"]);
  expect(saying("draws")).toEqual(["cache_features"]);
  expect(saying("nothing")).toEqual([
    ...["avpool", "downstream_labels", "epochs", "filepaths", "image_root", "init_from", "keep"],
    ...["linear_probe", "log_every", "log_fcn", "log_to", "logdir", "max_megapixels", "missing"],
    ...["monitor", "notes", "num_parallel_calls", "on_bad_image", "pack", "path_prefix"],
    ...["path_suffix", "patience", "query_fig", "rotation_test", "save_projections", "split_leak"],
    ...["strategy", "teacher", "test_labels", "train_labels", "unknown_val_classes", "unsure"],
    ...["val_labels", "visualize_kernels"],
  ]);
  expect(JSON.stringify(specJsonSchema())).not.toContain('"decides"');
});

test("a key of a later mttc is named, and a value that is no longer legal compared as it is", () => {
  expect(changes({ ...stored(), lars_trust: 0.1 })).toEqual([
    { key: "lars_trust", before: "0.1", now: "not a key of this mttc" },
  ]);
  expect(changes({ ...stored(), optimizer: "sgd" })).toEqual([
    { key: "optimizer", before: '"sgd"', now: '"adam"' },
  ]);
});

test("what was not written is the run's; what was, unknown or no longer legal is refused", () => {
  const before = { ...stored({ lr: 0.5, seed: 3, class_weights: null }), optimizer: "sgd", lars_trust: 0.1 };
  const spec = resolveSpec(BASE);
  const given = new Set([...(Object.keys(BASE) as SpecKey[]), "task_kinds" as const]);
  const { values, kept, refused } = settleKeys(before, spec, given);
  expect(values).toEqual({ lr: 0.5, seed: 3 });
  expect(kept).toEqual([
    { key: "lr", before: "0.5", now: "0.001" },
    { key: "seed", before: "3", now: "0" },
  ]);
  expect(refused.map(({ key }) => key)).toEqual(["class_weights", "optimizer", "lars_trust"]);
  const all = settleKeys(before, spec, undefined);
  expect([all.values, all.kept]).toEqual([{}, []]);
  expect(all.refused).toEqual(changedKeys(before, spec));
  // A key that the run is older than has its default, which is no difference.
  const { lr: _, ...older } = stored();
  expect(settleKeys(older, spec, given)).toEqual({ values: {}, kept: [], refused: [] });
});
