// Steps on a device beside the same steps on the CPU: how far each tensor of the state is apart, and in
// float16 how far the losses are. Relative to each tensor's norm.
import type { Target } from "../../compiler/bundle/manifest.ts";
import { augmentSettings } from "../../compiler/spec/augmentKeys.ts";
import type { OrtHost } from "../../runtime/ort/ortHost.ts";
import { relativeDistance } from "../step/tensors.ts";
import { type Experiment, type StepLosses, StepRun } from "./stepRun.ts";

/** What was compared. */
export interface Parity {
  readonly experiment: string;
  readonly steps: number;
  /** Largest distance of a tensor of the state, and its name. */
  readonly distance: number;
  readonly tensor: string;
  /** Largest relative difference of a loss. */
  readonly lossDistance: number;
}

/** Small enough that no step of a comparison overflows and is left out. */
const LOSS_SCALE_COMPARED = 1024;

/**
 * Steps that are compared in float16 are small: at their own rate of 1e-3 untrained networks amplify a
 * rounding until it is all that there is to see (in five steps a ResNet's losses come a quarter apart).
 */
const HALF_RATE = 1e-5;

interface Course {
  readonly losses: readonly StepLosses[];
  readonly state: ReadonlyMap<string, Float64Array>;
}

/** Runs `steps` steps of an experiment on both and compares losses and state. */
export async function compareSteps(
  device: OrtHost,
  cpu: OrtHost,
  experiment: Experiment,
  steps: number,
): Promise<Parity> {
  const rate = experiment.spec.precision === "fp16" ? HALF_RATE : experiment.spec.lr;
  const exact = { ...experiment, spec: { ...experiment.spec, precision: "fp32" as const } };
  // The device's graphs in their own spelling, even where a CPU stands in for it. Of augmentation the CPU's
  // spelling leaves a part to the loader: there both take the same.
  const spelling = augmentSettings(experiment.spec.augment) ? "cuda" : "cpu";
  const actual = await course(device, experiment, { steps, rate, target: "cuda" });
  const expected = await course(cpu, exact, { steps, rate, target: spelling });
  const distances = [...expected.state].flatMap(([tensor, values]) =>
    actual.state.has(tensor)
      ? [{ tensor, distance: relativeDistance(actual.state.get(tensor), values) }]
      : [],
  );
  const worst = distances.reduce((a, b) => (b.distance > a.distance ? b : a), { tensor: "", distance: 0 });
  const lossDistances = expected.losses.flatMap((losses, step) =>
    Object.entries(losses).map(([task, loss]) =>
      Math.abs((actual.losses[step]?.[task] ?? Number.NaN) / loss - 1),
    ),
  );
  return { experiment: experiment.name, steps, ...worst, lossDistance: Math.max(...lossDistances) };
}

async function course(
  host: OrtHost,
  experiment: Experiment,
  { steps, rate, target }: { readonly steps: number; readonly rate: number; readonly target: Target },
): Promise<Course> {
  await using run = await StepRun.open(host, experiment, { target, lossScale: LOSS_SCALE_COMPARED });
  const losses: StepLosses[] = [];
  for (let step = 0; step < steps; step++) losses.push(await run.step(rate));
  const state = await run.state();
  const numbers = (data: ArrayLike<number | bigint>): Float64Array => Float64Array.from(data, Number);
  return { losses, state: new Map([...state].map(([name, { data }]) => [name, numbers(data)])) };
}
