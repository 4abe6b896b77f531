// Rates on a device: ResNet-50 by precision and batch size, trained whole and frozen under a head; the share
// that augmentation takes of a step; and PyTorch's rate on the same device, where torch is installed.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Spec, SpecInput } from "../../compiler/spec/schema.ts";
import { OrtHost, type Provider } from "../../runtime/ort/ortHost.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { type Experiment, StepRun, type Tuning } from "./stepRun.ts";

/** One rate, or why there is none. */
export interface Rate {
  readonly what: string;
  readonly precision: Spec["precision"];
  readonly batch: number;
  readonly imagesPerSecond: number | null;
  /** What a step moves at least, in bytes: with the rate, how much of the device's bandwidth it takes. */
  readonly trafficBytes: number | null;
  /** Memory of the device in use at the end of the run, in bytes; null where nvidia-smi does not say. */
  readonly memoryBytes: number | null;
  readonly failure?: string;
}

export interface RateOptions {
  readonly provider: Provider;
  readonly batches: readonly number[];
  readonly precisions: readonly Spec["precision"][];
  readonly steps: number;
  readonly warmUp: number;
  /** The network that is measured, with the given keys of its spec: ResNet-50, or a thinned one in tests. */
  readonly network: (keys: Partial<SpecInput>) => Experiment;
  readonly note: (line: string) => void;
  /** Name of the device, and the file that measured forms are kept in. */
  readonly device: string;
  readonly forms: string;
  /** Whether forms are measured first. */
  readonly autotune: boolean;
}

/** Forms are measured in the arithmetic that they will run in. */
export function tuningFor(precision: Spec["precision"], { device, forms, note }: TuningPlace): Tuning {
  return { device: `${device}, ${precision}`, cache: forms, note };
}

type TuningPlace = Pick<RateOptions, "device" | "forms" | "note">;

const AUGMENT: SpecInput["augment"] = {
  flip_left_right: true,
  zoom_scale: 0.3,
  jitter: 0.2,
  gaussian_blur: 0.2,
};

/** The network's rates: trained and frozen, in every precision at every batch size. */
export async function networkRates(options: RateOptions): Promise<Rate[]> {
  const rates: Rate[] = [];
  for (const train_fcn of [true, false])
    for (const precision of options.precisions)
      for (const batch_size of options.batches) {
        const what = train_fcn ? "trained whole" : "frozen, one head";
        const keys = { train_fcn, precision, batch_size, cache_features: false };
        rates.push(await rateOf(what, keys, options));
      }
  return rates;
}

/** The same step with and without augmentation in the graph, at the first batch size. */
export async function augmentationRates(options: RateOptions): Promise<Rate[]> {
  const [batch_size = 64] = options.batches;
  const precision = options.precisions.at(-1) ?? "fp32";
  return [
    await rateOf("without augmentation", { precision, batch_size }, options),
    await rateOf("with augmentation", { precision, batch_size, augment: AUGMENT }, options),
  ];
}

async function rateOf(what: string, keys: Partial<SpecInput>, options: RateOptions): Promise<Rate> {
  const { steps, warmUp, note } = options;
  const experiment = options.network(keys);
  const { precision, batch_size: batch } = experiment.spec;
  const base = { what, precision, batch };
  try {
    const host = await startFor(options.provider, precision);
    try {
      await using run = await StepRun.open(host, experiment, {
        target: "cuda",
        tuning: options.autotune ? tuningFor(precision, options) : undefined,
      });
      const imagesPerSecond = await run.rate(steps, warmUp);
      note(`${what}, ${precision}, batch ${batch}: ${imagesPerSecond.toFixed(0)} images/s`);
      const { trafficBytes } = run;
      return { ...base, imagesPerSecond, trafficBytes, memoryBytes: await memoryInUse() };
    } finally {
      await host.close();
    }
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    note(`${what}, ${precision}, batch ${batch}: ${failure}`);
    return { ...base, imagesPerSecond: null, trafficBytes: null, memoryBytes: null, failure };
  }
}

/** A host whose products are as exact as the precision asks for. */
export function startFor(provider: Provider, precision: Spec["precision"]): Promise<OrtHost> {
  return OrtHost.start({
    provider: provider.kind === "cuda" ? { ...provider, tf32: precision !== "fp32" } : provider,
  });
}

/** ResNet-50 beside PyTorch; null where torch cannot be run here. */
export async function torchRates(options: RateOptions): Promise<unknown> {
  const script = join(PROJECT_ROOT, "test", "gpu", "torch_rates.py");
  const args = [script, "--batches", options.batches.join(","), "--steps", String(options.steps)];
  try {
    const { stdout } = await promisify(execFile)("python3", args, { maxBuffer: 2 ** 24 });
    return JSON.parse(stdout);
  } catch (error) {
    options.note(`PyTorch was not measured: ${error instanceof Error ? error.message : error}`);
    return null;
  }
}

/** Bytes in use on the device as nvidia-smi says, of all processes; null where it does not. */
async function memoryInUse(): Promise<number | null> {
  try {
    const query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits"];
    const { stdout } = await promisify(execFile)("nvidia-smi", query);
    return Number.parseInt(stdout, 10) * 2 ** 20;
  } catch {
    // A machine without NVIDIA's tools still has rates to report.
    return null;
  }
}
