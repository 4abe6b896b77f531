// What rank 0 tells the processes that train with it, and label tables as they travel. Followers read no spec
// and no table: all that they know comes in these messages, in the order in which it is sent.
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import type { WantedOutput } from "../infer/scoring.ts";
import type { LabelledRows } from "../labels/classes.ts";
import type { PackHandle } from "../packs/packedImages.ts";
import type { Phase } from "../ranks/mainThread.ts";
import { openPaths, type SharedPaths, sharePaths } from "../tables/stringTable.ts";
import type { BundlePiece } from "./bundlePieces.ts";
import type { DeviceMessage } from "./deviceRanks.ts";
import type { Kernels } from "./rankKernels.ts";

/** A table of images as it travels, with labels where steps take them. */
export interface SentRows {
  readonly folder: SharedPaths["folder"];
  readonly blocks: readonly Uint8Array[];
  readonly blockOf: Int32Array;
  readonly ends: Int32Array;
  readonly stamps: Uint32Array | undefined;
  readonly tasks: LabelledRows["tasks"];
  readonly labels: LabelledRows["labels"];
}

/** The tables that rank 0 and its followers know alike. */
export type TableName = "train" | "val";

export type RankMessage =
  | DeviceMessage
  /** A piece of a file of the bundle, which goes into a folder of the follower's own. */
  | ({ readonly kind: "file" } & BundlePiece)
  /** All files are there: the device is opened. Wants a reply. */
  | {
      readonly kind: "open";
      readonly manifest: Manifest;
      readonly kernels: Kernels;
      readonly allowSpinning: boolean;
      readonly tf32: boolean;
    }
  | { readonly kind: "tables"; readonly tables: Readonly<Partial<Record<TableName, SentRows>>> }
  /** Images may be read from a pack, whose contents have this digest (packDigest). Wants a reply. */
  | { readonly kind: "pack"; readonly handle: PackHandle; readonly digest: string }
  /** Steps of an epoch follow, from `step` on. */
  | { readonly kind: "epoch"; readonly epoch: number; readonly step: number }
  /** Batches of a table are evaluated, of which `turn` asks for the next of each rank. */
  | { readonly kind: "evaluation"; readonly table: TableName; readonly wanted: WantedOutput }
  /** Wants a reply: what a batch gave, by task; null where there is none left. */
  | { readonly kind: "turn" }
  | { readonly kind: "evaluated" }
  /** Wants a reply: SHA-256 of the state. */
  | { readonly kind: "digest" }
  /** What was opened is closed; another run may follow. Wants a reply. */
  | { readonly kind: "close" }
  /** Nothing follows: MPI is left, by all at once. Wants a reply. */
  | { readonly kind: "leave" };

/** What all ranks do a part of at the same time, none of which takes a main thread long. */
export function phaseOf({ kind }: RankMessage): Phase | undefined {
  if (kind === "step") return "step";
  return kind === "turn" ? "evaluation" : undefined;
}

/** Why a follower does not read a pack; null: it does. */
export type PackRefusal = string | null;

/** Outputs of a batch by task, float32 [batch, width]. */
export type BatchOutputs = ReadonlyMap<string, Float32Array>;

/** A table to be sent; `withLabels` where steps are taken on it. */
export function sentRows({ paths, stamps, tasks, labels }: LabelledRows, withLabels: boolean): SentRows {
  const { folder, blocks, blockOf, ends } = sharePaths(paths);
  return {
    folder,
    // Memory that threads share is no message's.
    blocks: blocks.map((block) => new Uint8Array(block).slice()),
    ...{ blockOf: blockOf.slice(), ends: ends.slice(), stamps: stamps?.slice() },
    tasks: withLabels ? tasks : [],
    labels: withLabels ? labels : [],
  };
}

/** The table that was sent; where its rows are listed rank 0 alone knows. */
export function receivedRows({
  folder,
  blocks,
  blockOf,
  ends,
  stamps,
  tasks,
  labels,
}: SentRows): LabelledRows {
  const shared = blocks.map((bytes) => {
    const block = new SharedArrayBuffer(bytes.length);
    new Uint8Array(block).set(bytes);
    return block;
  });
  const numbers = (values: Int32Array): Int32Array => {
    const copy = new Int32Array(new SharedArrayBuffer(values.byteLength));
    copy.set(values);
    return copy;
  };
  const paths = openPaths({ folder, blocks: shared, blockOf: numbers(blockOf), ends: numbers(ends) });
  return { paths, ...(stamps ? { stamps } : {}), tasks, labels, locate: () => ({}) };
}
