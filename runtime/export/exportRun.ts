// A trained run -> deployable ONNX files in one folder: whole model, one file per task, optionally the parts.
// Nothing is put in place before every file has been opened, run on real images and found equal to the
// trainer.
import { join, resolve } from "node:path";
import { InternalError } from "../../compiler/diagnostics.ts";
import { type ExportedFile, exportModel } from "../../compiler/exportModel.ts";
import { fullMetadata, type ModelKind } from "../../compiler/model/modelMetadata.ts";
import { writeDirectoryAtomically } from "../checkpoint/atomicDirectory.ts";
import { imageDepth } from "../data/imageFormat.ts";
import { ImageReader, imageBytes, imageFormat } from "../data/images.ts";
import { arrayOver } from "../ort/hostTensor.ts";
import { type HostTensor, OrtHost } from "../ort/ortHost.ts";
import type { RuntimeOptions } from "../ort/runtimeOptions.ts";
import type { MultiTaskTrainer } from "../train/multiTaskTrainer.ts";
import { exportOrigin } from "./exportOrigin.ts";
import { refuseForeignFolder } from "./ownFolder.ts";
import { checkParity, type ParityCheck, type ParityReference } from "./parity.ts";

/** Default name of an export's folder, inside the run's. */
export const EXPORT_FOLDER = "export";
const LIST_FILE = "export.json";
const LIST_FORMAT = "mttc-export";
/** Images of the parity check, at most. */
const PARITY_IMAGES = 64;

export interface ExportRunOptions extends RuntimeOptions {
  /** Folder to write; default `<run>/export`. One that holds anything but an earlier export is refused. */
  readonly directory?: string | undefined;
  /** Also write trunk, shared layers and heads as files that compose. */
  readonly split?: boolean | undefined;
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
}

/**
 * Exports the model of `trainer` as it is now. All files or none are written. E_PARITY where one does not
 * agree with the trainer, E_FILE and E_DISK where they cannot be written, and what reading images can throw.
 */
export async function exportRun(
  trainer: MultiTaskTrainer,
  options: ExportRunOptions = {},
): Promise<ExportReport> {
  const manifest = await trainer.manifest();
  const directory = resolve(options.directory ?? join(trainer.directory ?? ".", EXPORT_FOLDER));
  await refuseForeignFolder(directory, { listFile: LIST_FILE, format: LIST_FORMAT });
  const classes = manifest.tasks.map(({ name, classes: names }) => ({ task: name, classes: names }));
  const values = await trainer.parameters();
  const { split = false } = options;
  const trunk = await trainer.trunk();
  const origin = await exportOrigin(trainer);
  const files = exportModel(manifest.spec, classes, values, { split, trunk, origin });
  const plain = split ? exportModel(manifest.spec, classes, values, { split, trunk, fold: false }) : [];
  const features = plain.filter(({ metadata: { kind } }) => kind === "trunk" || kind === "shared");
  const reference = await parityReference(trainer, features);
  const contents = new Map(files.map(({ file, bytes }) => [file, bytes]));
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
  return { directory, images: reference.images.shape[0] ?? 0, files: files.map(describeFile), checks };
}

function describeFile({ file, bytes, metadata }: ExportedFile): ExportReport["files"][number] {
  return { file, kind: metadata.kind, tasks: metadata.tasks.map(({ name }) => name), bytes: bytes.length };
}

/** Up to 64 images of the evaluation rows, evenly spread, and what the trainer makes of them. */
async function parityReference(
  trainer: MultiTaskTrainer,
  features: readonly ExportedFile[],
): Promise<ParityReference> {
  const rows = await trainer.evaluationRows();
  const count = Math.min(PARITY_IMAGES, rows.paths.length);
  const chosen = Array.from({ length: count }, (_, i) => Math.floor((i * rows.paths.length) / count));
  const paths = chosen.map((row) => rows.paths.at(row) ?? missingRow(row));
  const format = imageFormat(trainer.spec);
  const reader = new ImageReader(format, 0);
  const size = imageBytes(format);
  const data = new Uint8Array(count * size);
  await Promise.all(
    paths.map((path, i) =>
      reader.read(path, data.subarray(i * size, (i + 1) * size), rows.locate(chosen[i] ?? 0)),
    ),
  );
  const shape = [count, format.height, format.width, format.channels];
  const depth = imageDepth(format);
  const images: HostTensor = { dtype: depth, shape, data: arrayOver(depth, data.buffer) };
  return { images, probabilities: await trainer.predict(paths), features };
}

function missingRow(row: number): never {
  throw new InternalError(`no image in row ${row}`);
}
