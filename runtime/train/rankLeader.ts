// Rank 0's side of training with others: it trains as a process alone does, and tells the others, before it
// begins something, what their part in it is. What goes wrong on another rank ends rank 0's own calls.
import { join } from "node:path";
import type { StoredManifest } from "../../compiler/bundle/manifest.ts";
import type { StoredTensor } from "../../compiler/codec/safetensors.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { BatchShare } from "../batches/imageStreams.ts";
import { describeContent } from "../files/fileContent.ts";
import { listedIn } from "../images/imageFile.ts";
import type { PeerEvaluation, WantedOutput } from "../infer/scoring.ts";
import type { LabelledRows } from "../labels/classes.ts";
import type { OrtHost } from "../ort/ortHost.ts";
import { packDigest } from "../packs/packDigest.ts";
import type { PackHandle } from "../packs/packedImages.ts";
import type { RankStall } from "../ranks/heartbeatProtocol.ts";
import type { RankHub } from "../ranks/rankHub.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import { filePieces } from "./bundlePieces.ts";
import type { DeviceGroup } from "./deviceRanks.ts";
import type { Kernels } from "./rankKernels.ts";
import {
  type BatchOutputs,
  type PackRefusal,
  phaseOf,
  type RankMessage,
  sentRows,
  type TableName,
} from "./rankMessages.ts";

/** What rank 0 speaks through. */
export type LeadingHub = Pick<
  RankHub,
  "send" | "request" | "failed" | "fail" | "abandon" | "march" | "awaited" | "onStall" | "isStalled"
>;

/** For an ONNX Runtime that has kept the others waiting to answer after all. */
const ANSWER_MS = 3000;

/** What a fault begins its hint with that says where its image is listed (listedIn). */
const LISTED = "listed in ";

/** What followers are opened with. */
export interface LedRun {
  /** Folder of the bundle. */
  readonly directory: string;
  readonly manifest: StoredManifest;
  readonly kernels: Kernels;
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
    for (const name of Object.keys(run.manifest.files))
      for await (const piece of filePieces(join(directory, name)))
        await leader.#hub.send({ kind: "file", ...piece } satisfies RankMessage);
    await leader.#ask({ kind: "open", ...rest });
    return leader;
  }

  /** Tells without waiting: what fails ends the collective that follows, and whatever is asked next. */
  readonly tell = (message: RankMessage): void => {
    if (message.kind === "step") this.#isInStep = true;
    this.#hub.march(phaseOf(message));
    // The others do not know what this rank begins: it ends for all. Where it has ended this changes nothing.
    this.#hub.send(message).catch((error: unknown) => this.#hub.fail(error));
  };

  readonly stepped = (): void => {
    this.#isInStep = false;
  };

  /** Steps are over for now: what rank 0 does next it does alone, and may take its time for. */
  rest(): void {
    this.#hub.march(undefined);
  }

  async #ask<R>(message: RankMessage): Promise<R[]> {
    this.#hub.march(phaseOf(message));
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

  /**
   * Has the followers read images from a pack; returns what is to be told of those that read images instead,
   * with the same pixels. E_SHARD_META where a pack of JPEGs is not there: its pixels are no image's.
   */
  async usePack(handle: PackHandle): Promise<readonly string[]> {
    const digest = await packDigest(
      handle,
      [...this.#tables.keys()].map(({ paths }) => paths),
    );
    const refusals = await this.#ask<PackRefusal>({ kind: "pack", handle, digest });
    const left = refusals.flatMap((why, i) => (why === null ? [] : [{ rank: i + 1, why }]));
    if (handle.packFormat !== "raw" && left.length > 0)
      throw new MttcError(
        left.map(({ rank, why }) => ({
          code: "E_SHARD_META",
          message: `rank ${rank} cannot read the packed images, whose pixels are not those of the files: ${why}`,
          at: { path: "pack" },
          hint: "`pack: FOLDER` with one that all machines share; or `pack_format: raw`",
        })),
      );
    return left.map(
      ({ rank, why }) => `rank ${rank} reads the images themselves, not the packed cache: ${why}`,
    );
  }

  /** A fault of another rank's that names images, with the places of the tables that list them. */
  located(error: unknown): unknown {
    return [...this.#tables.keys()].reduce((told, table) => listedBy(told, table), error);
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
        return () => this.#hub.awaited(outputs);
      },
      [Symbol.asyncDispose]: async () => this.tell({ kind: "evaluated" }),
    };
  }

  /**
   * Compares the state of all ranks with rank 0's, `tensors`. E_RANK_STATE where one has other weights: the
   * run would go on with a mixture of both.
   */
  async compareState(tensors: readonly StoredTensor[]): Promise<void> {
    const asked = this.#ask<string>({ kind: "digest" });
    // Awaited below.
    asked.catch(() => undefined);
    const own = await stateDigest(tensors.map(({ data }) => data));
    const others = await this.#hub.awaited(asked);
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

  /** Has `listener` hear of ranks that keep the others waiting; returns what ends that. */
  onStall(listener: (stall: RankStall) => void): () => void {
    return this.#hub.onStall(listener);
  }

  /** Whether rank 0's own `host` answers: where rank 0 was given up it need not, and is given up, too. */
  async hasAnswer(host: OrtHost): Promise<boolean> {
    return !this.#hub.isStalled || (await host.answers(ANSWER_MS));
  }

  /**
   * Closes the run on the followers, which may be given another; where this rank has failed within a step
   * they are given up. A lost rank has closed it.
   */
  async close(): Promise<void> {
    if (this.#hub.failed.aborted) return;
    // Who waits for this rank's part of a sum hears no message.
    if (this.#isInStep) this.#hub.abandon();
    else
      await this.#ask({ kind: "close" }).catch((error: unknown) => {
        // Of a rank that is lost now, nothing is open any more.
        if (!this.#hub.failed.aborted) throw error;
      });
  }
}

/** An error with, for each fault of an image of the table, where it is listed, if it does not say so yet. */
function listedBy(error: unknown, { paths, locate }: ImageRows): unknown {
  if (!(error instanceof MttcError) || error.faults.every(({ at }) => at?.file === undefined)) return error;
  const rows = new Map<string, number>();
  const files = new Set(error.faults.map(({ at }) => at?.file));
  let row = 0;
  for (const path of paths) {
    if (files.has(path) && !rows.has(path)) rows.set(path, row);
    row += 1;
  }
  if (rows.size === 0) return error;
  const faults = error.faults.map((fault) => {
    const found = rows.get(fault.at?.file ?? "");
    const { hint } = found === undefined ? {} : listedIn(locate(found));
    if (hint === undefined || fault.hint?.startsWith(LISTED)) return fault;
    return { ...fault, hint: [hint, fault.hint].filter((text) => text !== undefined).join("; ") };
  });
  const isChanged = faults.some((fault, i) => fault !== error.faults[i]);
  return isChanged ? new MttcError(faults, { cause: error }) : error;
}

/** SHA-256 of the tensors of a state, in its order, in pieces: a lost rank is heard of meanwhile. */
export async function stateDigest(tensors: readonly ArrayBufferView[]): Promise<string> {
  const pieces = tensors.map(
    ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength),
  );
  return (await describeContent(pieces)).sha256;
}
