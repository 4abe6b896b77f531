// The report of a GPU run: one JSON object, and the same as tables in Markdown for people. What was not
// measured says why.

import type { GraphGain } from "./graphGain.ts";
import type { LoaderShare } from "./loaderShare.ts";
import type { Parity } from "./parity.ts";
import type { GraphPlacement } from "./placement.ts";
import type { Rate } from "./rates.ts";

export interface FormRow {
  readonly section: string;
  /** Operator and shape. */
  readonly shape: string;
  /** Median milliseconds by form; null where the provider refused it. */
  readonly times: Readonly<Record<string, number | null>>;
}

/** A bound and whether it holds. */
export interface Verdict {
  readonly what: string;
  readonly found: number;
  readonly bound: number;
}

export interface GpuReport {
  readonly format: "mttc-gpu-report";
  readonly commit: string;
  readonly machine: Readonly<Record<string, string>>;
  readonly placements: readonly GraphPlacement[];
  readonly parity: readonly (Parity & Verdict)[];
  /** Experiments whose placement or parity could not be had, with the message. */
  readonly failures: readonly string[];
  readonly forms: readonly FormRow[];
  readonly rates: readonly Rate[];
  readonly augmentation: readonly Rate[];
  readonly graphs: readonly GraphGain[];
  readonly loader: readonly LoaderShare[];
  /** What torch_rates.py printed. */
  readonly torch: unknown;
  /** Parts that were not measured, and why. */
  readonly left: Readonly<Record<string, string>>;
}

/** The report as Markdown. */
export function reportText(report: GpuReport): string {
  const { machine, placements, parity, failures, forms, rates, augmentation, graphs, loader, left } = report;
  const onCpu = placements.flatMap(({ experiment, graph, onCpu: nodes }) =>
    nodes.map((node) => [experiment, graph, node]),
  );
  const shown = (value: number | null, digits = 1): string => (value === null ? "-" : value.toFixed(digits));
  const rateRows = (list: readonly Rate[]): string[][] =>
    list.map(({ what, precision, batch, imagesPerSecond, trafficBytes, memoryBytes, failure }) => [
      ...[what, precision, String(batch), shown(imagesPerSecond)],
      shown(trafficBytes === null ? null : trafficBytes / 1e9),
      shown(
        trafficBytes === null || imagesPerSecond === null
          ? null
          : (trafficBytes / 1e9) * (imagesPerSecond / batch),
      ),
      shown(memoryBytes === null ? null : memoryBytes / 2 ** 30),
      failure?.split("\n")[0]?.slice(0, 120) ?? "",
    ]);
  const rateHead = [
    ...["what", "precision", "batch", "images/s", "a step moves, GB", "GB/s", "device memory, GiB"],
    "failure",
  ];
  return [
    `# mttc on ${machine.device ?? "this machine"}`,
    table(["", ""], [["commit", report.commit], ...Object.entries(machine)]),
    "## Placement",
    `${placements.length} graphs, ${placements.reduce((sum, { nodes }) => sum + nodes, 0)} nodes; on the CPU: ` +
      `${onCpu.length}.`,
    ...(onCpu.length > 0 ? [table(["experiment", "graph", "node on the CPU"], onCpu)] : []),
    "## Parity with the CPU",
    table(
      ["what", "steps", "found", "bound", "", "tensor"],
      parity.map(({ what, steps, found, bound, tensor }) => [
        ...[what, String(steps), found.toExponential(1), String(bound)],
        ...[found <= bound ? "holds" : "FAILS", tensor],
      ]),
    ),
    ...(failures.length > 0
      ? [
          table(
            ["failed"],
            failures.map((failure) => [failure.replaceAll("\n", "; ")]),
          ),
        ]
      : []),
    "## Forms of operators, median ms",
    table(
      ["section", "shape", "times"],
      forms.map(({ section, shape, times }) => [
        section,
        shape,
        Object.entries(times)
          .sort(([, a], [, b]) => (a ?? Number.POSITIVE_INFINITY) - (b ?? Number.POSITIVE_INFINITY))
          .map(([form, ms]) => `${form} ${shown(ms, 3)}`)
          .join(", "),
      ]),
    ),
    "## Rates",
    table(rateHead, rateRows(rates)),
    "## Augmentation in the step",
    table(rateHead, rateRows(augmentation)),
    "## CUDA graphs",
    table(
      ["what", "precision", "batch", "plain, images/s", "captured, images/s", "gain", "proof"],
      graphs.map(({ what, precision, batch, plain, captured, proof }) => [
        ...[what, precision, String(batch), shown(plain), shown(captured)],
        plain === null || captured === null ? "-" : (captured / plain).toFixed(2),
        proof,
      ]),
    ),
    "## Waiting for images",
    table(
      ["JPEGs of 500x375 pixels", "epoch", "images/s", "share of the time that the device waited"],
      loader.map(({ what, epoch, imagesPerSecond, waitShare }) => [
        ...[what, String(epoch), shown(imagesPerSecond), waitShare.toFixed(3)],
      ]),
    ),
    "## PyTorch",
    `\`\`\`json\n${JSON.stringify(report.torch, null, 1)}\n\`\`\``,
    "## Left out",
    table(["what", "why"], Object.entries(left)),
  ].join("\n\n");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
