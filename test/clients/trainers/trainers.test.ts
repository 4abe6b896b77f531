// Every program that trains bundles against mttc: what it draws, number for number, the weights that it
// trains, and what it refuses. Trainers that need a toolchain are asked where MTTC_CLIENTS is set; those that
// cannot run are skipped, saying why.
import { cpSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, type TestContext, test } from "vitest";
import { renameBundle } from "../../bundle/renamedBundle.ts";
import { runCli } from "../../cli/runCli.ts";
import { PROJECT_ROOT } from "../../projectRoot.ts";
import { DRIVER_MOVED, DRIVER_WEIGHTS, SCHEDULE_FLOAT64, WEIGHT_FLOAT64 } from "../../tolerances.ts";
import { drawCases, drawnByMttc } from "./drawCases.ts";
import type { BuiltTrainer, Trainer } from "./trainer.ts";
import { FAULTY_SPEC, TRAINER_FAULTS } from "./trainerFaults.ts";
import { trainers } from "./trainerTable.ts";
import {
  caseData,
  distance,
  type PreparedCase,
  prepareCase,
  readState,
  TRAINING_CASES,
  type TrainingCase,
} from "./trainingCases.ts";

/** Building from nothing takes a minute or two. */
const BUILD_MS = 400_000;

describe.for(trainers().map((trainer) => [trainer.language, trainer] as const))("%s", ([_, trainer]) => {
  const build = once(() => buildTrainer(trainer));
  /** The trainer, built; skips the test where it cannot be. */
  const ready = async (context: TestContext): Promise<BuiltTrainer> => {
    const missing = trainer.missing();
    const built = missing === undefined ? await build() : { missing };
    return "missing" in built ? context.skip(`${trainer.language}: ${built.missing}`) : built;
  };

  test("draws what mttc draws", { timeout: BUILD_MS }, async (context) => {
    const { draw } = await ready(context);
    await using data = await caseData({});
    const cases = drawCases();
    const [found, wanted] = [await draw(cases, data.folder), drawnByMttc(cases)];
    for (const key of ["streams", "masks", "orders", "taskOrders"] as const)
      expect(found[key], key).toEqual(wanted[key]);
    expect(found.augment.length).toBe(cases.augment.length);
    for (const [i, { name, strength, height, width }] of cases.augment.entries())
      expect(found.augment[i], `${name} ${strength} of ${height}x${width}`).toEqual(wanted.augment[i]);
    for (const [i, { value, steps }] of cases.schedules.entries())
      for (let step = 0; step < steps; step++) {
        const difference = Number(found.schedules[i]?.[step]) - Number(wanted.schedules[i]?.[step]);
        expect(Math.abs(difference), `${value.formula} at ${step}`).toBeLessThan(SCHEDULE_FLOAT64);
      }
    for (const key of ["averages", "randomFactors"] as const)
      for (const [i, factors] of wanted[key].entries()) {
        expect(found[key][i]?.length, `${key} ${i}`).toBe(factors.length);
        for (const [t, factor] of factors.entries())
          expect(Math.abs(Number(found[key][i]?.[t]) - factor), `${key} ${i}`).toBeLessThan(WEIGHT_FLOAT64);
      }
  });

  test.for(TRAINING_CASES.map((each) => [each.name, each] as const))(
    "trains the weights of mttc train %s",
    { timeout: BUILD_MS },
    async ([_, each], context) => {
      const { train } = await ready(context);
      const { folder, before, wanted } = await prepared(each);
      const out = `${trainer.language}.safetensors`;
      const { code, stderr } = await train(folder, "bundle", "train.csv", out);
      const refused = each.parts.find((part) => trainer.refuses?.[part]);
      if (refused) {
        expect(stderr).toMatch(trainer.refuses?.[refused] ?? /^$/);
        expect([code, existsSync(join(folder, out))]).toEqual([2, false]);
        return;
      }
      expect([code, stderr]).toEqual([0, ""]);
      const found = readState(join(folder, out));
      expect([...found.keys()]).toEqual([...wanted.keys()]);
      for (const [name, tensor] of wanted)
        expect(distance(found.get(name), tensor), name).toBeLessThanOrEqual(DRIVER_WEIGHTS);
      const moved = [...wanted].filter(([name, value]) => distance(before.get(name), value) > DRIVER_MOVED);
      expect(moved.length).toBeGreaterThan(wanted.size / 2);
    },
  );

  test("saves what mttc adopts, goes on with and exports", { timeout: BUILD_MS }, async (context) => {
    const { train } = await ready(context);
    const known = TRAINING_CASES.find(({ parts }) => !parts.some((part) => trainer.refuses?.[part]));
    if (!known) throw new Error(`${trainer.language} refuses every case`);
    const { folder } = await prepared(known);
    const out = `${trainer.language}-kept.safetensors`;
    expect((await train(folder, "bundle", "train.csv", out)).stderr).toBe("");
    const run = `adopted-${trainer.language}`;
    const tell: string[] = [];
    for (const args of [
      ["adopt", "spec.yml", out, "-o", run],
      ["train", run, "--resume", "--epochs", "5", "--no-report"],
      ["export", run],
    ]) {
      const { code, stderr } = await runCli(folder, args);
      expect(code, stderr).toBe(0);
      tell.push(stderr);
    }
    expect(tell[1]).toContain("epochs trained: 4\n");
    expect(existsSync(join(folder, run, "export", "model.onnx"))).toBe(true);
  });

  test("saves no losses of epochs: mttc adopts no state that is weighed by them", {
    timeout: BUILD_MS,
  }, async (context) => {
    const { train } = await ready(context);
    const weighed = TRAINING_CASES.find(({ spec }) => spec.combine?.includes("dwa"));
    if (!weighed || weighed.parts.some((part) => trainer.refuses?.[part]))
      return context.skip("it trains none");
    const { folder } = await prepared(weighed);
    const out = `${trainer.language}-kept.safetensors`;
    expect((await train(folder, "bundle", "train.csv", out)).stderr).toBe("");
    const run = `adopted-${trainer.language}`;
    const { code, stderr } = await runCli(folder, ["adopt", "spec.yml", out, "-o", run]);
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(/dwa weighs losses by those of the epochs before/),
    ]);
    expect(stderr).toContain("E_CKPT_MISMATCH");
    expect(existsSync(join(folder, run))).toBe(false);
  });

  test.for([
    ["with fixed weights", {}],
    // Every graph of a step but `train`.
    ["with rounds over losses", { combine: "famo", task_weights: "null" }],
  ] as const)(
    "reads no name: of a bundle %s and others it makes the same bits",
    async ([, step], context) => {
      const { train } = await ready(context);
      const layers = { batchnorm: "true", task_layers: "[d, 4]", class_weights: "balanced", accumulate: "2" };
      const fixed = { task_weights: "[1, 0.5]" };
      await using data = await compiled({ ...layers, ...fixed, ...step, augment: "true", epochs: "1" });
      const { folder } = data;
      const trained = async (out: string) => {
        const { code, stderr } = await train(folder, "bundle", "train.csv", out);
        expect([code, stderr]).toEqual([0, ""]);
        return readState(join(folder, out));
      };
      const expected = await trained("first.safetensors");
      const names = renameBundle(join(folder, "bundle"));
      const found = await trained("second.safetensors");
      expect([...found.keys()].filter((name) => expected.has(name))).toEqual([]);
      expect([...found.keys()].map((name) => names.get(name))).toEqual([...expected.keys()]);
      for (const [name, { data }] of found)
        expect(Buffer.compare(data, expected.get(names.get(name) ?? "")?.data ?? Buffer.of()), name).toBe(0);
    },
  );

  test("refuses an output of a role that it does not know", { timeout: BUILD_MS }, async (context) => {
    const { train } = await ready(context);
    await using data = await compiled(FAULTY_SPEC);
    TRAINER_FAULTS.find(({ name }) => name === "an output of an unknown role")?.plant(data.folder);
    const { code, stderr } = await train(data.folder, "bundle", "train.csv", "out.safetensors");
    expect([code === 0, stderr]).toEqual([false, expect.stringContaining("oracle")]);
    expect(existsSync(join(data.folder, "out.safetensors"))).toBe(false);
  });

  test("refuses in one line, and writes nothing", { timeout: BUILD_MS }, async (context) => {
    if (!trainer.hasTypedErrors) return context.skip(`${trainer.language} promises no typed errors`);
    const { train } = await ready(context);
    await using data = await compiled(FAULTY_SPEC);
    expect((await train(data.folder, "bundle", "train.csv", "sound.safetensors")).stderr).toBe("");
    const told: string[] = [];
    for (const [i, { name, codes, names, plant }] of TRAINER_FAULTS.entries()) {
      const folder = join(data.folder, `fault-${i}`);
      mkdirSync(folder);
      for (const each of ["bundle", "images", "train.csv"])
        cpSync(join(data.folder, each), join(folder, each), { recursive: true });
      plant(folder);
      const { code, stdout, stderr } = await train(folder, "bundle", "train.csv", "out.safetensors");
      const [, said = ""] = /^error (E_[A-Z_]+): [^\n]+\n$/.exec(stderr) ?? [];
      const isWritten = existsSync(join(folder, "out.safetensors"));
      const isTold = codes.some((each) => each === said) && names.test(stderr);
      if (code !== 2 || stdout !== "" || isWritten || !isTold) told.push(`${name}: ${code}: ${stderr}`);
    }
    expect(told).toEqual([]);
  });
});

const cases = new Map<TrainingCase, Promise<PreparedCase>>();

/** A case, compiled and trained by mttc once for all trainers. */
function prepared(each: TrainingCase): Promise<PreparedCase> {
  const known = cases.get(each) ?? prepareCase(each);
  cases.set(each, known);
  return known;
}

afterAll(async () => {
  for (const each of cases.values()) await (await each)[Symbol.asyncDispose]();
});

/** The tiny data with `bundle/`. */
async function compiled(spec: Readonly<Record<string, string>>) {
  const data = await caseData(spec);
  const { code, stderr } = await runCli(data.folder, ["compile", "spec.yml", "-o", "bundle"]);
  expect(code, stderr).toBe(0);
  return data;
}

function buildTrainer(trainer: Trainer): ReturnType<Trainer["build"]> {
  const cache = join(PROJECT_ROOT, "node_modules", ".cache", "clients", trainer.language.toLowerCase());
  mkdirSync(cache, { recursive: true });
  return trainer.build(cache);
}

/** The same promise at every call. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
