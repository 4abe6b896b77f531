// Gives back the disk space of records that newer ones have replaced. Only records that no reader can reach
// any more go: a folder may serve several specs, so one that some spec does not list is none of these. A new
// shard is durable before the old one is removed, and the old index goes before its data.
import { open, rm } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { MttcError } from "../../compiler/diagnostics.ts";
import { fileError } from "../files/fileSystem.ts";
import {
  CRC_BYTES,
  type RecordKind,
  readShards,
  recordOffsets,
  type Shard,
  shardFiles,
  shardNumbers,
} from "./packShard.ts";
import { entriesOf } from "./packSources.ts";
import { ShardWriter } from "./shardWriter.ts";

/** A shard whose replaced records are a smaller share stays: copying the others would cost more. */
const WORTH_COPYING = 0.25;

/**
 * Removes replaced records and data without an index from a folder; returns the bytes given back. The caller
 * holds the folder's lock. E_SHARD_META, E_SHARD_CRC, E_DISK, E_FILE.
 */
export async function reclaimShards(folder: string, kind: RecordKind): Promise<number> {
  const shards = await readShards(folder, kind);
  const whole = new Set(shards.map(({ number }) => number));
  for (const number of await shardNumbers(folder, "bin"))
    if (!whole.has(number)) await remove(shardFiles(folder, number).data);
  const entries = entriesOf(shards);
  let freed = 0;
  let next = (shards.at(-1)?.number ?? -1) + 1;
  for (const shard of shards) {
    const { sources, sizeBytes } = shard.index;
    const live = [...sources.keys()].filter((record) => {
      const entry = entries.get(sources[record]?.[0] ?? "");
      return entry?.shard === shard && entry.record === record;
    });
    const replaced = sources.length - live.length;
    if (replaced === 0 || (live.length > 0 && replaced < WORTH_COPYING * sources.length)) continue;
    freed += sizeBytes - (live.length > 0 ? await copyRecords(shard, live, folder, next++, kind) : 0);
    const files = shardFiles(folder, shard.number);
    await remove(files.index);
    await remove(files.data);
  }
  return freed;
}

/** Copies records into a new shard, whose size is returned. */
async function copyRecords(
  { file, index }: Shard,
  records: readonly number[],
  folder: string,
  number: number,
  kind: RecordKind,
): Promise<number> {
  const offsets = recordOffsets(kind, index);
  const sumsAt = offsets.at(-1) ?? 0;
  await using from = await open(file, "r").catch((error: unknown) => {
    throw fileError(error, file, "read the packed records");
  });
  await using writer = await ShardWriter.open(folder, number, kind);
  for (const record of records) {
    const source = index.sources[record];
    const [start = 0, end = 0] = offsets.subarray(record, record + 2);
    const bytes = Buffer.alloc(end - start);
    const sum = Buffer.alloc(CRC_BYTES);
    await from.read(bytes, 0, bytes.length, start);
    await from.read(sum, 0, CRC_BYTES, sumsAt + record * CRC_BYTES);
    if (source === undefined || crc32(bytes) !== sum.readUInt32LE())
      throw new MttcError({
        code: "E_SHARD_CRC",
        message: `the record of ${source?.[0]} is damaged`,
        at: { file },
        hint: "remove this folder of packed records: it is written again from the sources",
      });
    await writer.write(bytes, source);
  }
  await writer.finish();
  return writer.sizeBytes;
}

async function remove(file: string): Promise<void> {
  await rm(file, { force: true }).catch((error: unknown) => {
    throw fileError(error, file, "remove");
  });
}
