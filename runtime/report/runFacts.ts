// What lies in a run's folder, read for a page: description, epochs, labels, sittings, pictures. Nothing is
// locked, written or compiled; what is missing is told and the rest is read.
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import { openTask } from "../../compiler/tasks/openTask.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { type LabelStatistics, labelStatistics } from "../labels/labelStatistics.ts";
import { readCheckpoint } from "../runs/checkpointChoice.ts";
import { RunFolder, SPEC_FILE } from "../runs/runFolder.ts";
import { adoptedText } from "../runs/runOrigin.ts";
import { readSittings, type Sitting } from "../runs/sittings.ts";
import type { EpochReport } from "../train/events.ts";
import { readProgress } from "../train/progress.ts";
import { bestEpoch } from "../train/runHistory.ts";
import { readTables } from "../train/trainerOptions.ts";

/** A run as its folder tells it. */
export interface RunFacts {
  readonly folder: RunFolder;
  /** Its folder's name, and that of the one above. */
  readonly name: string;
  readonly specText: string;
  readonly tasks: readonly Task[];
  /** Finished epochs. */
  readonly history: readonly EpochReport[];
  /** Steps of an epoch that was begun. */
  readonly begunSteps: number;
  /** Place in the history of the epoch that the run is judged by. */
  readonly best: number | undefined;
  readonly sittings: readonly Sitting[];
  /** What is missing or odd, a sentence each. */
  readonly notes: readonly string[];
}

/** Reads a run's folder. E_FILE where there is none; E_BUNDLE, E_CONFIG, E_CKPT_MISMATCH. */
export async function readRunFacts(logdir: string): Promise<RunFacts> {
  const folder = await RunFolder.open(logdir);
  const { directory, spec, classes, knownTasks, notes } = folder;
  const tasks = spec.tasks.map((task) => openTask(knownTasks[task] ?? { task, classes: classes[task] }));
  const epochs = await readEpochs(directory, tasks);
  const { adopted } = folder.origin;
  return {
    folder,
    name: join(basename(dirname(directory)), basename(directory)),
    specText: await readFile(join(directory, SPEC_FILE), "utf8"),
    tasks,
    ...epochs,
    best: bestEpoch(epochs.history, tasks, spec.monitor),
    sittings: await readSittings(directory),
    notes: [...notes, ...(adopted ? [adoptedText(adopted)] : []), ...epochs.notes],
  };
}

/** The epochs of the newest checkpoint; none where a run has none. */
async function readEpochs(
  directory: string,
  tasks: readonly Task[],
): Promise<Pick<RunFacts, "history" | "begunSteps" | "notes">> {
  try {
    const checkpoint = await readCheckpoint(directory, "newest");
    const { history, epochState } = readProgress(checkpoint, tasks);
    return { history, begunSteps: epochState.step, notes: checkpoint.warnings };
  } catch (error) {
    if (!(error instanceof MttcError) || error.code !== "E_CKPT_NONE") throw error;
    return { history: [], begunSteps: 0, notes: ["no epoch is finished: there is no checkpoint yet"] };
  }
}

/** Statistics of a run's labels as its tables are now, and what is odd; a note where they are gone. */
export async function readLabelFacts(
  folder: RunFolder,
): Promise<{ readonly statistics: LabelStatistics | undefined; readonly notes: readonly string[] }> {
  try {
    const labels = await readTables(folder);
    return { statistics: labelStatistics(labels, folder.spec), notes: labels.warnings };
  } catch (error) {
    return { statistics: undefined, notes: [`labels cannot be counted: ${reasonOf(error)}`] };
  }
}

/** The first thing that an error of data says; other errors are thrown on. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof MttcError)) throw error;
  const [fault] = error.faults;
  const place = fault?.at?.file ?? fault?.at?.path;
  const more = error.faults.length > 1 ? ` (and ${error.faults.length - 1} more)` : "";
  return `${place === undefined ? "" : `${place}: `}${fault?.message ?? error.message}${more}`;
}

/** Names that tell folders apart: their own, with as many of the folders above as that takes. */
export function shortNames(directories: readonly string[]): string[] {
  const nameOf = (directory: string, depth: number): string => {
    let [name, rest] = [basename(directory) || directory, dirname(directory)];
    for (let i = 1; i < depth && rest !== dirname(rest); i++) {
      name = `${basename(rest)}/${name}`;
      rest = dirname(rest);
    }
    return name;
  };
  const most = Math.max(1, ...directories.map((directory) => directory.split(/[\\/]/).length));
  for (let depth = 1; depth <= most; depth++) {
    const names = directories.map((directory) => nameOf(directory, depth));
    if (new Set(names).size === new Set(directories).size) return names;
  }
  return [...directories];
}
