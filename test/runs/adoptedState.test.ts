// A state that another program trained, as `mttc adopt` makes a run of it: it goes on to the bits of a run
// that mttc trained alone, and whatever does not belong is refused by name, before anything is written.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadExperiment } from "../../cli/specFile.ts";
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from "../../compiler/codec/safetensors.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData } from "../cli/tinyData.ts";

const STEPS = 3;

/** The data set with a compiled bundle, and its spec trained for two epochs into `whole`. */
async function trainedData(spec: Readonly<Record<string, string>> = {}) {
  const data = await makeTinyData({ ...spec, logdir: "whole" });
  const { folder } = data;
  for (const args of [
    ["compile", "spec.yml", "-o", "bundle"],
    ["train", "spec.yml", "--no-report"],
  ])
    expect(await runCli(folder, args)).toMatchObject({ code: 0 });
  return data;
}

/** The adopted run has ended with the state of the one that mttc trained alone. */
function expectSameBits(folder: string): void {
  const [wanted, found] = ["whole", "run"].map((run) => stateOf(folder, "epoch-0002", run));
  expect(found?.map(({ name }) => name)).toEqual(wanted?.map(({ name }) => name));
  for (const [i, { name, data: bytes }] of (wanted ?? []).entries())
    expect(Buffer.compare(bytes, found?.[i]?.data ?? new Uint8Array()), name).toBe(0);
}

/** Tensors of a checkpoint. */
function stateOf(folder: string, checkpoint: string, run = "whole"): readonly StoredTensor[] {
  const file = join(folder, run, "checkpoints", checkpoint, "state.safetensors");
  return [...decodeSafetensors(readFileSync(file), file).tensors.values()];
}

interface Manifest {
  readonly checkpoint: Readonly<Record<string, string>>;
}

/** Metadata as a driver of the bundle writes them. */
function metadataOf(folder: string, steps: number): Record<string, string> {
  const text = readFileSync(join(folder, "bundle", "manifest.json"), "utf8");
  const { checkpoint } = JSON.parse(text) as Manifest;
  return { ...checkpoint, steps: String(steps), steps_per_epoch: String(STEPS), driver: "a test" };
}

/** Writes a driver's file and returns its name. */
function save(folder: string, tensors: readonly StoredTensor[], metadata?: Record<string, string>): string {
  writeFileSync(join(folder, "trained.safetensors"), encodeSafetensors(tensors, metadata));
  return "trained.safetensors";
}

async function refusal(folder: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(folder, ["adopt", ...args]);
  expect([code, stdout], stderr).toEqual([2, ""]);
  expect(existsSync(join(folder, "run"))).toBe(false);
  return stderr;
}

