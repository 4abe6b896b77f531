// The checkpoints of a run as `mttc inspect` shows them: which stand, how good their epochs were, and which
// one evaluations and exports take.
import { tasksOf } from "../compiler/bundle/manifestTasks.ts";
import { MttcError } from "../compiler/diagnostics.ts";
import { readBundleDirectory } from "../runtime/runs/bundleDirectory.ts";
import { type CheckpointChoice, checkpointsOf, readCheckpoint } from "../runtime/runs/checkpointChoice.ts";
import { RunFolder } from "../runtime/runs/runFolder.ts";
import { judgeOf } from "../runtime/train/judgement.ts";
import { readProgress } from "../runtime/train/progress.ts";
import { readOptions } from "./checkpointFlag.ts";
import type { CheckpointFlags } from "./runtimeOptions.ts";
import { decimal, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** One that stands. */
export interface CheckpointFact {
  readonly name: string;
  /** Epochs that were finished in it, and whether steps of the next one are. */
  readonly epoch: number;
  readonly isPartial: boolean;
  /** The run's figure at the end of the epoch; null where it has none. */
  readonly value: number | null;
  readonly isBest: boolean;
  /** Whether it is the one that readers take. */
  readonly isTaken: boolean;
}

/** The checkpoints of a run, newest first. */
export interface CheckpointFacts {
  /** What epochs are compared by. */
  readonly monitor: string;
  readonly taken: CheckpointChoice;
  readonly list: readonly CheckpointFact[];
}

/**
 * Reads what stands; undefined for a run that has saved nothing yet. What readCheckpoint throws for one that
 * is asked for.
 */
export async function checkpointFacts(
  folder: string,
  flags: CheckpointFlags,
): Promise<CheckpointFacts | undefined> {
  const { places, best } = await checkpointsOf(folder);
  if (places.length === 0 && flags.checkpoint === undefined) return undefined;
  const run = await RunFolder.open(folder);
  const usual = run.spec.keep === "newest" ? "newest" : undefined;
  const { choice: taken } = await readCheckpoint(folder, readOptions(flags).checkpoint ?? usual);
  const tasks = tasksOf(await readBundleDirectory(run.bundle, []));
  const { history } = readProgress(await readCheckpoint(folder, "newest"), tasks);
  const judge = judgeOf(run.spec.monitor, tasks);
  const list = places.map(({ name, epoch, revision }): CheckpointFact => {
    const report = history[epoch - 1];
    const value = report ? judge.valueIn(report) : Number.NaN;
    return {
      ...{ name, epoch, isPartial: revision > 0, isBest: name === best?.name, isTaken: name === taken.name },
      value: Number.isFinite(value) ? value : null,
    };
  });
  return { monitor: judge.name, taken, list };
}

/** E_USAGE where a checkpoint is asked for of what is no run. */
export function refuseCheckpoint({ checkpoint }: CheckpointFlags, path: string): void {
  if (checkpoint === undefined) return;
  const message = "--checkpoint is for the folder of a run";
  throw new MttcError({ code: "E_USAGE", message, at: { file: path } });
}

/** The table of the facts. */
export function checkpointTable({ monitor, list }: CheckpointFacts, terminal: Terminal): string {
  const rows = list.map(({ name, epoch, isPartial, value, isBest, isTaken }) => [
    name,
    isPartial ? `${epoch} and more` : String(epoch),
    decimal(value ?? undefined),
    [...(isBest ? ["best"] : []), ...(isTaken ? ["taken by evaluate and export"] : [])].join(", "),
  ]);
  return renderTable(terminal, ["checkpoint", "epoch", monitor, ""], rows, [1, 2]);
}
