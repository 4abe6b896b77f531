// What `mttc inspect` does: an experiment -> facts of its model, a graph of its compilation, or the placement
// of its operators.
import { DEFAULT_TARGET, type Target } from "../compiler/bundle/manifest.ts";
import { compile } from "../compiler/compile.ts";
import { MttcError } from "../compiler/diagnostics.ts";
import type { CombineFacts } from "../compiler/inspect/combineFacts.ts";
import { inspectModel, type LayerFacts, type ModelFacts } from "../compiler/inspect/modelFacts.ts";
import { type RankFacts, rankFacts } from "../compiler/inspect/rankFacts.ts";
import { type ScheduleFacts, scheduleFacts } from "../compiler/inspect/scheduleFacts.ts";
import { graphText, StageLog } from "../compiler/inspect/stages.ts";
import type { TrunkFacts } from "../compiler/inspect/trunkFacts.ts";
import { importedFcn } from "../compiler/model/importedTrunk.ts";
import type { TaskClasses } from "../compiler/model/network.ts";
import type { ModelSpec, NetworkSpec, Spec } from "../compiler/spec/schema.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { type ForeignModels, readForeignModels } from "../runtime/models/foreignModels.ts";
import { OrtHost } from "../runtime/ort/ortHost.ts";
import { providerTraits } from "../runtime/ort/provider.ts";
import { ortOptions } from "../runtime/ort/runtimeOptions.ts";
import { readBundleDirectory } from "../runtime/runs/bundleDirectory.ts";
import type { Experiment } from "../runtime/train/experiment.ts";
import { placeGraphs } from "../runtime/train/placements.ts";
import { bundleText } from "./bundleText.ts";
import { type CheckpointFacts, checkpointTable } from "./checkpointTable.ts";
import { loadClasses } from "./knownClasses.ts";
import { placementText } from "./placementText.ts";
import { type CheckpointFlags, type RuntimeFlags, runtimeOptions } from "./runtimeOptions.ts";
import { scheduleText } from "./scheduleText.ts";
import { bytes, count, renderTable, scaled } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command. */
export interface InspectFlags extends RuntimeFlags, CheckpointFlags {
  readonly json?: boolean;
  readonly stage?: string;
  readonly at?: string;
  readonly target: Target;
  readonly placement?: boolean;
  readonly ranks?: number;
}

/** Prints facts (of a run with its `checkpoints`), a graph, or where operators run. */
export async function inspect(
  experiment: Experiment,
  flags: InspectFlags,
  terminal: Terminal,
  checkpoints?: CheckpointFacts,
): Promise<void> {
  const { classes, warnings, rows } = await loadClasses(experiment);
  const models = await readForeignModels(experiment.spec, experiment.baseDirectory, classes);
  if (flags.stage !== undefined) {
    const log = new StageLog();
    const { target, ranks } = flags;
    compile(experiment.spec, classes, { ...models, target, ranks, trace: log.trace });
    const text = graphText(log.find(flags.stage), flags.at).trimEnd();
    if (text === "") throw nothingThere(flags);
    terminal.out(text);
    return;
  }
  if (flags.placement) return await showPlacement(experiment.spec, classes, models, flags, terminal);
  const { ranks = 1 } = flags;
  const facts = inspectModel(experiment.spec, classes, models);
  const rate = scheduleFacts(experiment.spec, rows);
  const between = ranks > 1 ? rankFacts(experiment.spec, classes, models, ranks) : undefined;
  const odd = [...(between ?? facts).warnings, ...(rate?.notes ?? []), ...warnings];
  const all = {
    ...{ ...facts, notes: models.notes, warnings: odd, ...(rate && { learningRate: rate }) },
    ...(between ? { ranks: between } : {}),
    ...(checkpoints ? { checkpoints } : {}),
  };
  terminal.out(flags.json ? JSON.stringify(all, null, 2) : factsText(experiment.spec, all, terminal));
}

/** Prints what the graphs of a bundle take and give, by role. E_BUNDLE, E_FILE; E_USAGE for other flags. */
export async function inspectBundle(path: string, flags: InspectFlags, terminal: Terminal): Promise<void> {
  if (flags.stage !== undefined || flags.at !== undefined || flags.placement)
    throw new MttcError({
      code: "E_USAGE",
      message: "of a bundle only what its graphs take and give is known",
      at: { file: path },
      hint: "--stage, --at and --placement want the spec, or a run",
    });
  const { files: _, compiled: __, ...manifest } = await readBundleDirectory(path, []);
  terminal.out(flags.json ? JSON.stringify(manifest, null, 2) : bundleText(manifest, terminal));
}