describe("a state that was trained elsewhere", () => {
  test.each<[string, Record<string, string>]>([
    ["with Adam and learned weights", { batchnorm: "true", one_cycle: "true", ema: "0.9" }],
    [
      "in micro-batches, with dropout and augmentation",
      { accumulate: "2", task_layers: "[d, 4]", augment: "true" },
    ],
  ])("goes on to the bits of a run that mttc trained alone, %s", async (_, spec) => {
    await using data = await trainedData({ ...spec, epochs: "2" });
    const { folder } = data;
    const file = save(folder, stateOf(folder, "epoch-0001"), metadataOf(folder, STEPS));
    const adopted = await runCli(folder, ["adopt", "spec.yml", file, "-o", "run"]);
    expect(adopted.code, adopted.stderr).toBe(0);
    expect(adopted.stdout).toContain("Adopted: 1 epoch, as run/checkpoints/epoch-0001");
    expect(readdirSync(join(folder, "run")).toSorted()).toEqual([
      "bundle",
      "checkpoints",
      "config.yml",
      "labels.json",
      "log.jsonl",
      "run.json",
      "sittings.json",
      "spec.yml",
    ]);
    const resumed = await runCli(folder, ["train", "run", "--resume", "--no-report"]);
    expect(resumed.code, resumed.stderr).toBe(0);
    expectSameBits(folder);
  });

  test("goes on in the middle of an epoch, too, to the same bits", async () => {
    await using data = await trainedData({ epochs: "2" });
    const { folder } = data;
    const experiment = await loadExperiment(join(folder, "spec.yml"));
    const spec = { ...experiment.spec, logdir: "stopped" };
    await using trainer = new MultiTaskTrainer({ ...experiment, spec });
    const stopping = new AbortController();
    trainer.on("step", ({ epoch, step }) => {
      if (epoch === 2 && step === 2) stopping.abort();
    });
    await expect(trainer.fit(2, { signal: stopping.signal })).rejects.toThrow(/after step 2 of 3/);
    const file = save(folder, stateOf(folder, "epoch-0001.1", "stopped"), metadataOf(folder, STEPS + 2));
    expect(await runCli(folder, ["adopt", "spec.yml", file, "-o", "run"])).toMatchObject({ code: 0 });
    expect(readdirSync(join(folder, "run", "checkpoints"))).toEqual(["epoch-0001.1"]);
    const resumed = await runCli(folder, ["train", "run", "--resume", "--json"]);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(resumed.stderr).toContain("epochs trained: 1, 2 steps of the next");
    expectSameBits(folder);
  });

  test("is validated, evaluated, reported and exported as a run of mttc's, and says who trained it", async () => {
    await using data = await trainedData({ epochs: "2" });
    const { folder } = data;
    const file = save(folder, stateOf(folder, "epoch-0002"), metadataOf(folder, 2 * STEPS));
    const adopted = await runCli(folder, ["adopt", "spec.yml", file, "-o", "run", "--json"]);
    expect(adopted.code, adopted.stderr).toBe(0);
    expect(JSON.parse(adopted.stdout)).toMatchObject({ epochs: 2, last: { epoch: 2, steps: STEPS } });
    const figures = async (run: string) =>
      JSON.parse((await runCli(folder, ["evaluate", run, "--checkpoint", "newest", "--json"])).stdout) as {
        tasks: unknown;
      };
    expect((await figures("run")).tasks).toEqual((await figures("whole")).tasks);
    const report = await runCli(folder, ["report", "run"]);
    expect(report.code, report.stderr).toBe(0);
    const page = readFileSync(join(folder, "run", "report.html"), "utf8");
    expect(page).toContain(
      "the first 6 steps were trained by another program (a test), which kept no figures",
    );
    expect(page).not.toMatch(/>[^<\n]*(NaN|Infinity)[^<\n]*</);
    for (const args of [
      ["export", "run"],
      ["compare", "run", "whole"],
      ["train", "run", "--resume"],
      ["predict", "run/export/model.onnx", "images/val-1.png"],
    ]) {
      const { code, stderr, stdout } = await runCli(folder, args);
      expect(code, stderr).toBe(0);
      expect(`${stdout}${stderr}`).not.toMatch(/NaN|Infinity|undefined/);
    }
    const again = await runCli(folder, ["adopt", "spec.yml", file, "-o", "run"]);
    expect(again.stderr).toMatch(/this folder holds a run already.*\[E_RUN_EXISTS\]/);
  });

  test("without metadata is taken where --epoch says how far it was trained, and is told about", async () => {
    await using data = await trainedData({ epochs: "2" });
    const { folder } = data;
    const file = save(folder, stateOf(folder, "epoch-0001"), { format: "pt" });
    expect(await refusal(folder, ["spec.yml", file, "-o", "run"])).toMatch(
      /trained\.safetensors: the file does not say how far it was trained \[E_USAGE\]\n {2}--epoch N/,
    );
    expect(await refusal(folder, ["bundle", file, "-o", "run"])).toContain(
      "bundle: expected the spec that the bundle was compiled from, found the bundle [E_USAGE]\n",
    );
    const { code, stderr } = await runCli(folder, ["adopt", "spec.yml", file, "-o", "run", "--epoch", "1"]);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("does not say which bundle it was trained from");
    expect(await runCli(folder, ["train", "run", "--resume", "--no-report"])).toMatchObject({ code: 0 });
    expectSameBits(folder);
  });
});

