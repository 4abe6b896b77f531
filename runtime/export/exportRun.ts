// A trained run -> deployable ONNX files in one folder: whole model, one file per task, optionally the parts.
// Nothing is put in place before every file has been opened, run on real images and found equal to the
// trainer.
import { join, resolve } from "node:path";
import { refuseAnySize } from "../../compiler/export/anySize.ts";
import { type ExportedFile, exportModel } from "../../compiler/export/exportModel.ts";
import type { HeatmapWish } from "../../compiler/export/heatmaps.ts";
import { fullMetadata, type ModelKind } from "../../compiler/export/modelMetadata.ts";
import { writeDirectoryAtomically } from "../files/atomicDirectory.ts";
import { refuseForeignFolder } from "../files/ownOutput.ts";
import { OrtHost } from "../ort/ortHost.ts";
import type { RuntimeOptions } from "../ort/runtimeOptions.ts";
import { usageError } from "../train/trainerCalls.ts";
import { EXPORT_FOLDER, LIST_FILE } from "./exportedModel.ts";
import { exportOrigin } from "./exportOrigin.ts";
import type { ExportSource } from "./exportSource.ts";
import { ParameterValues } from "./parameterValues.ts";
import { checkParity, type ParityCheck } from "./parity.ts";
import { parityReference } from "./parityImages.ts";
import { ODD_PICTURES, readerVectors, VECTORS_FOLDER } from "./readerVectors.ts";
import { type FitOptions, fitTasks, type TaskCalibration, type TaskSelection } from "./taskFits.ts";

const LIST_FORMAT = "mttc-export";

export interface ExportRunOptions extends RuntimeOptions, FitOptions {
  /** Folder to write; default `<run>/export`. One that holds anything but an earlier export is refused. */
  readonly directory?: string | undefined;
  /** Also write trunk, shared layers and heads as files that compose. */
  readonly split?: boolean | undefined;
  /** Heat maps to be outputs of the files that take images; `{}`: at the features. Default: none. */
  readonly heatmaps?: HeatmapWish | undefined;
  /** Put the resize into the files: they take RGB images of any size, one at a time. Default false. */
  readonly anySize?: boolean | undefined;
  /** Also write `reader-vectors/`: odd pictures with the pixels and answers that training has of them. */
  readonly readerVectors?: boolean | undefined;
}

export interface ExportReport {
  readonly directory: string;
  /** Images that the comparison used. */
  readonly images: number;
  readonly files: readonly {
    readonly file: string;
    readonly kind: ModelKind;
    readonly tasks: readonly string[];
    readonly bytes: number;
  }[];
  readonly checks: readonly ParityCheck[];
  /** What was fitted to the validation labels, where that was asked for. */
  readonly calibration: readonly TaskCalibration[];
  readonly unsure: readonly TaskSelection[];
  /** What is to be said of the fits, and of the images that the comparison used. */
  readonly notes: readonly string[];
}

/**
 * Exports the model of `trainer` as it is now. All files or none are written. E_USAGE for a run without
 * logdir and no `directory`; E_RUN_EXISTS where it holds what is not ours, E_PARITY where one does not agree
 * with the trainer, E_CONFIG for what fitTasks refuses, E_USAGE and E_NOT_DIFFERENTIABLE for heat maps that
 * cannot be, those of refuseAnySize and readerVectors, E_FILE and E_DISK where they cannot be written,
 * E_CKPT_MISMATCH where the parameters of a run are not those that this mttc builds of its spec.
 */
export async function exportRun(
  trainer: ExportSource,
  options: ExportRunOptions = {},
): Promise<ExportReport> {
  refuseNoFolder(trainer, options);
  if (options.anySize) refuseAnySize(trainer.spec, options.split ?? false);
  const manifest = await trainer.manifest();
  const directory = resolve(options.directory ?? join(trainer.directory ?? ".", EXPORT_FOLDER));
  await refuseForeignExport(directory);
  const wish = options.unsure ?? trainer.spec.unsure ?? undefined;
  const fitted = await fitTasks(trainer, manifest, { calibrate: options.calibrate, unsure: wish });
  const classes = fitted.tasks.map(({ description }) => description);
  const values = new ParameterValues(await trainer.parameters(), manifest);
  const { split = false, heatmaps, anySize } = options;
  const trunk = await trainer.trunk();
  const origin = await exportOrigin(trainer);
  const files = exportModel(trainer.spec, classes, values, { split, trunk, origin, heatmaps, anySize });
  values.refuseUnused();
  const plain = split ? exportModel(trainer.spec, classes, values, { split, trunk, fold: false }) : [];
  const features = plain.filter(({ metadata: { kind } }) => kind === "trunk" || kind === "shared");
  const { reference, notes } = await parityReference(trainer, fitted.tasks, features);
  const contents = new Map(files.map(({ file, bytes }) => [file, bytes]));
  const [whole] = files;
  if (options.readerVectors && whole)
    for (const [name, bytes] of await readerVectors(whole, options)) contents.set(name, bytes);
  // What every file says of itself, too: onnxruntime-web shows no metadata.
  const models = Object.fromEntries(files.map(({ file, metadata }) => [file, fullMetadata(metadata)]));
  const list = { format: LIST_FORMAT, files: [...contents.keys(), LIST_FILE], models };
  contents.set(LIST_FILE, new TextEncoder().encode(`${JSON.stringify(list, null, 1)}\n`));
  let checks: ParityCheck[] = [];
  await using host = await OrtHost.start({
    libraryPath: options.ortLibrary,
    intraOpThreads: options.threads,
  });
  await writeDirectoryAtomically(directory, contents, {
    replace: true,
    check: async (folder) => {
      checks = await checkParity(host, folder, files, reference);
    },
  });
  const images = reference.images.shape[0] ?? 0;
  const { calibration, unsure } = fitted;
  return {
    ...{ directory, images, files: files.map(describeFile), checks, calibration, unsure },
    notes: [...fitted.notes, ...notes, ...(options.readerVectors ? [VECTORS_NOTE] : [])],
  };
}

const VECTORS_NOTE = `${VECTORS_FOLDER}/ holds ${ODD_PICTURES.length} odd pictures, and what training sees of each`;

/** A run without logdir lies in a temporary folder, which goes when the trainer is closed. */
function refuseNoFolder(trainer: ExportSource, { directory }: ExportRunOptions): void {
  if (trainer.spec.logdir !== null || directory !== undefined) return;
  throw usageError(
    "the run has no logdir: an export in its folder would go when the trainer is closed",
    'name a folder: exportRun(trainer, { directory: "models" })',
  );
}

/** E_RUN_EXISTS unless `directory` is absent, empty or an export and nothing else. */
export async function refuseForeignExport(directory: string): Promise<void> {
  await refuseForeignFolder(directory, { listFile: LIST_FILE, format: LIST_FORMAT });
}

function describeFile({ file, bytes, metadata }: ExportedFile): ExportReport["files"][number] {
  return { file, kind: metadata.kind, tasks: metadata.tasks.map(({ name }) => name), bytes: bytes.length };
}
