// The tasks of an export with what validation labels decide: thresholds of tags by the report of the epoch,
// and, where that is asked for, calibrated probabilities and the certainty below which answers are unsure, by
// what the run scores of every validation image now.
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import { tasksOf } from "../../compiler/bundle/manifestTasks.ts";
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import type { Calibration, HeldOut, Selection, SelectionWish } from "../../compiler/tasks/calibration.ts";
import { openTask } from "../../compiler/tasks/openTask.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { fittedDescription } from "../infer/fittedTasks.ts";
import { labelsByTask } from "../labels/classes.ts";
import type { ExportSource } from "./exportSource.ts";

/** What is to be fitted to the validation labels. */
export interface FitOptions {
  /** Calibrate probabilities (temperature, Platt) and intervals of numbers. Default false. */
  readonly calibrate?: boolean | undefined;
  /** When answers are unsure. */
  readonly unsure?: SelectionWish | undefined;
}

/** What was fitted of one task. */
export type TaskCalibration = Omit<Calibration, "description" | "notes"> & { readonly task: string };
export type TaskSelection = Omit<Selection, "description"> & { readonly task: string };

export interface FittedTasks {
  readonly tasks: readonly Task[];
  readonly calibration: readonly TaskCalibration[];
  readonly unsure: readonly TaskSelection[];
  readonly notes: readonly string[];
}

/**
 * The tasks as they are exported. E_CONFIG where something is to be fitted and the run has no validation
 * labels, and for a risk that they cannot promise; errors of reading images.
 */
export async function fitTasks(
  source: ExportSource,
  manifest: Manifest,
  { calibrate = false, unsure }: FitOptions,
): Promise<FittedTasks> {
  const tasks = tasksOf(manifest);
  if (!calibrate && !unsure) {
    const fitted = tasks.map((task) => openTask(fittedDescription(task, source.history.at(-1))));
    return { tasks: fitted, calibration: [], unsure: [], notes: [] };
  }
  const held = await heldOut(source, tasks);
  const calibrations = calibrate ? tasks.map((task) => task.calibrate?.(held(task))) : [];
  const calibrated = tasks.map((task, i) =>
    openTask(calibrations[i]?.description ?? fittedDescription(task, source.history.at(-1))),
  );
  const selections = unsure ? selectAnswers(calibrated, held, unsure) : [];
  const named = calibrations.flatMap((found, i) => (found ? [{ task: tasks[i]?.name ?? "", ...found }] : []));
  const without = calibrate ? tasks.filter(({ calibrate: fit }) => !fit) : [];
  return {
    tasks: calibrated.map(
      (task) => selections.find(({ selected }) => selected.name === task.name)?.selected ?? task,
    ),
    calibration: named.map(({ description: _, notes: __, ...kept }) => kept),
    unsure: selections.map(({ selection }) => selection),
    notes: [
      ...named.flatMap(({ notes }) => notes),
      ...without.map(({ name, kind }) => `task "${name}": nothing is calibrated of the kind ${kind}`),
      ...(unsure ? notSelected(calibrated) : []),
    ],
  };
}

/** Scores and labels of the validation rows, by task. */
async function heldOut(source: ExportSource, tasks: readonly Task[]): Promise<(task: Task) => HeldOut> {
  const found = await source.validation();
  if (!found)
    throw new MttcError({
      code: "E_CONFIG",
      message: "the run has no validation labels to calibrate on; those it was trained on would flatter it",
      at: { path: "val_labels" },
      hint: "train with val_labels, or export without --calibrate, --unsure-risk and --unsure-coverage",
    });
  const scored = await source.outputsOf(found.rows, "scored");
  const columns = labelsByTask(found.rows);
  const byTask = new Map(
    tasks.map(({ name }) => [
      name,
      { y: scored.get(name) ?? new Float32Array(), labels: columns.get(name)?.values ?? [] },
    ]),
  );
  return ({ name }) => byTask.get(name) ?? { y: new Float32Array(), labels: [] };
}

/** Thresholds of the tasks whose answers may be unsure. E_CONFIG names those whose rows cannot promise it. */
function selectAnswers(
  tasks: readonly Task[],
  held: (task: Task) => HeldOut,
  wish: SelectionWish,
): { selected: Task; selection: TaskSelection }[] {
  const faults: Fault[] = [];
  const found = tasks.flatMap((task) => {
    const selection = task.select?.(held(task), wish);
    if (!selection) return [];
    if (!("description" in selection)) {
      if (selection.rows > 0) faults.push(unpromised(task.name, selection, wish));
      return [];
    }
    const { description, ...figures } = selection;
    return [{ selected: openTask(description), selection: { task: task.name, ...figures } }];
  });
  if (faults.length > 0) throw new MttcError(faults);
  return found;
}

function unpromised(
  task: string,
  { rows, least }: { readonly rows: number; readonly least: number },
  wish: SelectionWish,
): Fault {
  const wanted = "risk" in wish ? `a risk of ${wish.risk}` : "that";
  return {
    code: "E_CONFIG",
    message: `task "${task}": ${rows} validation labels cannot promise ${wanted}; the least is ${least.toPrecision(3)}`,
    at: { path: "unsure.risk" },
    hint: "take a larger risk, more validation labels, or ask for coverage, which promises no risk",
  };
}

function notSelected(tasks: readonly Task[]): string[] {
  return tasks.flatMap(({ name, kind, select }) =>
    select ? [] : [`task "${name}": answers of the kind ${kind} are never unsure`],
  );
}
