// The runs of a test file whose ranks fail: in one folder, beside one run that nothing disturbs, with whose
// state all that are gone on with end.
import { join } from "node:path";
import { expect } from "vitest";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { makeFolder } from "../images/imageFixtures.ts";
import { patternOptions, writePatternImages } from "../training/patternImages.ts";
import { FailingRun, type FailingStart } from "./failingJob.ts";
import type { MpiHere } from "./mpiPrograms.ts";

/** What all runs have, unless they say otherwise. */
export type FailingDefaults = Pick<FailingStart, "epochs"> & Pick<Partial<FailingStart>, "delays">;

export class FailingRuns {
  readonly folder: string;
  readonly images: string;
  readonly base: TrainerOptions;
  readonly #mpi: MpiHere;
  readonly #defaults: FailingDefaults;
  readonly #started: FailingRun[] = [];
  /** State of an undisturbed run of two ranks. */
  #undisturbed: Buffer = Buffer.of();

  private constructor(
    mpi: MpiHere,
    defaults: FailingDefaults,
    at: Pick<FailingRuns, "folder" | "images" | "base">,
  ) {
    this.#mpi = mpi;
    this.#defaults = defaults;
    this.folder = at.folder;
    this.images = at.images;
    this.base = at.base;
  }

  /** Makes 72 images, and trains the run that nothing disturbs. */
  static async open(
    mpi: MpiHere,
    defaults: FailingDefaults,
    options: Partial<TrainerOptions> = {},
  ): Promise<FailingRuns> {
    const folder = await makeFolder();
    const images = join(folder, "images");
    const rows = await writePatternImages(images, 72);
    const base = { ...patternOptions(rows, 48), strategy: "mpi", ...options } as const;
    const runs = new FailingRuns(mpi, defaults, { folder, images, base });
    runs.#undisturbed = (await runs.#ended(runs.optionsOf("undisturbed"))).newestState();
    return runs;
  }

  /** Options of a run in a folder of its own. */
  optionsOf(name: string): TrainerOptions {
    return { ...this.base, logdir: join(this.folder, name) };
  }

  /** Two ranks, unless told otherwise. */
  start(options: TrainerOptions, more: Partial<FailingStart> = {}): FailingRun {
    const { folder } = this;
    const run = new FailingRun({ mpi: this.#mpi, size: 2, options, folder, ...this.#defaults, ...more });
    this.#started.push(run);
    return run;
  }

  /** A run has ended with the state of the undisturbed one. */
  expectUndisturbed(run: FailingRun): void {
    expect(run.newestState().equals(this.#undisturbed)).toBe(true);
  }

  /** Goes on with a run by two ranks; its state at the end is that of the undisturbed one. */
  async expectResumed(options: TrainerOptions): Promise<void> {
    const resumed = await this.#ended(options, { resume: true });
    this.expectUndisturbed(resumed);
    expect(resumed.locks()).toEqual([]);
  }

  /** Ends what was started since. */
  async cleanUp(): Promise<void> {
    for (const run of this.#started.splice(0)) await run.cleanUp();
  }

  async #ended(options: TrainerOptions, more: Partial<FailingStart> = {}): Promise<FailingRun> {
    const run = this.start(options, { delays: [], ...more });
    await run.hears("ended", { rank: 0 });
    await run.gone([0, 1]);
    expect(await run.ends()).toBe(0);
    return run;
  }
}
