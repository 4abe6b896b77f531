// A run whose keys have other values than the defaults of this mttc, gone on with under a spec that does not
// write them: the run's values are taken, to the bit, and told; what is written and differs is refused.
import { createHash } from "node:crypto";
import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadExperiment } from "../../cli/specFile.ts";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { makeTinyData, type TinyData, tinySpec } from "../cli/tinyData.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { snapshot } from "./snapshot.ts";
import { OLDER_RUNS, olderRuns, train, trainerOfText } from "./trainedData.ts";

/** Of the kinds that a key decides by: the step, initial values, dropout, images as they are drawn. */
const THEN = {
  ...{ lr: "0.02", seed: "7", optimizer: "momentum", dropout_rate: "0.25", weight_decay: "0.001" },
  ...{ augment: "{flip_left_right: true}", balance_classes: "true", kernel_size: "5", pack_format: "jpeg" },
};
const SHARED = { shared_layers: '[6, "d"]' };
const NOTE = "the run keeps its own values of keys that the spec does not write: ";

let data: TinyData;

beforeAll(async () => {
  data = await makeTinyData();
  await train(data.folder, 2, { ...SHARED, ...THEN });
});

afterAll(async () => {
  await data[Symbol.asyncDispose]();
});

/** A copy of the run; the keys that name it. */
async function copyRun(name: string) {
  await cp(join(data.folder, "run"), join(data.folder, name), { recursive: true });
  return { ...SHARED, logdir: name };
}

/** What a run of three epochs ends with: tensors, compiled graphs, and its spec, in both places the same. */
async function ending(folder: string) {
  const checkpoint = join(folder, "checkpoints", "epoch-0003");
  const { fingerprint } = JSON.parse(await readFile(join(checkpoint, "progress.json"), "utf8"));
  const { logdir: _, ...spec } = fingerprint.spec;
  const { logdir: _l, ...described } = parseSpec(
    await readFile(join(folder, "spec.yml"), "utf8"),
    "spec.yml",
  );
  expect(described).toEqual(spec);
  const graphs = (await readdir(join(folder, "bundle"))).filter((name) => name.endsWith(".onnx")).toSorted();
  const files = [
    join(checkpoint, "state.safetensors"),
    ...graphs.map((name) => join(folder, "bundle", name)),
  ];
  const bytes = await Promise.all(files.map((file) => readFile(file)));
  return { spec, hashes: bytes.map((each) => createHash("sha256").update(each).digest("hex")) };
}

test("keys that are not written are the run's, to the bit, which one line tells", async () => {
  const written = await train(data.folder, 3, { ...(await copyRun("written")), ...THEN }, { resume: true });
  const left = await train(data.folder, 3, await copyRun("left"), { resume: true });
  expect(await ending(join(data.folder, "left"))).toEqual(await ending(join(data.folder, "written")));
  expect(written.filter((line) => line.startsWith(NOTE))).toEqual([]);
  const [line = "", ...more] = left.filter((each) => each.startsWith(NOTE));
  expect(more).toEqual([]);
  const told = line.slice(NOTE.length).split("), ");
  expect(told.length).toBe(Object.keys(THEN).length);
  expect(line).toContain("lr 0.02 (default 0.001)");
  expect(line).toContain('optimizer "momentum" (default "adam")');
  expect(line).toContain('augment {"flip_left_right":true} (default false)');
});

test("a new run under the same spec is another training", async () => {
  // The keys do change what is trained and compiled, so that the test above can fail.
  await train(data.folder, 3, { ...SHARED, logdir: "defaults" });
  const [fresh, kept] = [
    await ending(join(data.folder, "defaults")),
    await ending(join(data.folder, "left")),
  ];
  expect(fresh.hashes[0]).not.toBe(kept.hashes[0]);
  expect(fresh.hashes.slice(1)).not.toEqual(kept.hashes.slice(1));
});

test("a key that is written at today's default is refused, alone, and the run left alone", async () => {
  const keys = { ...(await copyRun("refused")), lr: "0.001" };
  const before = await snapshot(join(data.folder, "refused"));
  const faults = await faultsOfAsync(() => train(data.folder, 3, keys, { resume: true }));
  expect(faults).toMatchObject([
    { code: "E_CKPT_MISMATCH", message: expect.stringMatching(/: lr$/) },
    { code: "E_CKPT_MISMATCH", at: { path: "lr" }, message: "was 0.02, is 0.001" },
  ]);
  expect(await snapshot(join(data.folder, "refused"))).toEqual(before);
});

test("of a map that is written, what it leaves out counts as written", async () => {
  const keys = { ...(await copyRun("maps")), augment: "{brightness_delta: 0.2}" };
  const faults = await faultsOfAsync(() => train(data.folder, 3, keys, { resume: true }));
  expect(faults.map(({ at }) => at?.path)).toEqual([
    undefined,
    "augment.flip_left_right",
    "augment.brightness_delta",
  ]);
});

test("values of the run that do not go with what is written are refused with the rule", async () => {
  const keys = { ...(await copyRun("rules")), pack: "false" };
  const before = await snapshot(join(data.folder, "rules"));
  const faults = await faultsOfAsync(() => train(data.folder, 3, keys, { resume: true }));
  expect(faults.map(({ code, at }) => [code, at?.path])).toEqual([
    ["E_CKPT_MISMATCH", undefined],
    ["E_CONFIG", "pack_format"],
  ]);
  expect(await snapshot(join(data.folder, "rules"))).toEqual(before);
});

