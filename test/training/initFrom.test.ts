// The spec's `init_from`: a run begins with the weights of another run, a bundle or an exported model; what is
// taken is told once, kept in run.json, and not needed again.
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import { loadNewestCheckpoint } from "../../runtime/runs/checkpoints.ts";
import type { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData } from "../cli/tinyData.ts";
import { train, trainerOf } from "../runs/trainedData.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";

let data: TinyData;

beforeAll(async () => {
  data = await makeTinyData();
  await train(data.folder, 2);
  await using run = await TrainedRun.open(join(data.folder, "run"), { threads: 1 });
  await exportRun(run);
});
afterAll(() => data[Symbol.asyncDispose]());

type Keys = Readonly<Record<string, string>>;
type Values = ReadonlyMap<string, Float32Array>;

/** The weights that a spec begins with, and what is told of them. */
async function begin(keys: Keys): Promise<{ values: Values; lines: readonly string[] }> {
  await using trainer: MultiTaskTrainer = trainerOf(data.folder, { logdir: "none", ...keys });
  const values = await trainer.parameters();
  return { values, lines: trainer.warnings };
}

async function ofRun(logdir = "run"): Promise<Values> {
  await using run = await TrainedRun.open(join(data.folder, logdir), { threads: 1 });
  return await run.parameters();
}

/** Names of parameters whose values are the same in both. */
function same(a: Values, b: Values): string[] {
  return [...a].flatMap(([name, values]) => {
    const others = b.get(name);
    return others?.length === values.length && values.every((value, i) => value === others[i]) ? [name] : [];
  });
}

const from = (init_from: string, keys: Keys = {}) => begin({ init_from, ...keys });

describe("the weights of a run", () => {
  test("are its best checkpoint's, to the bit; the learned weights of tasks begin anew", async () => {
    const [{ values, lines }, run] = [await from("run"), await ofRun()];
    const weights = [...values.keys()].filter((name) => !name.endsWith("log_variance"));
    expect(same(values, run).toSorted()).toEqual(weights.toSorted());
    expect(values.get("tasks.colour.log_variance")).toEqual(
      (await begin({})).values.get("tasks.colour.log_variance"),
    );
    const text = lines.join("\n");
    expect(text).toMatch(/init_from: (\d+) of \1 tensors are those of run, epoch \d, the best/);
    expect(text).toMatch(/tasks\.colour +\d tensors taken; all classes \(2\)/);
  });

  test("of one checkpoint are taken where that is named", async () => {
    await train(data.folder, 4, { logdir: "long", keep: "newest" });
    const { tensors } = await loadNewestCheckpoint(join(data.folder, "long"));
    const fourth = await from("long/checkpoints/epoch-0004");
    const third = await from("long/checkpoints/epoch-0003");
    const kernel = "shared_layers[0].kernel";
    expect(Buffer.from(fourth.values.get(kernel)?.buffer ?? new ArrayBuffer(0))).toEqual(
      Buffer.from(tensors.get(kernel)?.data ?? []),
    );
    expect(third.values.get(kernel)).not.toEqual(fourth.values.get(kernel));
    expect(third.lines.join("\n")).toContain("epoch 3; the newest is 4");
  });

  test("are taken by name and shape: what differs begins anew, and is told", async () => {
    const [{ values, lines }, run] = [
      await from("run", { task_layers: "[5]", optimizer: "momentum" }),
      await ofRun(),
    ];
    const fresh = await begin({ task_layers: "[5]" });
    expect(same(values, run).filter((name) => !name.startsWith("tasks."))).toEqual(
      [...values.keys()].filter((name) => !name.startsWith("tasks.")),
    );
    for (const name of ["tasks.colour.task_layers[0].kernel", "tasks.colour.dense.kernel"])
      expect(values.get(name)).toEqual(fresh.values.get(name));
    expect(lines.join("\n")).toContain(
      "tasks.colour.task_layers[0].kernel is [4,6,3,3] there, [5,6,3,3] here",
    );
  });

  test("of heads go by class: new ones keep their initial values, a new task begins anew", async () => {
    const keys = {
      tasks: '[serial, colour, "its shape"]',
      classes: "{its shape: [ring, star, bar, dot]}",
    };
    const [{ values, lines }, run] = [await from("run", keys), await ofRun()];
    const fresh = await begin(keys);
    const kernel = (of: Values) => of.get("tasks.its shape.dense.kernel") ?? new Float32Array();
    // Of the run: bar, dot, ring.
    const channels = kernel(run).length / 3;
    for (let row = 0; row < channels; row++) {
      const there = kernel(run).subarray(3 * row, 3 * row + 3);
      const here = kernel(values).subarray(4 * row, 4 * row + 4);
      expect([here[0], here[2], here[3]]).toEqual([there[2], there[0], there[1]]);
      expect(here[1]).toBe(kernel(fresh.values)[4 * row + 1]);
    }
    const serial = "tasks.serial.dense.kernel";
    expect(values.get(serial)).toEqual(fresh.values.get(serial));
    const text = lines.join("\n");
    expect(text).toContain("3 of 4 classes, star begin anew");
    expect(text).toMatch(/tasks\.serial +0 of \d tensors taken; there is no such task there/);
  });

  test("of tasks that are not there any more are told", async () => {
    expect((await from("run", { tasks: "[colour]" })).lines.join("\n")).toContain(
      "not taken: tasks that are not here: its shape",
    );
  });

  test("of which nothing fits are refused, and no folder is made", async () => {
    const keys = {
      init_from: "run",
      logdir: "nothing",
      kernel_size: "5",
      tasks: "[serial]",
      shared_layers: "[]",
    };
    const faults = await faultsOfAsync(() => train(data.folder, 1, { ...keys, fcn: "{layers: [3, p]}" }));
    expect(faults).toMatchObject([{ code: "E_CONFIG", at: { path: "init_from" } }]);
    expect(await readdir(data.folder)).not.toContain("nothing");
  });
});

