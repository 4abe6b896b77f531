// `npm run gpu`: everything that only a device can tell, and one report of it (JSON and Markdown) under
// test/gpu/reports/. Sections: placement and parity with the CPU, forms of convolutions and rates, CUDA
// graphs, augmentation, waiting for images, PyTorch's rates; `--only` takes some of them. `--ep cpu --quick`
// runs all of it small on the CPU: how the script itself is tested.
import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import type { Spec } from "../../compiler/spec/schema.ts";
import { writeFileAtomically } from "../../runtime/files/atomicDirectory.ts";
import { readCudaDriver } from "../../runtime/ort/cudaDriver.ts";
import { OrtHost, type Provider } from "../../runtime/ort/ortHost.ts";
import { readFormCache } from "../../runtime/train/formCache.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import {
  combinedExperiment,
  exampleExperiments,
  FAMILIES_COMPARED,
  familyExperiment,
  resnet50,
} from "./experiments.ts";
import { type FormRow, type GpuReport, reportText, type Verdict } from "./gpuReport.ts";
import { graphGains } from "./graphGain.ts";
import { loaderShares } from "./loaderShare.ts";
import { compareSteps, type Parity } from "./parity.ts";
import { type GraphPlacement, placementsOf } from "./placement.ts";
import { augmentationRates, networkRates, type RateOptions, startFor, torchRates } from "./rates.ts";
import type { Experiment } from "./stepRun.ts";

/** Bounds of issue 5: per tensor in fp32 with TF32 off, of losses in fp16. */
const FP32_BOUND = 1e-4;
const FP16_LOSS_BOUND = 0.01;

/** How long and at what sizes rates are measured. */
type RateSizes = Pick<RateOptions, "batches" | "precisions" | "steps" | "warmUp">;

const FULL: RateSizes = {
  batches: [64, 128, 256],
  precisions: ["fp32", "tf32", "fp16"],
  steps: 30,
  warmUp: 10,
};
const QUICK: RateSizes = { batches: [2], precisions: ["fp32", "fp16"], steps: 2, warmUp: 1 };

/** Images, and the side that they are resized to, of the epochs that show how long a device waits. */
const [LOADER_IMAGES, LOADER_SIDE] = [1024, 224];

/** What can be measured apart from the rest: a device may be lent for minutes. */
const SECTIONS = ["agreement", "rates", "graphs", "augmentation", "loader", "torch"] as const;
type Section = (typeof SECTIONS)[number];

interface Flags {
  readonly ep: string;
  readonly quick?: boolean;
  readonly output: string;
  readonly only: string;
  readonly batches?: string;
  readonly precisions?: string;
  readonly autotune: boolean;
}

const flags = new Command("gpu")
  .option("--ep <provider>", "cuda, cuda:n or cpu", "cuda")
  .option("--quick", "few steps of small images: a test of this script")
  .option("--output <dir>", "folder of the report", join(PROJECT_ROOT, "test", "gpu", "reports"))
  .option("--only <sections>", "some of the sections, in order", SECTIONS.join(","))
  .option("--batches <sizes>", "batch sizes of the rates, such as 64,256")
  .option("--precisions <names>", "precisions of the rates, such as tf32,fp16")
  .option("--no-autotune", "rates with the forms of the compiler's own table")
  .addHelpText(
    "after",
    "\nWhere a device is lent for minutes, in this order:\n" +
      "  --only agreement\n" +
      "  --only rates,graphs --batches 64 --precisions fp16,tf32 --no-autotune\n" +
      "  --only rates --batches 64,256 --precisions fp16,tf32\n" +
      "  --only torch --batches 64,256",
  )
  .parse()
  .opts<Flags>();
const note = (line: string): void => void process.stderr.write(`${line}\n`);
process.exitCode = await measure(flags);

/**
 * Measures sections and writes the report after each, so that a run that is cut short leaves what it has.
 * Returns 1 if a bound does not hold or something failed.
 */