test("options of the API, in which a key that is undefined is not written, do the same", async () => {
  const { logdir } = await copyRun("options");
  const options = {
    ...{
      train_labels: "train.csv",
      val_labels: "val.csv",
      filepaths: "file",
      tasks: ["colour", "its shape"],
    },
    ...{ imshape: [16, 16], fcn: { layers: [4, "p"] }, train_fcn: true, shared_layers: [6, "d"], logdir },
    ...{ task_layers: [4], task_weights: "adaptive", batch_size: 12, epochs: 2, lr: undefined },
  } as unknown as TrainerOptions;
  await using trainer = new MultiTaskTrainer(options, { threads: 1, baseDirectory: data.folder });
  expect(trainer.spec).toMatchObject({ lr: 0.001, seed: 0 });
  await trainer.fit(3, { resume: true });
  expect(trainer.spec).toMatchObject({ lr: 0.02, seed: 7 });
  expect(trainer.warnings.filter((line) => line.startsWith(NOTE)).length).toBe(1);
  expect(await ending(join(data.folder, "options"))).toEqual(await ending(join(data.folder, "left")));
});

test("a run that is opened from its folder keeps what its spec.yml lacks", async () => {
  await copyRun("opened");
  const file = join(data.folder, "opened", "spec.yml");
  const text = await readFile(file, "utf8");
  await writeFile(file, text.replace(/^(lr|seed): .*\n/gm, ""));
  await using trainer = await MultiTaskTrainer.fromRun(join(data.folder, "opened"), { threads: 1 });
  await trainer.fit(3);
  expect(trainer.warnings).toContain(`${NOTE}lr 0.02 (default 0.001), seed 7 (default 0)`);
  expect(await ending(join(data.folder, "opened"))).toEqual(await ending(join(data.folder, "left")));
});

test("the command line knows which keys a file writes", async () => {
  const { given } = await loadExperiment(join(data.folder, "spec.yml"));
  const keys = [...tinySpec().matchAll(/^(\w+):/gm)].map(([, key]) => key);
  expect([...(given ?? [])].toSorted()).toEqual([...keys, "task_kinds"].toSorted());
});

/** Goes on with a run of the fixtures under its spec, without the lines of `leaves`. */
async function goOn(folder: string, file: string, leaves: readonly string[]): Promise<readonly string[]> {
  const text = await readFile(join(folder, file), "utf8");
  const lines = text.split("\n").filter((line) => !leaves.some((key) => line.startsWith(`${key}:`)));
  await using trainer = trainerOfText(folder, lines.join("\n"));
  await trainer.fit(3, { resume: true });
  return trainer.warnings;
}

test.each(OLDER_RUNS)("%s, of an earlier version, keeps its values, to the bit", async (name, file) => {
  await using data = await olderRuns();
  await using other = await olderRuns();
  const written = await goOn(data.folder, file, []);
  const left = await goOn(other.folder, file, ["batch_size", "accumulate", "batchnorm", "class_weights"]);
  const endings = [data, other].map(({ folder }) => ending(join(folder, "out", name)));
  const [whole, kept] = await Promise.all(endings);
  expect(kept).toEqual(whole);
  expect(written.join("\n")).not.toContain(NOTE);
  expect(left.filter((line) => line.startsWith(NOTE)).length).toBe(1);
  expect(left.join("\n")).toContain("batch_size 4 (default 64)");
});

test("a default of the version that wrote a run, other than today's, is kept", async () => {
  await using data = await olderRuns();
  const folder = join(data.folder, "out", "version2");
  const checkpoint = join(folder, "checkpoints", "epoch-0002");
  await edit(join(folder, "spec.yml"), (text) => text.replace("weight_decay: 0\n", "weight_decay: 0.5\n"));
  const progress = await edit(join(checkpoint, "progress.json"), (text) => {
    const json = JSON.parse(text);
    json.fingerprint.spec.weight_decay = 0.5;
    return JSON.stringify(json);
  });
  await edit(join(checkpoint, "MANIFEST.json"), (text) => {
    const json = JSON.parse(text);
    const sha256 = createHash("sha256").update(progress).digest("hex");
    json.files["progress.json"] = { bytes: Buffer.byteLength(progress), sha256 };
    return JSON.stringify(json);
  });
  expect(await goOn(data.folder, "version2.yml", [])).toContain(`${NOTE}weight_decay 0.5 (default 0)`);
  expect((await ending(folder)).spec.weight_decay).toBe(0.5);
});

test.each(OLDER_RUNS.slice(0, 2))(
  "%s: where spec.yml is of a resume that an earlier version refused, the hash decides",
  async (name, file) => {
    await using data = await olderRuns();
    await edit(join(data.folder, "out", name, "spec.yml"), (text) => text.replace("lr: 0.001", "lr: 0.5"));
    expect((await goOn(data.folder, file, [])).join("\n")).not.toContain(NOTE);
    const faults = await faultsOfAsync(async () => {
      await using again = await olderRuns();
      await edit(join(again.folder, "out", name, "spec.yml"), (text) => text.replace("lr: 0.001", "lr: 0.5"));
      await goOn(again.folder, file, ["batch_size"]);
    });
    expect(faults).toMatchObject([{ code: "E_CKPT_MISMATCH" }]);
  },
);

async function edit(file: string, change: (text: string) => string): Promise<string> {
  const before = await readFile(file, "utf8");
  const text = change(before);
  expect(text).not.toBe(before);
  await writeFile(file, text);
  return text;
}