describe("other sources", () => {
  test("an exported model, its folder, a task's file", async () => {
    const run = await ofRun();
    for (const source of ["run/export/model.onnx", "run/export", "run"]) {
      const { values } = await from(source);
      const weights = [...values.keys()].filter((name) => !name.endsWith("log_variance"));
      expect([source, same(values, run).toSorted()]).toEqual([source, weights.toSorted()]);
    }
    const { values, lines } = await from("run/export/colour.onnx");
    expect(same(values, run)).toContain("tasks.colour.dense.kernel");
    expect(same(values, run)).not.toContain("tasks.its shape.dense.kernel");
    expect(lines.join("\n")).toMatch(/tasks\.its shape +0 of/);
  });

  test("a compiled bundle, whose initial state is that of its seed", async () => {
    await writeFile(
      join(data.folder, "seven.yml"),
      (await readFile(join(data.folder, "spec.yml"), "utf8")).concat("seed: 7\n"),
    );
    expect((await runCli(data.folder, ["compile", "seven.yml", "-o", "bundle"])).code).toBe(0);
    const seven = await begin({ seed: "7" });
    const { values } = await from("bundle");
    expect(same(values, seven.values).length).toBe(values.size);
    expect(await faultsOfAsync(() => from("run/bundle"))).toMatchObject([{ code: "E_BUNDLE" }]);
  });

  test("a model whose batch norms are folded gives no half of them, and says where both are", async () => {
    await train(data.folder, 1, { logdir: "norms", batchnorm: "true" });
    await using run = await TrainedRun.open(join(data.folder, "norms"), { threads: 1 });
    await exportRun(run);
    await run.close();
    const { values, lines } = await from("norms/export", { batchnorm: "true" });
    const fresh = await begin({ batchnorm: "true" });
    const kernel = "shared_layers[0].kernel";
    expect(values.get(kernel)).toEqual(fresh.values.get(kernel));
    expect(lines.join("\n")).toContain("joined with its batch norm there: the run itself has both");
    const whole = await from("norms", { batchnorm: "true" });
    const statistics = [...whole.values.keys()].filter((name) => name.includes("running"));
    expect(statistics.length).toBeGreaterThan(1);
    expect(same(whole.values, await ofRun("norms"))).toEqual(expect.arrayContaining(statistics));
  });

  test.each([
    ["gone", "E_FILE", /spec's folder/],
    ["images", "E_CONFIG", /logdir/],
    ["train.csv", "E_MODEL_PARSE", undefined],
    ["run/bundle/evaluate.onnx", "E_MODEL_META", /fcn: \{path: evaluate\.onnx\}/],
    ["run/checkpoints/epoch-0077", "E_FILE", undefined],
  ])("%s is refused with what to do", async (source, code, hint) => {
    const [fault] = await faultsOfAsync(() => from(source));
    expect(fault).toMatchObject({ code, at: { path: "init_from" } });
    if (hint) expect(fault?.hint).toMatch(hint);
  });
});

describe("a run that begins so", () => {
  test("keeps where from in run.json, moves, and goes on to the same bits without its source", async () => {
    const keys = { init_from: "source", lr: "0.01" };
    await cp(join(data.folder, "run"), join(data.folder, "source"), { recursive: true });
    await train(data.folder, 3, { ...keys, logdir: "whole" });
    await train(data.folder, 1, { ...keys, logdir: "halves" });
    const facts = JSON.parse(await readFile(join(data.folder, "halves", "run.json"), "utf8"));
    expect(facts.init).toMatchObject({
      from: "source",
      kind: "run",
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    await rm(join(data.folder, "source"), { recursive: true });
    const lines = await train(data.folder, 3, { ...keys, logdir: "halves" }, { resume: true });
    expect(lines.join("\n")).not.toContain("init_from");
    const weights = async (logdir: string) => [
      ...(await loadNewestCheckpoint(join(data.folder, logdir))).tensors,
    ];
    expect(await weights("halves")).toEqual(await weights("whole"));
    expect(JSON.parse(await readFile(join(data.folder, "halves", "run.json"), "utf8")).init).toEqual(
      facts.init,
    );
    const other = await train(
      data.folder,
      4,
      { ...keys, logdir: "halves", init_from: "run" },
      { resume: true },
    );
    expect(other.join("\n")).toContain("init_from is for the first epoch: the run began with source");
  });

  test("with a frozen fcn keeps the values that it took, for evaluation, export and going on", async () => {
    const keys = { init_from: "run", train_fcn: "false", logdir: "frozen", cache_features: "false" };
    await train(data.folder, 1, keys);
    const taken = await ofRun();
    const kernel = "fcn.layers[0].kernel";
    const drawn = (await begin({ train_fcn: "false" })).values.get(kernel);
    expect(taken.get(kernel)).not.toEqual(drawn);
    expect((await ofRun("frozen")).get(kernel)).toEqual(taken.get(kernel));
    await using run = await TrainedRun.open(join(data.folder, "frozen"), { threads: 1 });
    // The graphs hold the same numbers.
    expect((await exportRun(run)).checks.every(({ passed }) => passed)).toBe(true);
    await run.close();
    // Compiled anew, since the spec on the way says something else of no weight.
    await rm(join(data.folder, "frozen", "bundle"), { recursive: true });
    await using trainer = trainerOf(data.folder, keys);
    await trainer.fit(2, { resume: true });
    expect((await trainer.parameters()).get(kernel)).toEqual(taken.get(kernel));
    await trainer.close();
    expect((await ofRun("frozen")).get(kernel)).toEqual(taken.get(kernel));
    const file = join(data.folder, "frozen", "frozen.safetensors");
    const bytes = await readFile(file);
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
    await writeFile(file, bytes);
    expect(await faultsOfAsync(() => ofRun("frozen"))).toMatchObject([{ code: "E_BUNDLE" }]);
  });

  test("into a folder with a file of that name that is not ours is refused", async () => {
    const folder = join(data.folder, "mine");
    await mkdir(folder);
    await writeFile(join(folder, "frozen.safetensors"), "my own");
    const keys = { init_from: "run", train_fcn: "false", logdir: "mine" };
    expect(await faultsOfAsync(() => train(data.folder, 1, keys))).toMatchObject([{ code: "E_RUN_EXISTS" }]);
    expect(await readFile(join(folder, "frozen.safetensors"), "utf8")).toBe("my own");
  });

  test("at the command line says the table once, and mttc compile begins with the same weights", async () => {
    await writeFile(
      join(data.folder, "warm.yml"),
      (await readFile(join(data.folder, "spec.yml"), "utf8")).replace(
        "logdir: run",
        "logdir: warm\ninit_from: run",
      ),
    );
    const { code, stderr } = await runCli(data.folder, ["train", "warm.yml", "--epochs", "1"]);
    expect(code).toBe(0);
    expect(stderr.match(/init_from:/g)).toHaveLength(1);
    expect(stderr).toMatch(/\n {2}shared_layers +2 tensors taken\n/);
    const compiled = await runCli(data.folder, ["compile", "warm.yml", "-o", "warm-bundle"]);
    expect(compiled.stderr).toContain("init_from:");
    const { values } = await from("warm-bundle");
    expect(same(values, await ofRun()).length).toBeGreaterThan(8);
    expect((await runCli(data.folder, ["compile", "warm.yml", "-o", "warm-bundle"])).stdout).toContain(
      "Up to date",
    );
  });
});
