// What `mttc predict` does: images -> rows -> files, stdout or a table, as they come.
import { type Fault, MttcError } from "../compiler/diagnostics.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { exportNote } from "../runtime/export/exportedModel.ts";
import { type ImageFault, type Prediction, Predictor } from "../runtime/export/predictor.ts";
import { modelToPredict } from "./checkpointModel.ts";
import { imageArguments } from "./imageArguments.ts";
import { interruptSignal } from "./interruptSignal.ts";
import { type Destinations, type OutputFlags, openDestinations } from "./predictionOutputs.ts";
import { predictProgress } from "./predictProgress.ts";
import { type CheckpointFlags, type RuntimeFlags, runtimeOptions } from "./runtimeOptions.ts";
import { count } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command. */
export interface PredictFlags extends RuntimeFlags, CheckpointFlags, OutputFlags {
  readonly strict?: boolean;
  readonly filepaths: string;
  readonly memory?: number;
}

/** Predicts the images that `args` name with an exported model. */
export async function predictImages(
  model: string,
  args: readonly string[],
  flags: PredictFlags,
  terminal: Terminal,
): Promise<void> {
  const { images, notes } = await imageArguments(args, flags.filepaths);
  const memoryBytes = flags.memory === undefined ? undefined : flags.memory * 2 ** 30;
  const options = { ...runtimeOptions(flags), limits: { memoryBytes } };
  await using opened = await modelToPredict(model, flags, terminal);
  await using predictor = await Predictor.open(opened.path, options);
  for (const note of [...notes, predictor.note, await exportNote(opened.path, predictor.metadata)])
    if (note !== undefined) terminal.note(visibleText(note));
  const names = images.map(({ name }) => name);
  const destinations = await openDestinations(flags, predictor.tasks, names, terminal);
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
