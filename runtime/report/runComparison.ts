// Several runs beside each other: figures of each one's best epoch, and the keys of their specs that differ.
// Folders of runs -> Comparison; nothing is locked or written.

import { resolve } from "node:path";
import { figureOf } from "../../compiler/tasks/report.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import type { RunFolder } from "../runs/runFolder.ts";
import { gainOf, gainOfTask } from "./curves.ts";
import { type RunFacts, readRunFacts, shortNames } from "./runFacts.ts";
import { trainedSeconds } from "./runSections.ts";

/** One of the runs. */
export interface ComparedRun {
  /** Tells it from the others. */
  readonly name: string;
  readonly directory: string;
  readonly epochs: number;
  /** Number of the epoch that it is judged by; null before any was validated. */
  readonly bestEpoch: number | null;
  readonly gain: number | null;
  /** Of training, all epochs. */
  readonly seconds: number;
}

/** A figure of a task in each of the runs; null where a run has none. */
export interface ComparedFigure {
  readonly name: string;
  readonly head: string;
  /** In the order of the runs, at each one's best epoch. */
  readonly values: readonly (number | null)[];
  /** Place of the run that is best; null for baselines, counts and what no run has. */
  readonly best: number | null;
}

export interface ComparedTask {
  readonly task: string;
  readonly figures: readonly ComparedFigure[];
}

/** A key whose values differ, as JSON has them; null where a run's spec has none. */
export interface ComparedKey {
  readonly key: string;
  readonly values: readonly unknown[];
}

export interface Comparison {
  readonly runs: readonly ComparedRun[];
  readonly tasks: readonly ComparedTask[];
  readonly keys: readonly ComparedKey[];
}

/** What was read of the runs beside the comparison: a page draws their curves. */
export interface ReadComparison {
  readonly comparison: Comparison;
  readonly facts: readonly RunFacts[];
}

/** Compares the runs in these folders, in their order. Errors as RunFolder.open's. */
export async function compareRuns(directories: readonly string[]): Promise<Comparison> {
  return (await readComparison(directories)).comparison;
}

/** The same, with what was read. */
export async function readComparison(directories: readonly string[]): Promise<ReadComparison> {
  const facts: RunFacts[] = [];
  for (const directory of directories) facts.push(await readRunFacts(directory));
  const names = shortNames(facts.map(({ folder }) => folder.directory));
  const runs = facts.map(({ folder, history, best, tasks }, i): ComparedRun => {
    const judged = best === undefined ? undefined : history[best];
    return {
      ...{ name: names[i] ?? "", directory: folder.directory, epochs: history.length },
      bestEpoch: judged?.epoch ?? null,
      gain: judged ? orNull(gainOf(judged, tasks)) : null,
      seconds: trainedSeconds(history),
    };
  });
  const comparison = {
    runs,
    tasks: comparedTasks(facts),
    keys: differingKeys(facts.map(({ folder }) => folder)),
  };
  return { comparison, facts };
}

/** The tasks of all runs, each once: those of one name that differ in kind, too. */
export function tasksOfAll(facts: readonly Pick<RunFacts, "tasks">[]): Task[] {
  const found = new Map<string, Task>();
  for (const task of facts.flatMap(({ tasks }) => tasks)) {
    const key = JSON.stringify([task.name, task.kind]);
    if (!found.has(key)) found.set(key, task);
  }
  return [...found.values()];
}

function comparedTasks(facts: readonly RunFacts[]): ComparedTask[] {
  return tasksOfAll(facts).map((task) => {
    const reports = facts.map(({ history, best, tasks }) => {
      const has = tasks.some(({ name, kind }) => name === task.name && kind === task.kind);
      return has ? history[best ?? -1]?.evaluation?.tasks[task.name] : undefined;
    });
    const figure = (name: string, head: string, direction: 1 | -1 | 0, of: (place: number) => number) => {
      const values = reports.map((_, place) => orNull(of(place)));
      return { name, head, values, best: bestPlace(values, direction) };
    };
    return {
      task: task.name,
      figures: [
        figure("labelled", "labelled", 0, (place) => reports[place]?.labelled ?? Number.NaN),
        figure("gain", "gain", 1, (place) => gainOfTask(task, reports[place])),
        figure("loss", "loss", -1, (place) => reports[place]?.loss ?? Number.NaN),
        ...task.reports.figures.map(({ name, head, isBaseline, falls }) =>
          figure(name, head, isBaseline ? 0 : falls ? -1 : 1, (place) => figureOf(reports[place], name)),
        ),
      ],
    };
  });
}

function bestPlace(values: readonly (number | null)[], direction: 1 | -1 | 0): number | null {
  let best: number | null = null;
  for (const [place, value] of values.entries()) {
    const before = best === null ? null : (values[best] ?? null);
    if (value !== null && (before === null || direction * (value - before) > 0)) best = place;
  }
  return direction === 0 ? null : best;
}

function orNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** Where a run lies says nothing of what it is. */
const PLACES = new Set(["logdir"]);

/**
 * Keys whose values differ, of maps each key: "augment.flip". Paths are one where they lead to one place from
 * the folders that they start from.
 */
export function differingKeys(runs: readonly Pick<RunFolder, "spec" | "baseDirectory">[]): ComparedKey[] {
  const flat = runs.map(({ spec }) => new Map(leaves(spec, "")));
  const keys = [...new Set(flat.flatMap((map) => [...map.keys()]))].filter((key) => !PLACES.has(key));
  return keys.flatMap((key) => {
    const values = flat.map((map) => map.get(key) ?? null);
    const meant = values.map((value, run) => {
      const isPath = typeof value === "string" && /[\\/]/.test(value);
      return JSON.stringify(isPath ? resolve(runs[run]?.baseDirectory ?? ".", value) : value);
    });
    return new Set(meant).size > 1 ? [{ key, values }] : [];
  });
}

function* leaves(value: unknown, key: string): Generator<readonly [string, unknown]> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return yield [key, value];
  for (const [name, inner] of Object.entries(value))
    yield* leaves(inner, key === "" ? name : `${key}.${name}`);
}
