// `mttc predict MODEL IMAGES...`: an exported model on images; a table, CSV or JSON, written as they come.
// Images that cannot be read are listed at the end, and their rows are missing; --strict writes nothing
// then.

import { type Command, InvalidArgumentError } from "commander";
import { type Fault, MttcError } from "../compiler/diagnostics.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { exportNote } from "../runtime/export/exportedModel.ts";
import { type ImageFault, type Prediction, Predictor } from "../runtime/export/predictor.ts";
import { imageArguments } from "./imageArguments.ts";
import { interruptSignal } from "./interruptSignal.ts";
import { type Destinations, type OutputFlags, openDestinations } from "./predictionOutputs.ts";
import { predictProgress } from "./predictProgress.ts";
import {
  type RuntimeFlags,
  runtimeOptions,
  withProviderOption,
  withRuntimeOptions,
} from "./runtimeOptions.ts";
import { count } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

export { listImages } from "./imageArguments.ts";
export { csvCell, predictionsCsv } from "./predictionRows.ts";

interface Flags extends RuntimeFlags, OutputFlags {
  readonly strict?: boolean;
  readonly filepaths: string;
  readonly memory?: number;
}

export function addPredictCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("predict")
    .description("run an exported model on images")
    .argument("<model>", "model.onnx or a task's file, as `mttc export` wrote it, or a run with an export")
    .argument("<images...>", "images, folders and patterns of them, label tables with a column of paths")
    .option("-o, --output <file>", "write to a file, as CSV or JSON by its name")
    .option("--csv [file]", "write rows file,task,class,probability,probabilities; - for stdout")
    .option("--json [file]", "write a list of the same rows; - for stdout")
    .option("--wide", "write CSV with a row per image and a column per class")
    .option("--excel", "write CSV as Excel takes it: with a byte order mark, formulas as text")
    .option("--overwrite", "replace a file that mttc did not write")
    .option("--strict", "write nothing unless every image can be read")
    .option("--filepaths <column>", "column of image paths in label tables", "filepath")
    .option("--memory <gib>", "memory that the model may take (default: 12, or 3/4 of all)", parseGigabytes);
  withProviderOption(withRuntimeOptions(command)).action((model: string, images: string[], flags: Flags) =>
    predictImages(model, images, flags, terminal),
  );
}

async function predictImages(
  model: string,
  args: readonly string[],
  flags: Flags,
  terminal: Terminal,
): Promise<void> {
  const { images, notes } = await imageArguments(args, flags.filepaths);
  const memoryBytes = flags.memory === undefined ? undefined : flags.memory * 2 ** 30;
  const options = { ...runtimeOptions(flags), limits: { memoryBytes } };
  await using predictor = await Predictor.open(model, options);
  for (const note of [...notes, predictor.note, await exportNote(model, predictor.metadata)])
    if (note !== undefined) terminal.note(visibleText(note));
  const names = images.map(({ name }) => name);
  const destinations = await openDestinations(flags, predictor.metadata, names, terminal);
  const progress = predictProgress(images.length, destinations.isOnStdout, terminal);
  const { signal, stop } = interruptSignal(terminal, "stopping; the rows so far are kept");
  const faults: ImageFault[] = [];
  const take = flags.strict ? {} : { onFault: (fault: ImageFault) => void faults.push(fault) };
  let done = 0;
  try {
    for await (const rows of byImage(predictor.predict(images, { ...take, signal }), predictor)) {
      await destinations.image(rows);
      progress.update(++done + faults.length);
    }
  } catch (error) {
    progress.stop();
    throw await endEarly(error, destinations, { done, faults, total: images.length }, flags.strict ?? false);
  } finally {
    progress.stop();
    stop();
  }
  await destinations.finish();
  if (faults.length > 0) throw faultsError(faults, images.length);
}

/** The rows of each image together. */
async function* byImage(
  rows: AsyncIterable<Prediction>,
  { metadata }: Predictor,
): AsyncGenerator<readonly Prediction[]> {
  let image: Prediction[] = [];
  for await (const row of rows) {
    image.push(row);
    if (image.length < metadata.tasks.length) continue;
    yield image;
    image = [];
  }
}

interface Extent {
  readonly done: number;
  readonly faults: readonly ImageFault[];
  readonly total: number;
}

/** Keeps the rows so far, unless all or none were asked for, and returns the error that says so. */
async function endEarly(
  error: unknown,
  destinations: Destinations,
  { done, faults, total }: Extent,
  isStrict: boolean,
): Promise<unknown> {
  if (!(error instanceof MttcError) || isStrict) {
    await destinations.abandon();
    return error;
  }
  const isInterrupt = error.code === "E_INTERRUPTED";
  const places = isInterrupt ? await destinations.finish() : await destinations.abandon();
  const where = places.length > 0 ? `, their rows are in ${places.join(", ")}` : "";
  const unread = faults.length > 0 ? `, ${count(faults.length)} could not be read` : "";
  const extent = `${count(done)} of ${count(total)} images are predicted${where}${unread}`;
  if (isInterrupt) return new MttcError({ code: "E_INTERRUPTED", message: `interrupted: ${extent}` });
  const [first, ...others] = error.faults;
  const hint = [first?.hint, extent].filter((text) => text !== undefined).join("; ");
  return new MttcError([{ ...(first as Fault), hint }, ...others], { cause: error });
}

function faultsError(faults: readonly ImageFault[], total: number): MttcError {
  const listed = faults.flatMap(({ error }) => error.faults);
  const [first] = listed;
  const message = `${count(faults.length)} of ${count(total)} images could not be read: they have no rows`;
  const hint = "--strict writes nothing unless all can be read";
  return new MttcError([...listed, { code: first?.code ?? "E_FILE", message, hint }]);
}

function parseGigabytes(text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value)) throw new InvalidArgumentError("expected a number of GiB");
  return value;
}
