// `mttc compile SPEC -o DIR`: the bundle of ONNX files alone, without training.
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { BUNDLE_FORMAT, TARGETS, type Target } from "../compiler/bundle.ts";
import { compile } from "../compiler/compile.ts";
import { type Fault, formatFault } from "../compiler/diagnostics.ts";
import { specWarnings } from "../compiler/spec/specWarnings.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { refuseForeignFolder } from "../runtime/checkpoint/ownOutput.ts";
import { readForeignModels } from "../runtime/models/foreignModels.ts";
import { MANIFEST_FILE, writeBundleDirectory } from "../runtime/runs/bundleDirectory.ts";
import { dumpTrace, joinTraces, type StageTime, timingTrace } from "./graphDump.ts";
import { shownPath } from "./pathText.ts";
import { loadClasses, loadExperiment } from "./specFile.ts";
import { bytes, decimal, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

interface Flags {
  readonly output: string;
  readonly target: Target;
  readonly timing?: boolean;
  readonly json?: boolean;
}

/** `--target`, also of `mttc inspect`. */
export function targetOption(): Option {
  return new Option("--target <provider>", "what graphs are spelled for").choices(TARGETS).default("cpu");
}

export function addCompileCommand(program: Command, terminal: Terminal): void {
  program
    .command("compile")
    .description("compile a spec into a bundle of ONNX graphs (train, grad, apply, evaluate, trunk)")
    .argument("<spec>", "spec file (YAML or JSON)")
    .requiredOption("-o, --output <dir>", "folder to write; an older bundle there is replaced")
    .addOption(targetOption())
    .option("--timing", "print how long each stage and pass took")
    .option("--json", "print the result as JSON")
    .addHelpText("after", "\nMTTC_DUMP=dir writes the graph after every stage and pass to dir.")
    .action((spec: string, flags: Flags) => compileSpec(spec, flags, terminal));
}

async function compileSpec(file: string, flags: Flags, terminal: Terminal): Promise<void> {
  const directory = resolve(flags.output);
  await refuseForeignFolder(directory, { listFile: MANIFEST_FILE, format: BUNDLE_FORMAT });
  const experiment = await loadExperiment(file);
  const { classes, warnings } = await loadClasses(experiment);
  const models = await readForeignModels(experiment.spec, experiment.baseDirectory, classes);
  for (const note of models.notes) terminal.note(visibleText(note));
  for (const warning of [...specWarnings(experiment.spec), ...warnings])
    terminal.note(`${terminal.noteColours.yellow("warning:")} ${visibleText(warning)}`);
  const timing = timingTrace();
  const dump = process.env.MTTC_DUMP;
  const trace = joinTraces([...(dump ? [dumpTrace(dump)] : []), timing.trace]);
  const warn = (fault: Fault): void =>
    terminal.note(`${terminal.noteColours.yellow("warning:")} ${formatFault(fault)}`);
  const started = performance.now();
  const bundle = compile(experiment.spec, classes, { ...models, target: flags.target, trace, warn });
  const milliseconds = performance.now() - started;
  const { files } = await writeBundleDirectory(directory, bundle);
  const sizes = Object.entries(files).map(([name, entry]) => ({ name, bytes: entry.bytes }));
  if (flags.json) {
    const stages = flags.timing ? { stages: timing.times } : {};
    terminal.out(JSON.stringify({ directory, milliseconds, files: sizes, ...stages }, null, 2));
    return;
  }
  if (flags.timing) terminal.out(timingTable(timing.times, terminal));
  const rows = sizes.map((entry) => [entry.name, bytes(entry.bytes)]);
  terminal.out(renderTable(terminal, ["file", "size"], rows, [1]));
  terminal.out(`Compiled in ${Math.round(milliseconds)} ms; written to ${shownPath(directory)}`);
  if (dump) terminal.out(`The graph after every stage and pass is in ${shownPath(resolve(dump))}`);
}

/** A line per graph with its sum, and its stages below it. */
function timingTable(times: readonly StageTime[], terminal: Terminal): string {
  const graphs = [...new Set(times.map(({ stage }) => graphOf(stage)))];
  const rows = graphs.flatMap((graph) => {
    const own = times.filter(({ stage }) => graphOf(stage) === graph);
    const sum = own.reduce((total, { ms }) => total + ms, 0);
    const stages = own.map(({ stage, ms, nodes }) => [
      `  ${stage.slice(graph.length + 1)}`,
      decimal(ms, 1),
      String(nodes),
    ]);
    return [[graph, decimal(sum, 1), ""], ...stages];
  });
  return renderTable(terminal, ["stage", "ms", "nodes"], rows, [1, 2]);
}

function graphOf(stage: string): string {
  return stage.slice(0, stage.lastIndexOf("/"));
}