async function showPlacement(
  spec: Spec,
  classes: TaskClasses,
  models: ForeignModels,
  flags: InspectFlags,
  terminal: Terminal,
): Promise<void> {
  await using host = await OrtHost.start(ortOptions(runtimeOptions(flags), spec.precision !== "fp32"));
  if (host.note !== undefined) terminal.note(host.note);
  // On the default's provider any target can be looked at; another provider runs its own only.
  const { target: own } = providerTraits(host.provider);
  const target = own === DEFAULT_TARGET ? flags.target : own;
  const placed = await placeGraphs(host, compile(spec, classes, { ...models, target }));
  terminal.out(flags.json ? JSON.stringify(placed, null, 2) : placementText(placed, terminal));
}

/** Facts, and what was decided while models were read. */
interface ShownFacts extends ModelFacts {
  readonly notes: readonly string[];
  /** Where it is not constant. */
  readonly learningRate?: ScheduleFacts;
  readonly checkpoints?: CheckpointFacts;
  /** Of the processes that --ranks asks about. */
  readonly ranks?: RankFacts;
}

function factsText(spec: Spec, facts: ShownFacts, terminal: Terminal): string {
  const { bold, dim, yellow } = terminal.colours;
  const sections: [string, string][] = [
    ...(facts.trunk ? [["Imported trunk", trunkTable(spec, facts.trunk, terminal)] as [string, string]] : []),
    ...(facts.trunk && facts.trunk.fixed.length > 0
      ? [["Taken for fixed (fcn.train overrules)", fixedTable(facts.trunk, terminal)] as [string, string]]
      : []),
    ["Parameters and operations", partTable(facts, terminal)],
    ["Layers (one image)", layerTable(facts, terminal)],
    ["Memory in training", memoryTable(facts, terminal)],
    ...(facts.learningRate
      ? [["Learning rate", scheduleText(facts.learningRate, terminal)] as [string, string]]
      : []),
    ["Which task's loss trains what", reachTable(facts, terminal)],
    ...(facts.ranks ? [["Several processes", rankTable(facts.ranks, terminal)] as [string, string]] : []),
    ...(facts.combine
      ? [["Combining gradients", combineTable(facts.combine, terminal)] as [string, string]]
      : []),
    ...(facts.checkpoints
      ? [["Checkpoints", checkpointTable(facts.checkpoints, terminal)] as [string, string]]
      : []),
  ];
  const warnings = facts.warnings.map((warning) => `${yellow("warning:")} ${visibleText(warning)}`);
  const notes = facts.notes.map((note) => `${dim("note:")} ${visibleText(note)}`);
  const texts = sections.map(([title, text]) => `${bold(title)}\n${text}\n`);
  // Of whoever wrote the spec; those above are mttc's.
  const own = spec.notes === null ? [] : [`${bold("Notes")}\n${visibleText(spec.notes.trim())}\n`];
  return [...own, ...texts, ...notes, ...warnings].join("\n").trimEnd();
}

function trunkTable(spec: ModelSpec, facts: TrunkFacts, terminal: Terminal): string {
  const { file, layout, cutAt, features } = facts;
  const images = [spec.num_channels, ...spec.imshape].join(" x ");
  const rows = [
    ["file", file],
    ["image input", layout],
    ["cut at", importedFcn(spec)?.output == null ? `${cutAt} (chosen; fcn.output changes it)` : cutAt],
    ["features", `${features.join(" x ")}, of images ${images}`],
    ["trains", trainedText(spec, facts)],
    ["batch norms", normText(facts)],
  ];
  return renderTable(terminal, ["what", "value"], rows);
}

function fixedTable({ fixed }: TrunkFacts, terminal: Terminal): string {
  const rows = fixed.map(({ name, shape, reason }) => [name, shape.join(" x ") || "1", reason]);
  return renderTable(terminal, ["tensor", "shape", "why it is never trained"], rows);
}

function trainedText(
  { train_fcn: trained }: Pick<NetworkSpec, "train_fcn">,
  { nodes, trainedNodes, from }: TrunkFacts,
): string {
  if (trained === false) return "nothing (train_fcn: false)";
  if (trained === true) return `all of its ${nodes} nodes (train_fcn: true)`;
  return `the last ${trainedNodes} of ${nodes} nodes, from ${from} on`;
}

function normText({ norms, trainedNorms }: TrunkFacts): string {
  if (norms === 0) return "none";
  return trainedNorms === 0
    ? `${norms}, frozen`
    : `${norms}, of which ${trainedNorms} train their statistics`;
}

