// What CUDA graphs gain: the same steps plain and captured, in turns, of small networks, whose operators take
// less time than telling the device of them, and of ResNet-50.
import type { Spec } from "../../compiler/spec/schema.ts";
import { median } from "../median.ts";
import { exampleExperiments } from "./experiments.ts";
import { type RateOptions, startFor } from "./rates.ts";
import { type Experiment, StepRun } from "./stepRun.ts";

export interface GraphGain {
  readonly what: string;
  readonly precision: Spec["precision"];
  readonly batch: number;
  /** What training would say: on, or off and why. */
  readonly proof: string;
  /** Images a second, medians of the rounds; null where steps cannot be captured. */
  readonly plain: number | null;
  readonly captured: number | null;
}

const ROUNDS = 3;

/** The gain on the examples and on the network of the options at the first batch size. */
export async function graphGains(options: RateOptions): Promise<GraphGain[]> {
  const [batch_size = 64] = options.batches;
  const precision = options.precisions.at(-1) ?? "fp32";
  const examples = (await exampleExperiments()).filter(({ name }) => name === "two-heads");
  const network = options.network({ precision, batch_size, train_fcn: true, cache_features: false });
  const gains: GraphGain[] = [];
  for (const experiment of [...examples, network]) gains.push(await gainOf(experiment, options));
  return gains;
}

async function gainOf(experiment: Experiment, options: RateOptions): Promise<GraphGain> {
  const { steps, warmUp, note } = options;
  const { precision, batch_size: batch } = experiment.spec;
  const base = { what: experiment.name, precision, batch };
  const host = await startFor(options.provider, precision);
  try {
    const capturable = host.provider.kind !== "cpu";
    await using run = await StepRun.open(host, experiment, { target: "cuda", capturable });
    const proof = capturable ? await run.captureSteps() : "CUDA graphs: off: the run is on the CPU";
    note(`${experiment.name}: ${proof}`);
    if (!run.device.captures) return { ...base, proof, plain: null, captured: null };
    const rates = { plain: [] as number[], captured: [] as number[] };
    for (let round = 0; round < ROUNDS; round++)
      for (const kind of ["plain", "captured"] as const) {
        run.device.captures = kind === "captured";
        rates[kind].push(await run.rate(steps, warmUp));
      }
    return { ...base, proof, plain: median(rates.plain), captured: median(rates.captured) };
  } finally {
    await host.close();
  }
}
