// Artifacts in ONNX Runtime Training itself, PyPI's wheels on the CPU: ten steps there against ten of
// train.onnx in mttc's own runtime, over a checkpoint that the former wrote in the middle; what it exports;
// and its checkpoints read back. MTTC_CLIENTS=1 runs it.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, type TestContext, test } from "vitest";
import { readTrainingCheckpoint } from "../../compiler/codec/readTrainingCheckpoint.ts";
import type { TrainingCheckpoint } from "../../compiler/codec/trainingCheckpoint.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { FedTensor } from "../../compiler/ortTraining/artifactManifest.ts";
import { DEFAULT_RATE } from "../../compiler/ortTraining/rateGraph.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { learningRateAt, scheduleOf } from "../../compiler/step/schedules.ts";
import { randomFrom } from "../ops/sampleGraph.ts";
import { type Batch, initialState, microBatches, nextState, tensorOf, train } from "../step/experiment.ts";
import { type Tensors, withRunner } from "../step/graphRunner.ts";
import { relativeDistance } from "../step/tensors.ts";
import {
  ORT_TRAINING_ANSWERS,
  ORT_TRAINING_MOVED,
  ORT_TRAINING_SECOND_MOMENT,
  ORT_TRAINING_STATE,
} from "../tolerances.ts";
import { compileArtifacts, type TracedArtifacts } from "./tracedArtifacts.ts";
import { TRIED_RELEASES, trainingPython } from "./trainingPython.ts";

const SCRIPT = join(import.meta.dirname, "runArtifacts.py");
const STEPS = 10;
const CLASSES = { a: 3, b: 2 };
const INSTALL_MS = 300_000;

/** What runArtifacts.py leaves. */
interface Result {
  readonly version: string;
  readonly rate: number;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Of each step the outputs of one number. */
  readonly steps: readonly (readonly number[])[];
  readonly evaluated: readonly (readonly number[])[];
  readonly served: readonly (readonly number[])[];
  readonly half: TrainingCheckpoint;
  readonly saved: TrainingCheckpoint;
}

