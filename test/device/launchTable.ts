// `node dist/test/device/launchTable.js [--family resnet50] [--batch 64] [--precisions fp16,fp32] [--rows 40]`:
// what ONNX Runtime's CUDA provider asks of CUDA in one training step, without a device. Needs what
// cudaStandIn.ts needs.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Command } from "commander";
import type { Spec } from "../../compiler/spec/schema.ts";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import { familyExperiment, resnet50 } from "../gpu/experiments.ts";
import { providerWithoutDevice, useCudaStandIn } from "./cudaStandIn.ts";
import { countCalls, LaunchTrace, type TracedCall, traceStep } from "./launchTrace.ts";

const flags = new Command("launchTable")
  .option("--family <name>", "resnet50, or a thinned family of the fixtures", "resnet50")
  .option("--batch <size>", "batch size", "64")
  .option("--precisions <names>", "fp16, fp32", "fp16,fp32")
  .option("--rows <count>", "rows of each table", "40")
  .parse()
  .opts<{ family: string; batch: string; precisions: string; rows: string }>();

async function main(folder: string): Promise<void> {
  const build = mkdtempSync(path.join(tmpdir(), "mttc-cuda-"));
  const held = useCudaStandIn(folder, build);
  const trace = new LaunchTrace(build);
  for (const precision of flags.precisions.split(",") as Spec["precision"][]) {
    const provider = { kind: "cuda", device: 0, tf32: precision === "fp16" } as const;
    await using host = await OrtHost.start({ provider, libraryPath: folder });
    const keys = { precision, batch_size: Number(flags.batch) };
    const { family } = flags;
    const experiment = family === "resnet50" ? resnet50(keys) : familyExperiment(family, keys);
    const calls = await traceStep(host, trace, experiment);
    console.log(`\n${family}, batch ${flags.batch}, ${precision}: ${summary(calls)}`);
    for (const { count, kind, name } of countCalls(calls).slice(0, Number(flags.rows)))
      console.log(`${String(count).padStart(6)}  ${kind.padEnd(7)}${name}`);
  }
  if (held.length > 0) rmSync(build, { recursive: true });
}

function summary(calls: readonly TracedCall[]): string {
  const count = (fits: (call: TracedCall) => boolean) => calls.filter(fits).length;
  const work = /^(kernel|blas|dnn|fill)$/;
  return [
    `${count(({ kind }) => work.test(kind))} pieces of work on the device`,
    `${count(({ kind }) => kind === "kernel")} kernels of ONNX Runtime's`,
    `${count(({ kind, name }) => kind === "wait" || name === "cudaMemcpy")} waits`,
    `${count(({ detail }) => detail.startsWith("HostToDevice"))} copies to the device`,
    `${count(({ detail }) => detail.startsWith("DeviceToHost"))} copies from it`,
    `${count(({ kind }) => kind === "memory")} allocations`,
  ].join(", ");
}

const folder = providerWithoutDevice();
if (folder === undefined) {
  console.error("needs `mttc setup-cuda`, gcc and binutils");
  process.exitCode = 1;
} else {
  await main(folder);
}
