// What a run says of each image of a table, written as `mttc predict` writes what an export says. In: rows;
// out: files, stdout or a table, as they come.
import { tasksOf } from "../compiler/bundle/manifestTasks.ts";
import { MttcError } from "../compiler/diagnostics.ts";
import type { Task } from "../compiler/tasks/task.ts";
import type { Prediction } from "../runtime/export/predictor.ts";
import type { EvaluationRows } from "../runtime/infer/evaluationLabels.ts";
import type { TrainedRun } from "../runtime/infer/trainedRun.ts";
import { nameInTable } from "./imageArguments.ts";
import { interruptSignal } from "./interruptSignal.ts";
import { shownPath } from "./pathText.ts";
import { type OutputFlags, openDestinations } from "./predictionOutputs.ts";
import { predictProgress } from "./predictProgress.ts";
import { count } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Images that are predicted between two looks for Ctrl-C. */
const IMAGES_AT_ONCE = 1_024;

/**
 * Predicts all rows, in their order. Images that cannot be read end it, with the rows so far kept under
 * another name. E_USAGE, E_RUN_EXISTS, E_DISK; E_INTERRUPTED, what reading images throws.
 */
export async function writeRunPredictions(
  run: TrainedRun,
  { rows, table }: Pick<EvaluationRows, "rows" | "table">,
  { labels, ...flags }: OutputFlags & { readonly labels?: string | undefined },
  terminal: Terminal,
): Promise<void> {
  const tasks = tasksOf(await run.manifest());
  const nameOf = (path: string): string => {
    const file = labels ?? (table === undefined ? undefined : shownPath(table));
    return file === undefined ? path : nameInTable(file, path);
  };
  const paths = [...rows.paths];
  const destinations = await openDestinations(flags, tasks, paths.map(nameOf), terminal);
  const progress = predictProgress(paths.length, destinations.isOnStdout, terminal);
  const { signal, stop } = interruptSignal(terminal, "stopping; the rows so far are kept");
  let done = 0;
  try {
    for (; done < paths.length && !signal.aborted; ) {
      const first = done;
      const some = paths.slice(first, first + IMAGES_AT_ONCE);
      const locate = (row: number) => rows.locate(first + row);
      const served = await run.outputsOf({ paths: some, locate }, "served");
      for (const [row, path] of some.entries()) {
        await destinations.image(
          tasks.map((task) => predictionOf(nameOf(path), task, served.get(task.name), row)),
        );
        progress.update(++done);
      }
    }
  } catch (error) {
    const extent = `${count(done)} of ${count(paths.length)} images are predicted${keptIn(await destinations.abandon())}`;
    throw withHint(error, extent);
  } finally {
    progress.stop();
    stop();
  }
  const places = await destinations.finish();
  if (done === paths.length) return;
  const message = `interrupted: ${count(done)} of ${count(paths.length)} images are predicted${keptIn(places)}`;
  throw new MttcError({ code: "E_INTERRUPTED", message });
}

function keptIn(places: readonly string[]): string {
  return places.length > 0 ? `, their rows are in ${places.join(", ")}` : "";
}

/** The error with what was done before it. */
function withHint(error: unknown, extent: string): unknown {
  if (!(error instanceof MttcError)) return error;
  const [first, ...others] = error.faults;
  if (!first) return error;
  const hint = [first.hint, extent].filter((text) => text !== undefined).join("; ");
  return new MttcError([{ ...first, hint }, ...others], { cause: error });
}

function predictionOf(file: string, task: Task, served: Float32Array | undefined, row: number): Prediction {
  const values = Array.from(served?.subarray(row * task.width, (row + 1) * task.width) ?? []);
  return { file, task: task.name, ...task.answers.read(values) };
}