/** Writes the artifacts and runs them on `batches`; skips where there is no such Python. */
async function runArtifacts(
  context: TestContext,
  { artifacts: { manifest, files } }: TracedArtifacts,
  batches: readonly Batch[],
  rates: readonly (number | null)[],
  release: keyof typeof TRIED_RELEASES = "1.19",
): Promise<Result> {
  const found = await trainingPython(release);
  if ("missing" in found) return context.skip(found.missing);
  const folder = mkdtempSync(join(tmpdir(), "mttc-test-"));
  try {
    for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes);
    writeFileSync(join(folder, "ort-training.json"), JSON.stringify(manifest));
    const steps = batches.map((batch) =>
      Object.fromEntries([...batch].map(([name, { data }]) => [name, [...data]])),
    );
    writeFileSync(join(folder, "plan.json"), JSON.stringify({ steps, rates, rows: manifest.batchSize }));
    const env = { ...process.env, ORT_DISABLE_TELEMETRY: "1", PYTHONDONTWRITEBYTECODE: "1" };
    const { status, stderr } = spawnSync(found.python, [SCRIPT, folder], { env, encoding: "utf8" });
    expect(status, stderr).toBe(0);
    const checkpoint = (name: string) => readTrainingCheckpoint(readFileSync(join(folder, name)), name);
    const result = JSON.parse(readFileSync(join(folder, "result.json"), "utf8"));
    return { ...result, half: checkpoint("half"), saved: checkpoint("saved") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Random numbers for each of the inputs; a quarter of the labels is missing, unless all are wanted. */
function drawnBatch(inputs: readonly FedTensor[], seed: string, missing = 0.25): Batch {
  return new Map(
    inputs.map((input): [string, NDArray] => {
      const { name, dtype, shape } = input;
      const random = randomFrom(`${seed} ${name}`);
      const sizes = shape.map(Number);
      const count = sizes.reduce((product, size) => product * size, 1);
      const classes = CLASSES[name.slice(-1) as keyof typeof CLASSES];
      const draw = (i: number): number => {
        if (input.role === "image") return Math.floor(256 * random());
        if (input.role === "augment") return Math.floor(2 * random());
        return i > 0 && random() < missing ? -1 : Math.floor(classes * random());
      };
      return [name, { dtype, shape: sizes, data: Float64Array.from({ length: count }, (_, i) => draw(i)) }];
    }),
  );
}

/** The state by name as the runtime's checkpoint has it. */
function stateOf({ trained, frozen, optimizer }: TrainingCheckpoint): Map<string, ArrayLike<number>> {
  const slots = (optimizer?.states ?? []).flatMap(({ parameter, moments }) =>
    moments.map(({ name, data }) => [`${parameter}/${name === "momentum0" ? "m" : "v"}`, data] as const),
  );
  const parameters = [...trained, ...frozen].map(({ name, data }) => [name, data] as const);
  return new Map([...parameters, ...slots]);
}

/** Every tensor of `found` is near that of `wanted`, and most have moved from where they began. */
function expectState(checkpoint: TrainingCheckpoint, wanted: Tensors, begin: Tensors): void {
  const found = stateOf(checkpoint);
  const tensors = [...wanted].filter(([, { dtype }]) => dtype === "float32");
  expect([...found.keys()].sort()).toEqual(tensors.map(([name]) => name).sort());
  for (const [name, { data }] of tensors) {
    const most = name.endsWith("/v") ? ORT_TRAINING_SECOND_MOMENT : ORT_TRAINING_STATE;
    expect(relativeDistance(found.get(name), data), name).toBeLessThanOrEqual(most);
  }
  const moved = tensors.filter(
    ([name, { data }]) => relativeDistance(tensorOf(begin, name).data, data) > ORT_TRAINING_MOVED,
  );
  expect(moved.length).toBeGreaterThan(tensors.length / 2);
}

const NET: Partial<SpecInput> = { shared_layers: [4, "r"], batchnorm: true, task_layers: [3] };
const CASES: readonly [string, Partial<SpecInput>, (keyof typeof TRIED_RELEASES)[]][] = [
  [
    "batch norm, adaptive weights, a penalty, a bound on the gradient, one cycle",
    { ...NET, task_weights: "adaptive", weight_decay: 0.01, clip_norm: 0.5, one_cycle: 8, lr: 0.01 },
    ["1.17", "1.18", "1.19"],
  ],
  [
    "AdamW, fixed and class weights, separable convolutions, a cosine with restarts",
    {
      ...{ ...NET, separable: true, optimizer: "adamw", task_weights: [1, 0.25], batch_size: 6 },
      ...{ class_weights: { a: { "0": 0.5, "1": 1.5, "2": 2.5 } }, lr_decay: 3, decay_type: "cosine" },
    },
    ["1.19"],
  ],
  [
    "another loss, a frozen extractor, augmentation, a warmup",
    {
      ...{ shared_layers: [4, "p"], train_fcn: false, label_smoothing: 0.1, focal_gamma: 2, warmup: 3 },
      augment: { flip_left_right: true, rot90: true },
    },
    ["1.19"],
  ],
];

const TRIED = CASES.flatMap(([name, spec, releases]) =>
  releases.map((release): [keyof typeof TRIED_RELEASES, string, Partial<SpecInput>] => [release, name, spec]),
);
const rest = (batches: readonly Batch[]): null[] => batches.map(() => null);

describe("what ONNX Runtime Training trains", { timeout: INSTALL_MS }, () => {
  test.for(TRIED)("is what mttc trains, on %s: %s", async ([release, _, spec], context) => {
    const compiled = compileArtifacts(spec, CLASSES, release);
    const { bundle } = compiled.traced;
    const { inputs, outputs } = compiled.artifacts.manifest;
    const batches = Array.from({ length: STEPS }, (_, i) => drawnBatch(inputs.training, `step ${i}`));
    const result = await runArtifacts(context, compiled, batches, rest(batches), release);
    expect(result.version).toBe(TRIED_RELEASES[release]);
    expect(result.rate).toBe(Math.fround(DEFAULT_RATE));
    expect(result.inputs).toEqual(inputs.training.map((input) => input.name));
    expect(result.outputs).toEqual(outputs.map((output) => output.name));
    const schedule = scheduleOf(bundle.manifest.spec);
    const wanted = trained(compiled, batches, (step) => learningRateAt(schedule, step, STEPS));
    expectState(result.saved, wanted, initialState(bundle));
    expect([result.half.optimizer?.step, result.saved.optimizer?.step]).toEqual([STEPS / 2, STEPS]);
    expect(result.saved.properties.get("producer")).toBe("mttc");
    expectServed(result);
  });

  test("at a rate that was set is what mttc trains at that", async (context) => {
    const compiled = compileArtifacts({ ...NET, lr: 0.01, lr_decay: 3 }, CLASSES);
    const batches = Array.from({ length: STEPS }, (_, i) =>
      drawnBatch(compiled.artifacts.manifest.inputs.training, `set ${i}`),
    );
    // Setting it holds until the session ends, which the test's script does after half of the steps.
    const rates = batches.map((_, step) => (step === 2 ? 0.02 : null));
    const result = await runArtifacts(context, compiled, batches, rates);
    const schedule = scheduleOf(compiled.traced.bundle.manifest.spec);
    const rateAt = (step: number) =>
      step >= 2 && step < STEPS / 2 ? 0.02 : learningRateAt(schedule, step, STEPS);
    const wanted = trained(compiled, batches, rateAt);
    expectState(result.saved, wanted, initialState(compiled.traced.bundle));
  });

  test("with AdamW's decay has every tensor decayed after the update", async (context) => {
    const [decay, lr] = [0.3, 0.01];
    const spec: Partial<SpecInput> = { ...NET, optimizer: "adamw", lr };
    const compiled = compileArtifacts({ ...spec, weight_decay: decay }, CLASSES);
    const plain = compileArtifacts(spec, CLASSES);
    const inputs = compiled.artifacts.manifest.inputs.training;
    const batches = Array.from({ length: STEPS }, (_, i) => drawnBatch(inputs, `decay ${i}`));
    const result = await runArtifacts(context, compiled, batches, rest(batches));
    const names = compiled.artifacts.manifest.parameters
      .filter((each) => each.trained)
      .map(({ name }) => name);
    const wanted = trained(
      plain,
      batches,
      () => lr,
      (state) =>
        new Map(
          [...state].map(([name, tensor]) => {
            const data = names.includes(name) ? tensor.data.map((x) => x * (1 - lr * decay)) : tensor.data;
            return [name, { ...tensor, data }];
          }),
        ),
    );
    expectState(result.saved, wanted, initialState(compiled.traced.bundle));
  });

  test("of micro-batches is what mttc trains of whole ones where every label is there", async (context) => {
    const spec: Partial<SpecInput> = { shared_layers: [4], task_weights: [1, 0.25], batch_size: 8 };
    const compiled = compileArtifacts({ ...spec, accumulate: 2 }, CLASSES);
    const { bundle } = compiled.traced;
    const whole = bundle.manifest.graphs.train?.inputs ?? [];
    const inputs = whole.filter(({ role }) => role === "image" || role === "label") as FedTensor[];
    const batches = Array.from({ length: 6 }, (_, i) => drawnBatch(inputs, `whole ${i}`, 0));
    const halves = batches.flatMap((batch) => microBatches(batch, 2));
    const result = await runArtifacts(context, compiled, halves, rest(halves));
    const begin = initialState(bundle);
    const wanted = trained(compiled, batches, () => 1e-3);
    expect(result.saved.optimizer?.step).toBe(6);
    expectState(result.saved, wanted, begin);
  });

  test("with dropout has other masks in every step", async (context) => {
    const compiled = compileArtifacts({ shared_layers: [16, "d"], dropout_rate: 0.5 }, CLASSES);
    const [batch] = [drawnBatch(compiled.artifacts.manifest.inputs.training, "one")];
    const batches = Array.from({ length: STEPS }, () => batch);
    const result = await runArtifacts(
      context,
      compiled,
      batches,
      batches.map(() => 1e-12),
    );
    const losses = result.steps.map(([loss]) => loss);
    expect(new Set(losses).size).toBeGreaterThan(STEPS / 2);
  });
});

/** The state after the batches, by train.onnx on ONNX Runtime; `after` changes it after each step. */
function trained(
  { traced }: TracedArtifacts,
  batches: readonly Batch[],
  rateAt: (step: number) => number,
  after = (state: Tensors): Tensors => state,
): Tensors {
  const { bundle } = traced;
  return withRunner("ONNX Runtime", traced, (run) =>
    batches.reduce<Tensors>(
      (state, batch, step) => after(nextState(state, train(run, bundle, state, batch, rateAt(step)))),
      initialState(bundle),
    ),
  );
}

/** What the runtime exports answers as the evaluation model does. */
function expectServed({ evaluated, served }: Result): void {
  served.forEach((answers, i) => {
    const others = evaluated[i + evaluated.length - served.length] ?? [];
    expect(others.length).toBe(answers.length);
    const gap = Math.max(...answers.map((x, k) => Math.abs(x - (others[k] ?? Number.NaN))));
    expect(gap).toBeLessThan(ORT_TRAINING_ANSWERS);
  });
}
