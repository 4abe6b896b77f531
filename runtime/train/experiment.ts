// An experiment as it is known before any file of data is read: a resolved spec, and where its paths start
// from.
import { dirname, resolve } from "node:path";
import type { Spec, SpecKey } from "../../compiler/spec/schema.ts";
import type { ClassNames, KnownTasks } from "../labels/classes.ts";
import type { RunFolder } from "../runs/runFolder.ts";
import type { RunSources } from "../runs/runSources.ts";

/** A resolved experiment, before any file is read. */
export interface Experiment extends RunSources {
  readonly spec: Spec;
  /** Keys of the spec that were written, not left to their defaults; undefined where all count as written. */
  readonly given?: ReadonlySet<SpecKey> | undefined;
  /** Classes that are known already (a run that is opened again). */
  readonly classes: ClassNames | undefined;
  /** The same of tasks that are not of classes. */
  readonly knownTasks?: KnownTasks | undefined;
  /** Where packs and features lie whose place the spec does not name: one for several runs. */
  readonly cacheFolder?: string | undefined;
}

/**
 * The experiment of a spec file at `file`, which writes the keys `given`; its relative paths start from the
 * file's folder.
 */
export function experimentFromSpec(spec: Spec, file: string, given?: ReadonlySet<SpecKey>): Experiment {
  const baseDirectory = dirname(resolve(file));
  return { spec, given, baseDirectory, trainRows: undefined, valRows: undefined, classes: undefined };
}

/** The experiment of a run that exists. */
export function experimentFromRun(run: RunFolder): Experiment {
  const { spec, given, baseDirectory, trainRows, valRows, testRows, split } = run;
  const { classes, knownTasks, foldsMissing } = run;
  const rows = { trainRows, valRows, testRows, split };
  return { spec, given, baseDirectory, ...rows, classes, knownTasks, foldsMissing };
}