/** A change of the data set, of a driver's tensors or of its metadata, and what is said of it. */
interface Refused {
  readonly spec?: (text: string) => string;
  readonly table?: (text: string) => string;
  readonly tensors?: (tensors: readonly StoredTensor[]) => readonly StoredTensor[];
  readonly metadata?: Readonly<Record<string, string | undefined>>;
  readonly bytes?: (bytes: Buffer) => Buffer;
  readonly epoch?: number;
  readonly said: RegExp;
}

const renamed = (from: string, to: string) => (tensors: readonly StoredTensor[]) =>
  tensors.map((tensor) => ({ ...tensor, name: tensor.name.replace(from, to) }));
const NAME = "tasks.colour.dense.bias";
const REFUSED: Readonly<Record<string, Refused>> = {
  "of another spec": {
    spec: (text) => `${text}lr: 0.5\nseed: 3\n`,
    said: /: lr, seed \[E_CKPT_MISMATCH\]\n.*lr: was 0.001, is 0.5.*\n.*seed: was 0, is 3.*\n {2}adopt it/,
  },
  "whose losses would be weighed by those of epochs that it does not know": {
    spec: (text) => text.replace("task_weights: adaptive", "combine: dwa"),
    said: /: combine: dwa weighs losses by those of the epochs before.*\[E_CKPT_MISMATCH\]\n {2}train it/,
  },
  "of another network": {
    spec: (text) => text.replace("shared_layers: [6]", "shared_layers: [7]"),
    said: /shared_layers \[E_CKPT_MISMATCH\]/,
  },
  "of other classes": {
    table: (text) => text.replaceAll("red", "amber"),
    said: /tasks\.colour: classes\[0\] was "blue", is "amber" \[E_CKPT_MISMATCH\]/,
  },
  "of a longer table": {
    table: (text) => text.split("\n").slice(0, 20).join("\n"),
    said: /steps_per_epoch: was trained in epochs of 3 steps, and the training labels give 2.*\[E_CKPT_/,
  },
  "with a tensor of another name": {
    tensors: renamed(NAME, "tasks.colour.dense.bais"),
    said: /dense\.bias: the tensor is missing; there is "tasks\.colour\.dense\.bais" \[E_CKPT_MISMATCH\]\n/,
  },
  "with other shapes and types, all of them told": {
    tensors: (tensors) =>
      tensors.map((tensor) => {
        if (tensor.dtype === "int64") return { ...tensor, dtype: "float64" };
        return tensor.shape.length === 1 ? { ...tensor, shape: [1, ...tensor.shape] } : tensor;
      }),
    said: /expected float32\[4\], found float32\[1,4\](.*\n)*.*expected int64\[\], found float64\[\]/,
  },
  "without the tensors": { tensors: () => [], said: /the tensor is missing \[E_CKPT_MISMATCH\]\n.*\n.*/ },
  "that diverged": {
    tensors: (tensors) =>
      tensors.map((tensor, i) => (i === 2 ? { ...tensor, data: tensor.data.slice().fill(255) } : tensor)),
    said: /holds numbers that are not finite \[E_DIVERGED\]\n {2}the training that saved it had diverged/,
  },
  "of a later version": {
    metadata: { version: "2" },
    said: /version 2, this mttc reads 1 \[E_CKPT_MISMATCH\]/,
  },
  "of no version": { metadata: { version: "one" }, said: /__metadata__: version: .*\[E_CKPT_CORRUPT\]/ },
  "with steps that are none": { metadata: { steps: "-3" }, said: /steps: expected a whole number in digits/ },
  "with epochs of no steps": {
    metadata: { steps_per_epoch: "0" },
    said: /steps_per_epoch: expected at least 1/,
  },
  "of a driver without a name": { metadata: { driver: "" }, said: /__metadata__: driver: / },
  "without its experiment": { metadata: { experiment: undefined }, said: /__metadata__: experiment: / },
  "with an experiment that is none": { metadata: { experiment: "[1, 2" }, said: /experiment: is not JSON/ },
  "with a deep experiment": {
    metadata: { experiment: `${"[".repeat(100_000)}${"]".repeat(100_000)}` },
    said: /experiment: is not JSON, or nests too deep \[E_CKPT_CORRUPT\]/,
  },
  "with a deep spec": {
    metadata: {
      experiment: `{"spec":{"lr":${"[".repeat(5_000)}${"]".repeat(5_000)}},"models":{},"tasks":[]}`,
    },
    said: /nests too deep/,
  },
  "that is cut": { bytes: (bytes) => bytes.subarray(0, bytes.length - 3), said: /\[E_ST_LAYOUT\]/ },
  "that is cut in its header": { bytes: (bytes) => bytes.subarray(0, 90), said: /\[E_ST_HEADER\]/ },
  "with a huge header": {
    bytes: (bytes) => Buffer.concat([Buffer.from("ffffffffffffff7f", "hex"), bytes.subarray(8)]),
    said: /\[E_ST_HEADER\]/,
  },
  "with tensors over each other": {
    bytes: (bytes) =>
      Buffer.from(bytes.toString("latin1").replace(/"data_offsets":\[(\d)/, '"data_offsets":[1'), "latin1"),
    said: /\[E_ST_LAYOUT\]/,
  },
  "that is empty": {
    bytes: () => Buffer.alloc(0),
    said: /only 0 bytes, not a safetensors file \[E_ST_HEADER\]/,
  },
  "with an epoch that the file says itself": {
    epoch: 1,
    said: /the file says how far it was trained, 3 steps: leave --epoch away \[E_USAGE\]/,
  },
};

describe("a state is refused, and nothing is written,", () => {
  test("whatever is wrong with it", async () => {
    await using data = await trainedData({ epochs: "1" });
    const { folder } = data;
    const read = (name: string) => readFileSync(join(folder, name), "utf8");
    const before = { spec: read("spec.yml"), train: read("train.csv"), val: read("val.csv") };
    for (const [what, refused] of Object.entries(REFUSED)) {
      const { spec, table, tensors, metadata, bytes, epoch, said } = refused;
      const all: Record<string, string | undefined> = { ...metadataOf(folder, STEPS), ...metadata };
      const known = Object.entries(all).flatMap(([key, value]) =>
        value === undefined ? [] : [[key, value]],
      );
      const state = stateOf(folder, "epoch-0001");
      const file = save(folder, tensors?.(state) ?? state, Object.fromEntries(known));
      if (bytes) writeFileSync(join(folder, file), bytes(readFileSync(join(folder, file))));
      writeFileSync(join(folder, "spec.yml"), spec?.(before.spec) ?? before.spec);
      for (const name of ["train", "val"] as const)
        writeFileSync(join(folder, `${name}.csv`), table?.(before[name]) ?? before[name]);
      const experiment = await loadExperiment(join(folder, "spec.yml"));
      const own = { ...experiment, spec: { ...experiment.spec, logdir: "run" } };
      await using trainer = new MultiTaskTrainer(own, { executionProvider: "cpu" });
      const error: unknown = await trainer.adopt(join(folder, file), { epoch }).catch((thrown) => thrown);
      expect(error, what).toBeInstanceOf(MttcError);
      expect((error as MttcError).message, what).toMatch(said);
      expect(existsSync(join(folder, "run")), what).toBe(false);
    }
  });
});