async function measure({ ep, quick = false, output, only, autotune, ...sizes }: Flags): Promise<number> {
  const provider: Provider =
    ep === "cpu"
      ? { kind: "cpu" }
      : { kind: "cuda", device: Number(/:(\d+)/.exec(ep)?.[1] ?? 0), tf32: false };
  const machine = machineFacts(provider);
  await mkdir(output, { recursive: true });
  const options: RateOptions = {
    ...{ provider, note, device: machine.device ?? ep, forms: join(output, "forms.json"), autotune },
    ...(quick
      ? { ...QUICK, network: (keys) => familyExperiment("resnet", keys) }
      : { ...FULL, network: resnet50 }),
    ...(sizes.batches ? { batches: sizes.batches.split(",").map(Number) } : {}),
    ...(sizes.precisions ? { precisions: sizes.precisions.split(",") as Spec["precision"][] } : {}),
  };
  const families = quick ? FAMILIES_COMPARED.slice(0, 1) : FAMILIES_COMPARED;
  let report: GpuReport = {
    ...{ format: "mttc-gpu-report", commit: commitOf(), machine },
    ...{ placements: [], parity: [], failures: [], forms: [], rates: [], augmentation: [], graphs: [] },
    ...{ loader: [], torch: null, left: {} },
  };
  const measured: Readonly<Record<Section, () => Promise<Partial<GpuReport>>>> = {
    agreement: async () => {
      const examples = await exampleExperiments();
      const networks = families.map((name) => familyExperiment(name));
      const experiments = [...examples, combinedExperiment(), ...networks];
      return agreement(provider, experiments, quick ? 2 : 5);
    },
    rates: async () => ({ rates: await networkRates(options) }),
    augmentation: async () => ({ augmentation: await augmentationRates(options) }),
    graphs: async () => ({ graphs: await graphGains(options) }),
    loader: async () => ({
      loader: await loaderShares(options, quick ? 8 : LOADER_IMAGES, quick ? 32 : LOADER_SIDE),
    }),
    torch: async () => ({ torch: provider.kind === "cuda" ? await torchRates(options) : null }),
  };
  const name = `${(machine.device ?? "cpu").replace(/[^\w.-]+/g, "-")}-${new Date().toISOString().slice(0, 10)}`;
  for (const section of SECTIONS) {
    report = only.split(",").includes(section)
      ? { ...report, ...(await measured[section]()), forms: await measuredForms(options.forms) }
      : { ...report, left: { ...report.left, [section]: "not asked for" } };
    await writeFileAtomically(join(output, `${name}.json`), `${JSON.stringify(report, null, 1)}\n`);
    await writeFileAtomically(join(output, `${name}.md`), `${reportText(report)}\n`);
  }
  process.stdout.write(`${reportText(report)}\n\nWritten to ${join(output, name)}.json and .md\n`);
  const holds = report.parity.every(({ found, bound }) => found <= bound);
  return holds && report.failures.length === 0 ? 0 : 1;
}

/** Placement and parity of every experiment: in float32 of all, in float16 of those that have it. */
async function agreement(
  provider: Provider,
  experiments: readonly Experiment[],
  steps: number,
): Promise<{ placements: GraphPlacement[]; parity: (Parity & Verdict)[]; failures: string[] }> {
  const placements: GraphPlacement[] = [];
  const failures: string[] = [];
  const parity: (Parity & Verdict)[] = [];
  const cpu = await OrtHost.start();
  try {
    for (const precision of ["fp32", "fp16"] as const) {
      const device = await startFor(provider, precision);
      try {
        for (const each of experiments) {
          const experiment = withPrecision(each, precision);
          const what = `${each.name}, ${precision}`;
          try {
            placements.push(...(await placementsOf(device, experiment)));
            const found = await compareSteps(device, cpu, experiment, steps);
            note(
              `${what}: ${found.distance.toExponential(1)}, losses ${found.lossDistance.toExponential(1)}`,
            );
            parity.push(
              precision === "fp32"
                ? { ...found, what, found: found.distance, bound: FP32_BOUND }
                : { ...found, what: `${what}, losses`, found: found.lossDistance, bound: FP16_LOSS_BOUND },
            );
          } catch (error) {
            // What fails is part of the report; the other experiments may run.
            failures.push(`${what}: ${error instanceof Error ? error.message : error}`);
            note(`FAILED ${failures.at(-1)}`);
          }
        }
      } finally {
        await device.close();
      }
    }
  } finally {
    await cpu.close();
  }
  return { placements, parity, failures };
}

function withPrecision(experiment: Experiment, precision: Spec["precision"]): Experiment {
  return { ...experiment, spec: { ...experiment.spec, precision } };
}

async function measuredForms(file: string): Promise<FormRow[]> {
  return [...(await readFormCache(file))].flatMap(([section, shapes]) =>
    [...shapes].map(([shape, times]) => ({ section, shape, times })),
  );
}

function machineFacts(provider: Provider): Record<string, string> {
  const base = { node: process.version, platform: `${process.platform} ${process.arch}` };
  if (provider.kind !== "cuda") return { device: "cpu", ...base };
  const { cudaVersion, devices } = readCudaDriver();
  const device = devices[provider.device];
  return {
    device: device?.name ?? "an unknown device",
    memory: `${((device?.memoryBytes ?? 0) / 2 ** 30).toFixed(0)} GiB`,
    "compute capability": device?.capability ?? "",
    driver: `for CUDA ${cudaVersion}`,
    ...base,
  };
}

function commitOf(): string {
  try {
    return execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8" }).trim();
  } catch {
    // A copy without its history, as on a device machine.
    return "unknown";
  }
}
