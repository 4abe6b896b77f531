// Rank 0's side of training with others: it trains as a process alone does, and tells the others, before it
// begins something, what their part in it is. What goes wrong on another rank ends rank 0's own calls.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { StoredManifest } from "../../compiler/bundle/manifest.ts";
import type { StoredTensor } from "../../compiler/codec/safetensors.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { BatchShare } from "../batches/imageStreams.ts";
import { fileError } from "../files/fileSystem.ts";
import type { PeerEvaluation, WantedOutput } from "../infer/scoring.ts";
import type { LabelledRows } from "../labels/classes.ts";
import type { PackHandle } from "../packs/packedImages.ts";
import type { RankHub } from "../ranks/rankHub.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import type { DeviceGroup } from "./deviceRanks.ts";
import { type BatchOutputs, type RankMessage, sentRows, type TableName } from "./rankMessages.ts";

/** What rank 0 speaks through. */
export type LeadingHub = Pick<RankHub, "send" | "request" | "failed" | "abandon">;

/** What followers are opened with. */
export interface LedRun {
  /** Folder of the bundle. */
  readonly directory: string;
  readonly manifest: StoredManifest;
  readonly allowSpinning: boolean;
  readonly tf32: boolean;
}

/** Tables that are trained and evaluated on. */
export interface LedTables {
  readonly train: LabelledRows;
  readonly val: LabelledRows | undefined;
}

export class RankLeader implements DeviceGroup {
  readonly size: number;
  readonly share: BatchShare;
  readonly #hub: LeadingHub;
  /** The tables that followers have. */
  readonly #tables = new Map<ImageRows, TableName>();
  /** Whether the others are in a step that this rank has not finished. */
  #isInStep = false;

  private constructor(hub: LeadingHub, size: number) {
    this.#hub = hub;
    this.size = size;
    this.share = { rank: 0, size };
  }

  /** Opens the run on all followers. Rejects with the fault of one; E_FILE. */
  static async open(hub: LeadingHub, size: number, run: LedRun): Promise<RankLeader> {
    const leader = new RankLeader(hub, size);
    const { directory, ...rest } = run;
    for (const name of Object.keys(run.manifest.files)) {
      const file = join(directory, name);
      const bytes = await readFile(file).catch((error: unknown) => {
        throw fileError(error, file, "read");
      });
      // One at a time: the constants of a large network are hundreds of megabytes.
      await leader.#hub.send({ kind: "file", name, bytes } satisfies RankMessage);
    }
    await leader.#ask({ kind: "open", ...rest });
    return leader;
  }

  /** Tells without waiting: what fails ends the collective that follows, and whatever is asked next. */
  readonly tell = (message: RankMessage): void => {
    if (message.kind === "step") this.#isInStep = true;
    void this.#hub.send(message).catch(() => undefined);
  };

  readonly stepped = (): void => {
    this.#isInStep = false;
  };

  async #ask<R>(message: RankMessage): Promise<R[]> {
    return await this.#hub.request<R>(message);
  }

  /** Gives the followers the tables that the next epochs are of; false where they have them. */
  useTables({ train, val }: LedTables): boolean {
    if (this.#tables.has(train) && (!val || this.#tables.has(val))) return false;
    this.#tables.clear();
    this.#tables.set(train, "train");
    if (val) this.#tables.set(val, "val");
    const tables = { train: sentRows(train, true), ...(val ? { val: sentRows(val, false) } : {}) };
    this.tell({ kind: "tables", tables });
    return true;
  }

  /** Has the followers read images from a pack. */
  usePack(handle: PackHandle): void {
    this.tell({ kind: "pack", handle });
  }

  /** An epoch follows, from step `step` on (counted from 0). */
  beginEpoch(epoch: number, step: number): void {
    this.tell({ kind: "epoch", epoch, step });
  }

  /** Deals the batches of a table out; undefined of one that the followers do not have. */
  evaluation(rows: ImageRows, wanted: WantedOutput): PeerEvaluation | undefined {
    const table = this.#tables.get(rows);
    if (table === undefined) return undefined;
    this.tell({ kind: "evaluation", table, wanted });
    return {
      share: this.share,
      turn: () => {
        const asked = this.#ask<BatchOutputs | null>({ kind: "turn" });
        const outputs = asked.then((all) => all.map((each) => each ?? undefined));
        // Of a turn that is no longer waited for.
        outputs.catch(() => undefined);
        return outputs;
      },
      [Symbol.asyncDispose]: async () => this.tell({ kind: "evaluated" }),
    };
  }

  /**
   * Compares the state of all ranks with rank 0's, `tensors`. E_RANK_STATE where one has other weights: the run
   * would go on with a mixture of both.
   */
  async compareState(tensors: readonly StoredTensor[]): Promise<void> {
    const asked = this.#ask<string>({ kind: "digest" });
    const own = stateDigest(tensors.map(({ data }) => data));
    const others = await asked;
    const rank = others.findIndex((digest) => digest !== own) + 1;
    if (rank === 0) return;
    throw new MttcError({
      code: "E_RANK_STATE",
      message: `rank ${rank} holds other weights than rank 0 after the same steps`,
      hint:
        "ranks on processors of different kinds round differently: start them on machines of one kind; " +
        "the last checkpoint is whole (--resume)",
    });
  }

  /**
   * Closes the run on the followers, which may be given another; where this rank has failed within a step
   * they are given up. Never rejects: a lost rank has closed it.
   */
  async close(): Promise<void> {
    if (this.#hub.failed.aborted) return;
    // Who waits for this rank's part of a sum hears no message.
    if (this.#isInStep) this.#hub.abandon();
    else await this.#ask({ kind: "close" }).catch(() => undefined);
  }
}

/** SHA-256 of the tensors of a state, in its order. */
export function stateDigest(tensors: Iterable<ArrayBufferView>): string {
  const hash = createHash("sha256");
  for (const data of tensors) hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return hash.digest("hex");
}
