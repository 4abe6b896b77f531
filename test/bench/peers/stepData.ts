// What both sides of `npm run bench -- peers` train on: a batch of images of hashed bytes and labels with
// holes.
import type { MicroBatch } from "../../../runtime/train/microBatch.ts";
import type { PeerNet } from "./peerNets.ts";

/** One row in so many has no label. */
const UNLABELLED_EVERY = 5;

/** `count` bytes that look drawn, those of peer_steps.py. */
export function hashedBytes(count: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    let x = Math.imul(i, 2654435761);
    x = Math.imul(x ^ (x >>> 15), 0x85ebca6b);
    bytes[i] = x ^ (x >>> 13);
  }
  return bytes;
}

/** Class of a row for a task; -1 where it has no label. */
export function labelOf(row: number, task: number, classes: number): number {
  return row % UNLABELLED_EVERY === UNLABELLED_EVERY - 1 ? -1 : (row * 7 + task) % classes;
}

/** Images, uint8 [N,H,W,3], and labels, int64 [N] for each task. */
export function stepBatch(net: PeerNet): Pick<MicroBatch, "labels"> & { images: Uint8Array<ArrayBuffer> } {
  const labels = new Map(
    net.classes.map((classes, task) => [
      `task${task}`,
      BigInt64Array.from({ length: net.batch }, (_, row) => BigInt(labelOf(row, task, classes))),
    ]),
  );
  return { images: hashedBytes(net.batch * net.side * net.side * 3), labels };
}
