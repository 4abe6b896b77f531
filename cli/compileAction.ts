// What `mttc compile` does: labels and models -> bundle -> folder, with a report.
import { resolve } from "node:path";
import { stateMetadata } from "../compiler/bundle/bundleFiles.ts";
import {
  BUNDLE_FORMAT,
  MANIFEST_FILE,
  STATE_FILE,
  type StoredManifest,
  type Target,
} from "../compiler/bundle/manifest.ts";
import { compile } from "../compiler/compile.ts";
import { type Fault, formatFault } from "../compiler/diagnostics.ts";
import { TARGET_TRAITS } from "../compiler/lower/targets.ts";
import { specWarnings } from "../compiler/spec/specWarnings.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { refuseForeignFolder } from "../runtime/files/ownOutput.ts";
import { readForeignModels } from "../runtime/models/foreignModels.ts";
import { readUpToDate, writeBundleDirectory } from "../runtime/runs/bundleDirectory.ts";
import { compilationKey } from "../runtime/runs/compilationKey.ts";
import type { Experiment } from "../runtime/train/experiment.ts";
import { InitialWeights } from "../runtime/train/initialWeights.ts";
import { dumpTrace, joinTraces, type StageTime, timingTrace } from "./graphDump.ts";
import { loadClasses } from "./knownClasses.ts";
import { shownPath } from "./pathText.ts";
import { bytes, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";
import { timingTable } from "./timingTable.ts";

/** Options of the command. */
export interface CompileFlags {
  readonly output: string;
  readonly target: Target;
  readonly timing?: boolean;
  readonly json?: boolean;
}

/** Compiles the experiment and writes its bundle. */
export async function compileExperiment(
  experiment: Experiment,
  flags: CompileFlags,
  terminal: Terminal,
): Promise<void> {
  const directory = resolve(flags.output);
  await refuseForeignFolder(directory, { listFile: MANIFEST_FILE, format: BUNDLE_FORMAT });
  const { classes, warnings } = await loadClasses(experiment);
  const models = await readForeignModels(experiment.spec, experiment.baseDirectory, classes);
  for (const note of models.notes) terminal.note(visibleText(note));
  for (const warning of [...specWarnings(experiment.spec), ...warnings])
    terminal.note(`${terminal.noteColours.yellow("warning:")} ${visibleText(warning)}`);
  const initial = await InitialWeights.read(experiment.spec, experiment.baseDirectory, classes);
  const timing = timingTrace();
  const dump = process.env.MTTC_DUMP;
  const { spec } = experiment;
  const { target } = flags;
  const key = compilationKey({ spec, classes, models, target, initial: initial?.sha256 });
  // A compilation for a device names what its kernels leave out, and one that is watched has to be done.
  const isWatched = flags.timing === true || Boolean(dump);
  const isWhole = TARGET_TRAITS[target].kernelFaults === undefined && !isWatched;
  const known = isWhole ? await readUpToDate(directory, key) : undefined;
  // A bundle of before drivers' states were taken back says nothing for them.
  if (known?.files[STATE_FILE] && known.checkpoint)
    return showBundle({ directory, files: known.files }, flags, terminal);
  const trace = joinTraces([...(dump ? [dumpTrace(dump)] : []), timing.trace]);
  const warn = (fault: Fault): void =>
    terminal.note(`${terminal.noteColours.yellow("warning:")} ${formatFault(fault)}`);
  const started = performance.now();
  const bundle = compile(spec, classes, { ...models, initialValues: initial?.values, target, trace, warn });
  initial?.refuseNone();
  for (const line of initial?.lines() ?? []) terminal.note(visibleText(line));
  const milliseconds = performance.now() - started;
  const checkpoint = stateMetadata({ spec, classes, models, initial: initial?.sha256 });
  const { files } = await writeBundleDirectory(directory, bundle, { key, checkpoint });
  if (flags.timing && !flags.json) terminal.out(timingTable(timing.times, terminal));
  showBundle({ directory, files, milliseconds, times: timing.times }, flags, terminal);
  if (dump && !flags.json)
    terminal.out(`The graph after every stage and pass is in ${shownPath(resolve(dump))}`);
}

/** A bundle on the disk; without `milliseconds` it was up to date. */
interface ShownBundle {
  readonly directory: string;
  readonly files: StoredManifest["files"];
  readonly milliseconds?: number;
  readonly times?: readonly StageTime[];
}

function showBundle(shown: ShownBundle, flags: CompileFlags, terminal: Terminal): void {
  const { directory, files, milliseconds = 0, times } = shown;
  const upToDate = shown.milliseconds === undefined;
  const sizes = Object.entries(files).map(([name, entry]) => ({ name, bytes: entry.bytes }));
  if (flags.json) {
    const stages = flags.timing ? { stages: times } : {};
    terminal.out(JSON.stringify({ directory, milliseconds, upToDate, files: sizes, ...stages }, null, 2));
    return;
  }
  const rows = sizes.map((entry) => [entry.name, bytes(entry.bytes)]);
  terminal.out(renderTable(terminal, ["file", "size"], rows, [1]));
  const made = `Compiled in ${Math.round(milliseconds)} ms; written to ${shownPath(directory)}`;
  terminal.out(upToDate ? `Up to date, nothing was compiled: ${shownPath(directory)}` : made);
}