function partTable({ parts, batchSize }: ModelFacts, terminal: Terminal): string {
  const row = (name: string, list: ModelFacts["parts"]): string[] => {
    const sum = (pick: (part: ModelFacts["parts"][number]) => number): number =>
      list.reduce((total, part) => total + pick(part), 0);
    return [
      name,
      count(sum((part) => part.trained)),
      count(sum((part) => part.frozen)),
      count(sum((part) => part.statistics)),
      scaled(sum((part) => part.forwardFlops)),
      scaled(sum((part) => part.stepFlops)),
    ];
  };
  const rows = [...parts.map((part) => row(part.part, [part])), row("all", parts)];
  const head = ["part", "trained", "frozen", "statistics", "FLOPs/image", `FLOPs/step of ${batchSize}`];
  return renderTable(terminal, head, rows, [1, 2, 3, 4, 5]);
}

function layerTable({ layers }: ModelFacts, terminal: Terminal): string {
  const rows = layers.map((layer) => [layer.origin, layerName(layer), layer.shape.join(" x ")]);
  return renderTable(terminal, ["layer", "kind", "output"], rows);
}

const LAYER_NAMES: Readonly<Record<string, string>> = {
  p: "max pooling",
  d: "spatial dropout",
  r: "residual block",
  dense: "global pooling, dense",
  imported: "imported network",
};

function layerName({ layer }: LayerFacts): string {
  return typeof layer === "number" ? `convolution, ${layer} filters` : (LAYER_NAMES[layer] ?? layer);
}

function memoryTable({ memory, microBatches }: ModelFacts, terminal: Terminal): string {
  const total = 2 * memory.state + memory.constants + memory.accumulators + memory.activations;
  const unit = microBatches > 1 ? "micro-batch" : "batch";
  const rows = [
    ["state (weights, optimizer slots), two sets", bytes(2 * memory.state)],
    ["frozen weights", bytes(memory.constants)],
    ["gradient sums, two sets", bytes(memory.accumulators)],
    [`intermediate values of one ${unit} (estimate)`, bytes(memory.activations)],
    ["all", bytes(total)],
  ];
  return renderTable(terminal, ["what", "size"], rows, [1]);
}

function reachTable({ reach }: ModelFacts, terminal: Terminal): string {
  const rows = reach.map(({ task, numbers, loss = "-", weight, parts }) => [
    task,
    String(numbers),
    loss,
    String(weight),
    parts.join(", ") || "nothing",
  ]);
  return renderTable(terminal, ["task", "outputs", "loss", "weight", "trains"], rows, [1]);
}

/** Of a step that learns factors of losses: the forward passes that it takes for them. */
const LOOKS = [
  "",
  ", which looks at each batch once more after its step",
  ", which looks at each batch before its gradients and after its step",
] as const;

function combineTable(facts: CombineFacts, terminal: Terminal): string {
  const { method, atFeatures, looks, tasks, stepFlops, sumFlops, sharedNumbers, gradientBytes } = facts;
  const how = atFeatures ? ", at the shared features" : LOOKS[looks];
  const times = sumFlops > 0 ? ` (${(stepFlops / sumFlops).toFixed(2)} of sum's ${scaled(sumFlops)})` : "";
  const rows = [
    ["method", `${method}${how}`],
    ["tasks", tasks.join(", ")],
    ["FLOPs of a step", `${scaled(stepFlops)}${times}`],
    ...(atFeatures || looks > 0
      ? []
      : [[`gradients by task of ${count(sharedNumbers)} shared numbers`, bytes(gradientBytes)]]),
  ];
  return renderTable(terminal, ["what", "value"], rows);
}

function rankTable(facts: RankFacts, terminal: Terminal): string {
  const { ranks, rows: images, microBatches, gradientBytes, exchanges, exchangedBytes } = facts;
  const times = microBatches > 1 ? `, ${microBatches} times a step` : "";
  const rows = [
    ["processes", count(ranks)],
    ["images at once, of each", `${count(images)}${times}`],
    ["gradients that are summed, a step", bytes(gradientBytes)],
    ["exchanges inside the graphs, a step", count(exchanges)],
    ...(exchanges > 0 ? [["... of each process, together", bytes(exchangedBytes)]] : []),
  ];
  return renderTable(terminal, ["what", "value"], rows);
}

function nothingThere({ stage, at }: InspectFlags): MttcError {
  return new MttcError({
    code: "E_USAGE",
    message: `--at "${at}": nothing in --stage ${stage} comes from there`,
    hint: "without --at every line is printed, and ends in the place in the spec that it comes from",
  });
}
