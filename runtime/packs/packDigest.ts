// What a pack holds, in a few bytes, by which another machine tells whether the pack that it finds is the
// same.
import { createHash } from "node:crypto";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { PackHandle } from "./packedImages.ts";
import { imageKind } from "./packKind.ts";
import { readShards } from "./packShard.ts";
import { entriesOf } from "./packSources.ts";

/**
 * SHA-256, in hex, of the hashes of the sources of these tables' images, in order. E_SHARD_META where the
 * pack is not there or lacks one of them; E_FILE.
 */
export async function packDigest(
  { folder, format, packFormat }: PackHandle,
  tables: Iterable<Iterable<string>>,
): Promise<string> {
  const entries = entriesOf(await readShards(folder, imageKind(format, packFormat)));
  const hash = createHash("sha256");
  for (const table of tables)
    for (const path of table) {
      const { shard, record = -1 } = entries.get(path) ?? {};
      const source = shard?.index.sources[record];
      if (!source) {
        const message = entries.size === 0 ? "there are no packed images here" : `${path} is not packed here`;
        throw new MttcError({ code: "E_SHARD_META", message, at: { file: folder } });
      }
      hash.update(source[3]);
    }
  return hash.digest("hex");
}
