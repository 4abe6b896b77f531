// Checkpoints that are written while training goes on: hashing, writing and reading back a large state takes
// as long as some steps, and the device need not wait for it. One is written at a time.

import { assertRunLock } from "../files/runLock.ts";
import { type CheckpointContent, checkpointPath, writeCheckpoint } from "../runs/checkpoints.ts";
import type { LastCheckpoint } from "./divergence.ts";

export class CheckpointSaver {
  #writing: Promise<void> = Promise.resolve();
  #failure = new AbortController();
  /**
   * The newest checkpoint's folder, also while it is written: what is said of it is said after `settled`, which
   * rejects where it does not stand.
   */
  last: LastCheckpoint;

  /** Aborts where the checkpoint that is being written cannot be: training on would be for nothing. */
  get failed(): AbortSignal {
    return this.#failure.signal;
  }

  /**
   * Does `work` and waits for what it began to save. Where the work fails and the save, too, the save's error
   * is the one, since it was first, and the other is told.
   */
  async during(tell: (message: string) => void, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      await this.settled().catch((failure: unknown) => {
        tell(String(error));
        throw failure;
      });
      throw error;
    }
    await this.settled();
  }

  /**
   * Begins to write a checkpoint of the run in `directory`, whose lock is held, and returns its folder.
   * `tensors` and `progress` must not change any more. `saved` is called when it stands, verified; what that
   * throws counts as a failure of the save. `guarded` does the work, until it is done. Errors of the one
   * before, as `settled`.
   */
  async begin(
    directory: string,
    content: CheckpointContent,
    saved: (path: string) => Promise<void>,
    guarded: (work: () => Promise<void>) => Promise<void> = (work) => work(),
  ): Promise<string> {
    await this.settled();
    await assertRunLock(directory);
    const path = await checkpointPath(directory, content);
    const before = this.last;
    this.last = path;
    this.#writing = guarded(async () => {
      await writeCheckpoint(path, content).catch((error: unknown) => {
        this.last = before;
        throw error;
      });
      await saved(path);
    });
    const failure = this.#failure;
    this.#writing.catch((error: unknown) => failure.abort(error));
    return path;
  }

  /**
   * Resolves when nothing is being written any more; rejects, once, with what kept a checkpoint from being
   * saved: E_DISK, E_FILE, E_CKPT_CORRUPT.
   */
  async settled(): Promise<void> {
    const writing = this.#writing;
    try {
      await writing;
    } finally {
      if (this.#writing === writing) {
        this.#writing = Promise.resolve();
        this.#failure = new AbortController();
      }
    }
  }
}
