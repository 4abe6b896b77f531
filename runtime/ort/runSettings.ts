// How ONNX Runtime is told to carry out a binding's runs. Where a run is only launched (CUDA), whoever reads
// what it wrote waits (CudaCopies.settle); but every so often ONNX Runtime itself must wait, since it gives
// pinned memory back only then; and the first run of a graph must leave the device's memory as it found it.
import type { Pointer } from "./ffi.ts";
import { providerTraits } from "./provider.ts";
import type { OrtSession } from "./session.ts";

/**
 * A plain run after so many that were only launched is waited for. A run may take a few kilobytes of pinned
 * memory (lists of addresses, for joins of unequal parts), 300 of them megabytes (ORT 1.29).
 */
const WAIT_EVERY = 64;
/** ORT's number of a graph of the device for runs that are neither captured nor replayed. */
const NOT_CAPTURED = "-1";

/**
 * A graph's memory comes in pieces in its first run; from the second on it is one block, of which the first
 * has shown the size. Kept, the pieces would nearly double what a graph takes.
 */
const SHRINKS = "memory.enable_memory_arena_shrinkage";

type Entries = Readonly<Record<string, string>>;

/** The OrtRunOptions of one binding. */
export class RunSettings {
  readonly #session: OrtSession;
  readonly #common: Entries;
  readonly #captures: boolean;
  readonly #made = new Map<string, Pointer>();

  /** With `captures` the binding's runs are captured as a graph of the device, by a number of its own. */
  constructor(session: OrtSession, captures: boolean) {
    this.#session = session;
    this.#captures = captures;
    this.#common = session.isCapturable
      ? { gpu_graph_id: captures ? String(session.nextGraphId()) : NOT_CAPTURED }
      : {};
  }

  /** The settings of the next run; null for ORT's own. */
  next(): Pointer | null {
    const { arena, launchesRuns } = providerTraits(this.#session.provider);
    const run = this.#captures ? undefined : this.#session.countPlainRun();
    if (run === 0) return this.#settings("first", { [SHRINKS]: arena });
    if (!launchesRuns) return this.#settings("plain", {});
    const launched = { disable_synchronize_execution_providers: "1" };
    // A captured run refers to its memory for ever, and takes no other.
    if (run === undefined) return this.#settings("captured", launched);
    return run % WAIT_EVERY === 0 ? this.#settings("waited for", {}) : this.#settings("launched", launched);
  }

  #settings(kind: string, more: Entries): Pointer | null {
    const entries = Object.entries({ ...this.#common, ...more });
    const known = this.#made.get(kind);
    if (known !== undefined || entries.length === 0) return known ?? null;
    const { library, name } = this.#session;
    const { functions } = library;
    const doing = `running graph "${name}"`;
    const settings = library.make(doing, (out) => functions.CreateRunOptions(out));
    try {
      for (const [key, value] of entries)
        library.check(doing, functions.AddRunConfigEntry(settings, key, value));
    } catch (error) {
      functions.ReleaseRunOptions(settings);
      throw error;
    }
    this.#made.set(kind, settings);
    return settings;
  }

  [Symbol.dispose](): void {
    for (const settings of this.#made.values()) this.#session.library.functions.ReleaseRunOptions(settings);
    this.#made.clear();
  }
}
