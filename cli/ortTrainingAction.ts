// What `mttc compile --target ort-training` does: labels and models -> artifacts of ONNX Runtime Training ->
// folder, with a report.
import { resolve } from "node:path";
import { stateMetadata } from "../compiler/bundle/bundleFiles.ts";
import { ARTIFACTS_FILE, ARTIFACTS_FORMAT } from "../compiler/ortTraining/artifactManifest.ts";
import { compileOrtTraining, type OrtArtifacts } from "../compiler/ortTraining/compileOrtTraining.ts";
import { DEFAULT_ORT_VERSION, type OrtVersion } from "../compiler/ortTraining/ortVersions.ts";
import { specWarnings } from "../compiler/spec/specWarnings.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { writeDirectoryAtomically } from "../runtime/files/atomicDirectory.ts";
import { type ContentDescription, describeContent } from "../runtime/files/fileContent.ts";
import { refuseForeignFolder } from "../runtime/files/ownOutput.ts";
import { readForeignModels } from "../runtime/models/foreignModels.ts";
import { batchesPerEpoch } from "../runtime/tables/rowOrder.ts";
import { InitialWeights } from "../runtime/train/initialWeights.ts";
import { dumpTrace, joinTraces, type StageTime, timingTrace } from "./graphDump.ts";
import { loadClasses } from "./knownClasses.ts";
import { shownPath } from "./pathText.ts";
import type { LocatedExperiment } from "./specFile.ts";
import { bytes, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";
import { timingTable } from "./timingTable.ts";

/** Options of the command. */
export interface OrtTrainingFlags {
  readonly output: string;
  readonly ortVersion?: OrtVersion;
  readonly timing?: boolean;
  readonly json?: boolean;
}

/** Compiles the experiment and writes its artifacts, all or none. */
export async function compileArtifacts(
  { experiment, locate }: LocatedExperiment,
  flags: OrtTrainingFlags,
  terminal: Terminal,
): Promise<void> {
  const { spec, baseDirectory } = experiment;
  const directory = resolve(flags.output);
  await refuseForeignFolder(directory, { listFile: ARTIFACTS_FILE, format: ARTIFACTS_FORMAT });
  const { classes, warnings, rows } = await loadClasses(experiment);
  const models = await readForeignModels(spec, baseDirectory, classes);
  const warn = (text: string): void =>
    terminal.note(`${terminal.noteColours.yellow("warning:")} ${visibleText(text)}`);
  for (const note of models.notes) terminal.note(visibleText(note));
  for (const warning of [...specWarnings(spec), ...warnings]) warn(warning);
  const initial = await InitialWeights.read(spec, baseDirectory, classes);
  const timing = timingTrace();
  const dump = process.env.MTTC_DUMP;
  const trace = joinTraces([...(dump ? [dumpTrace(dump)] : []), timing.trace]);
  const started = performance.now();
  const artifacts = compileOrtTraining(spec, classes, {
    ...{ ...models, initialValues: initial?.values, locate, trace },
    ortVersion: flags.ortVersion ?? DEFAULT_ORT_VERSION,
    properties: {
      ...stateMetadata({ spec, classes, models, initial: initial?.sha256 }),
      // What `mttc adopt` counts epochs by.
      ...(rows === undefined ? {} : { steps_per_epoch: String(batchesPerEpoch(rows, spec.batch_size)) }),
    },
  });
  initial?.refuseNone();
  for (const line of initial?.lines() ?? []) terminal.note(visibleText(line));
  for (const difference of artifacts.manifest.differences) warn(difference);
  const milliseconds = performance.now() - started;
  const files = await writeArtifacts(directory, artifacts);
  const { ortVersions: releases } = artifacts.manifest;
  showArtifacts({ directory, files, milliseconds, releases, times: timing.times }, flags, terminal);
}

/** Artifacts on the disk. */
interface ShownArtifacts {
  readonly directory: string;
  readonly files: Files;
  readonly milliseconds: number;
  readonly releases: readonly string[];
  readonly times: readonly StageTime[];
}

function showArtifacts(
  { directory, files, milliseconds, releases, times }: ShownArtifacts,
  { json = false, timing = false }: OrtTrainingFlags,
  terminal: Terminal,
): void {
  if (json) {
    const stages = timing ? { stages: times } : {};
    terminal.out(JSON.stringify({ directory, milliseconds, files: sizes(files), ...stages }, null, 2));
    return;
  }
  if (timing) terminal.out(timingTable(times, terminal));
  const rows = sizes(files).map((file) => [file.name, bytes(file.bytes)]);
  terminal.out(renderTable(terminal, ["file", "size"], rows, [1]));
  terminal.out(
    `Artifacts of ONNX Runtime Training ${releases.join(" and ")}, made in ${Math.round(milliseconds)} ms; ` +
      `written to ${shownPath(directory)}`,
  );
}

type Files = Readonly<Record<string, ContentDescription>>;

function sizes(files: Files): { name: string; bytes: number }[] {
  return Object.entries(files).map(([name, entry]) => ({ name, bytes: entry.bytes }));
}

/** Writes the files and the manifest, which lists them. */
async function writeArtifacts(directory: string, { manifest, files }: OrtArtifacts): Promise<Files> {
  const described: Record<string, ContentDescription> = {};
  for (const [name, content] of files) described[name] = await describeContent(content);
  const text = new TextEncoder().encode(`${JSON.stringify({ ...manifest, files: described }, null, 1)}\n`);
  const contents = new Map([...files, [ARTIFACTS_FILE, text]]);
  await writeDirectoryAtomically(directory, contents, { replace: true });
  return described;
}
