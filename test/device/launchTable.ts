// `npm run launches -- [--family resnet50] [--batch 64] [--precisions fp16,fp32] [--rows 40]`: what ONNX
// Runtime's CUDA provider asks of CUDA in one training step, without a device: by kernel, by ONNX operator
// and by part of the network; `--nodes FILE` writes every node with its calls. Needs what cudaStandIn.ts
// needs.
import { appendFileSync, writeFileSync } from "node:fs";
import { Command } from "commander";
import type { Spec } from "../../compiler/spec/schema.ts";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import { familyExperiment, resnet50 } from "../gpu/experiments.ts";
import { CudaStandIn, providerWithoutDevice } from "./cudaStandIn.ts";
import { attributeStep, type NodeCalls } from "./launchOrigins.ts";
import { countCalls, LaunchTrace, type TracedCall, traceStep } from "./launchTrace.ts";

/** A kernel of no more blocks leaves nearly all of a device idle. */
const TINY = 4;

interface Flags {
  readonly family: string;
  readonly batch: string;
  readonly precisions: string;
  readonly rows: string;
  readonly nodes?: string;
}

const flags = new Command("launchTable")
  .option("--family <name>", "resnet50, or a thinned family of the fixtures", "resnet50")
  .option("--batch <size>", "batch size", "64")
  .option("--precisions <names>", "fp16, fp32", "fp16,fp32")
  .option("--rows <count>", "rows of each table", "40")
  .option("--nodes <file>", "every node with its calls, tab-separated")
  .parse()
  .opts<Flags>();

async function main(folder: string): Promise<void> {
  using standIn = new CudaStandIn(folder);
  const trace = new LaunchTrace(standIn);
  if (flags.nodes !== undefined) writeFileSync(flags.nodes, "precision\tnode\toperator\tcalls\n");
  for (const precision of flags.precisions.split(",") as Spec["precision"][]) {
    const provider = { kind: "cuda", device: 0, tf32: precision === "fp16" } as const;
    await using host = await OrtHost.start({ provider, libraryPath: folder });
    const keys = { precision, batch_size: Number(flags.batch) };
    const { family } = flags;
    const experiment = family === "resnet50" ? resnet50(keys) : familyExperiment(family, keys);
    const calls = await traceStep(host, trace, experiment);
    const rows = countCalls(calls).map(
      ({ count, kind, name }) => [count, `${kind.padEnd(7)}${name}`] as const,
    );
    printTable(`${family}, batch ${flags.batch}, ${precision}: ${summary(calls)}`, rows);
    const { nodes, strayCalls } = await attributeStep(host, trace, experiment);
    printTable(
      `calls by ONNX operator, ${strayCalls} of none`,
      countNodes(nodes, ({ operator }) => operator),
    );
    printTable("calls by part of the network", countNodes(nodes, partOf));
    if (flags.nodes !== undefined) appendFileSync(flags.nodes, nodeLines(precision, nodes));
  }
}

function summary(calls: readonly TracedCall[]): string {
  const count = (fits: (call: TracedCall) => boolean) => calls.filter(fits).length;
  const work = /^(kernel|blas|dnn|fill)$/;
  return [
    `${count(({ kind }) => work.test(kind))} pieces of work on the device`,
    `${count(({ kind }) => kind === "kernel")} kernels of ONNX Runtime's`,
    `${count((call) => call.kind === "kernel" && blocksOf(call) <= TINY)} of these of at most ${TINY} blocks`,
    `${count(({ kind, name }) => kind === "wait" || name === "cudaMemcpy")} waits`,
    `${count(({ detail }) => detail.startsWith("HostToDevice"))} copies to the device`,
    `${count(({ detail }) => detail.startsWith("DeviceToHost"))} copies from it`,
    `${count(({ kind }) => kind === "memory")} allocations`,
  ].join(", ");
}

function blocksOf({ detail }: TracedCall): number {
  const [grid = ""] = detail.split(" ");
  return grid.split(",").reduce((product, size) => product * Number(size), 1);
}

/** Calls by a property of their node, most first: "(of 12 nodes)". */
function countNodes(
  nodes: readonly NodeCalls[],
  property: (node: NodeCalls) => string,
): (readonly [number, string])[] {
  const counts = new Map<string, { nodes: number; calls: number }>();
  for (const node of nodes) {
    const before = counts.get(property(node)) ?? { nodes: 0, calls: 0 };
    counts.set(property(node), { nodes: before.nodes + 1, calls: before.calls + node.calls.length });
  }
  return [...counts]
    .map(([name, { nodes: count, calls }]) => [calls, `${name} (of ${count} nodes)`] as const)
    .sort((a, b) => b[0] - a[0] || (a[1] < b[1] ? -1 : 1));
}

/** "gradient: Conv" of the node gradient(fcn//layer1/conv2/Conv)/Reshape:5; numbers of layers left out. */
function partOf({ name }: NodeCalls): string {
  const origin = name.replace(/\/[^/]*$/, "");
  const [, wrapper, inner] = /^(\w+)\((.*)\)$/.exec(origin) ?? [];
  if (wrapper === "optimizer" || origin.startsWith("next")) return wrapper ?? "next";
  const last = (inner ?? origin).split("/").at(-1)?.replace(/\d+/g, "#") ?? "";
  return wrapper === undefined ? last : `${wrapper}: ${last}`;
}

function nodeLines(precision: string, nodes: readonly NodeCalls[]): string {
  return nodes
    .map(({ name, operator, calls }) => {
      const shown = calls.map((call) => `${call.name} ${call.detail}`.trim()).join("; ");
      return `${precision}\t${name}\t${operator}\t${shown}\n`;
    })
    .join("");
}

function printTable(title: string, rows: readonly (readonly [number, string])[]): void {
  console.log(`\n${title}`);
  for (const [count, text] of rows.slice(0, Number(flags.rows)))
    console.log(`${String(count).padStart(6)}  ${text}`);
}

const folder = providerWithoutDevice();
if (folder === undefined) {
  console.error("needs `mttc setup-cuda`, gcc and binutils");
  process.exitCode = 1;
} else {
  await main(folder);
}
