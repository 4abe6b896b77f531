// The packed cache: the same pixels as decoding, packed once, every change or damage found before training.
import {
  copyFile,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, it } from "vitest";
import { type ImageFormat, ImageReader, imageBytes } from "../../runtime/images/images.ts";
import {
  PackedImages,
  type PackOptions,
  type PackSummary,
  preparePack,
} from "../../runtime/packs/packedImages.ts";
import { HEADER_BYTES } from "../../runtime/packs/packShard.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData } from "../cli/tinyData.ts";
import { makeFolder, pictureImage, writePictures } from "../images/imageFixtures.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { PACKED_JPEG_MEAN_LEVELS } from "../tolerances.ts";

const format: ImageFormat = { height: 8, width: 10, channels: 3, greyscale: false };
const count = 40;
let folder = "";
let paths: string[] = [];

beforeEach(async () => {
  folder = await makeFolder();
  paths = await writePictures(folder, count);
});

function prepare(options: Partial<PackOptions> = {}, of: readonly string[] = paths): Promise<PackSummary> {
  const items = of.map((path, row) => ({ path, place: { file: "t.csv", line: row + 2 } }));
  return preparePack(items, { folder: join(folder, "pack"), format, ...options });
}

async function openPack(options: Partial<PackOptions> = {}): Promise<PackedImages> {
  const summary = await prepare(options);
  return await PackedImages.open({ ...summary, format: options.format ?? format }, paths);
}

async function packOnce(): Promise<{ file: string; index: string }> {
  await prepare();
  const [recipe = ""] = await readdir(join(folder, "pack"));
  const shard = join(folder, "pack", recipe, "shard-00000");
  return { file: `${shard}.bin`, index: `${shard}.json` };
}

async function codesOf(): Promise<(string | undefined)[]> {
  const faults = await faultsOfAsync(() => prepare());
  return faults.map(({ code }) => code);
}

async function pixels(reader: ImageReader, path: string): Promise<Uint8Array> {
  const target = new Uint8Array(imageBytes(format));
  await reader.read(path, target);
  return target;
}

describe("a pack", () => {
  it("gives the bytes that decoding gives, and decodes nothing the second time", async () => {
    const decoding = new ImageReader(format);
    const expected = await Promise.all(paths.map((path) => pixels(decoding, path)));
    for (const packed of [count, 0]) {
      expect(await prepare()).toMatchObject({ images: count, packed });
      await using pack = await openPack();
      const reader = new ImageReader(format);
      reader.usePacked(pack);
      expect(await Promise.all(paths.map((path) => pixels(reader, path)))).toEqual(expected);
    }
  });

  it("does not open the sources of what it has", async () => {
    await using pack = await openPack();
    await rm(paths[3] ?? "");
    expect(await pack.read(paths[3] ?? "", new Uint8Array(imageBytes(format)))).toBe(true);
    expect(await pack.read("other.png", new Uint8Array(imageBytes(format)))).toBe(false);
  });

  it("grows by what is new, and keeps formats apart", async () => {
    await prepare({}, paths.slice(0, 30));
    const grown = await prepare();
    expect(grown.packed).toBe(10);
    const other = await prepare({ format: { ...format, height: 9 } });
    expect(other.packed).toBe(count);
    expect(other.folder).not.toBe(grown.folder);
  });

  it("packs nothing twice that another process packed between the first look and the lock", async () => {
    const other = await prepare({ folder: join(folder, "other") }, paths.slice(0, 30));
    const own = join(folder, "pack", basename(other.folder));
    await mkdir(own, { recursive: true });
    // Of another host, so that it counts as held, and of a name that is waited for.
    const rival = join(own, `.lock-ffffffff-1-ffffffff-${"f".repeat(16)}`);
    await writeFile(rival, "");
    const preparing = prepare();
    while ((await readdir(own)).length < 2) await sleep(1);
    for (const name of await readdir(other.folder)) await copyFile(join(other.folder, name), join(own, name));
    await rm(rival);
    expect(await preparing).toMatchObject({ images: count, packed: 10 });
    expect(await readFile(join(own, "shard-00000.bin"))).toEqual(
      await readFile(join(other.folder, "shard-00000.bin")),
    );
    await using pack = await openPack();
    expect(pack.has(paths[0] ?? "")).toBe(true);
  });

  it("says what keeps it out where another process packs", async () => {
    const { folder: own } = await prepare({}, paths.slice(0, 1));
    await writeFile(join(own, `.lock-00000000-1-00000000-${"0".repeat(16)}`), "");
    const [fault] = await faultsOfAsync(() => prepare());
    expect(fault?.code).toBe("E_RUN_LOCKED");
    expect(fault?.message).toMatch(/writes packed records into this folder/);
    expect(fault?.hint).toContain("choose another folder for `pack`");
  });

  it("takes a copied file for the same, a changed one for E_DATA_CHANGED until it is packed anew", async () => {
    await packOnce();
    await utimes(paths[5] ?? "", 1, 1);
    await prepare();
    for (const row of [7, 9])
      await writeFile(paths[row] ?? "", await pictureImage(12, 10, 99).png().toBuffer());
    const faults = await faultsOfAsync(() => prepare());
    expect(faults.map(({ code, at }) => [code, at?.file])).toEqual([
      ["E_DATA_CHANGED", paths[7]],
      ["E_DATA_CHANGED", paths[9]],
    ]);
    expect(faults[0]?.hint).toMatch(/t.csv:9.*--refresh/);
    expect((await prepare({ refresh: true })).packed).toBe(2);
    await using fresh = await openPack();
    const reader = new ImageReader(format);
    const target = new Uint8Array(imageBytes(format));
    await fresh.read(paths[7] ?? "", target);
    expect(target).toEqual(await pixels(reader, paths[7] ?? ""));
    expect((await prepare()).packed).toBe(0);
  });

  it("reports all unreadable images together and keeps what is sound", async () => {
    const broken = [3, 38];
    const good = await Promise.all(broken.map((row) => readFile(paths[row] ?? "")));
    for (const row of broken) await writeFile(paths[row] ?? "", "no image");
    const faults = await faultsOfAsync(() => prepare());
    expect(faults.map(({ code, hint }) => [code, hint])).toEqual([
      ["E_IMG_FORMAT", "listed in t.csv:5"],
      ["E_IMG_FORMAT", "listed in t.csv:40"],
    ]);
    for (const [place, row] of broken.entries()) await writeFile(paths[row] ?? "", good[place] ?? "");
    expect((await prepare()).packed).toBe(2);
  });
});

describe("replaced records", () => {
  const repaint = async (rows: readonly number[], tint: number): Promise<void> => {
    for (const row of rows)
      await writeFile(paths[row] ?? "", await pictureImage(12, 10, tint).png().toBuffer());
  };
  const sizeOf = async (folderOfShards: string): Promise<number> => {
    const names = (await readdir(folderOfShards)).filter((name) => name.endsWith(".bin"));
    const stats = await Promise.all(names.map((name) => stat(join(folderOfShards, name))));
    return stats.reduce((sum, { size }) => sum + size, 0);
  };

  it("give their space back: a shard that holds enough of them is copied without them", async () => {
    const { folder: shards } = await prepare();
    const first = await sizeOf(shards);
    const half = Array.from({ length: count / 2 }, (_, row) => row);
    await repaint(half, 201);
    const summary = await prepare({ refresh: true });
    expect(summary).toMatchObject({ packed: count / 2 });
    // What was replaced, less the header and the header of the second shard.
    expect(summary.reclaimedBytes).toBe((count / 2) * (imageBytes(format) + 4));
    expect(await sizeOf(shards)).toBe(first + HEADER_BYTES);
    expect((await readdir(shards)).sort()).toEqual(
      ["shard-00001", "shard-00002"].flatMap((name) => [`${name}.bin`, `${name}.json`]),
    );
    expect((await prepare()).packed).toBe(0);
    await using pack = await openPack();
    const reader = new ImageReader(format, 0);
    const target = new Uint8Array(imageBytes(format));
    for (const path of paths) {
      await pack.read(path, target);
      expect(target, path).toEqual(await pixels(reader, path));
    }
  });

  it("stay where they are few, and a shard of nothing else goes", async () => {
    const { folder: shards } = await prepare();
    await repaint([0, 1], 202);
    expect((await prepare({ refresh: true })).reclaimedBytes).toBe(0);
    await repaint([0, 1], 203);
    expect((await prepare({ refresh: true })).reclaimedBytes).toBe(
      HEADER_BYTES + 2 * (imageBytes(format) + 4),
    );
    expect((await readdir(shards)).filter((name) => name.endsWith(".json"))).toHaveLength(2);
  });

  it("of another spec's images are not touched; data without an index is", async () => {
    const { folder: shards } = await prepare();
    await writeFile(join(shards, "shard-00007.bin"), "cut off");
    await repaint([0], 204);
    await prepare({ refresh: true }, paths.slice(0, 1));
    expect(await readdir(shards)).not.toContain("shard-00007.bin");
    expect((await prepare({}, paths.slice(1))).packed).toBe(0);
  });
});

describe("packing that is interrupted", () => {
  it("keeps what is packed, says so, and goes on from there", async () => {
    const controller = new AbortController();
    const faults = await faultsOfAsync(() =>
      prepare({
        signal: controller.signal,
        onProgress: (done) => {
          if (done === 5) controller.abort();
        },
      }),
    );
    expect(faults.map(({ code }) => code)).toEqual(["E_INTERRUPTED"]);
    const done = Number(/after (\d+) of 40/.exec(faults[0]?.message ?? "")?.[1]);
    expect(done).toBeGreaterThanOrEqual(5);
    expect(done).toBeLessThan(count);
    const [recipe = ""] = await readdir(join(folder, "pack"));
    expect(await readdir(join(folder, "pack", recipe))).toEqual(["shard-00000.bin", "shard-00000.json"]);
    expect((await prepare()).packed).toBe(count - done);
  });
});

describe("a pack of JPEGs", () => {
  const side = { height: 64, width: 80, channels: 3, greyscale: false } as const;
  const jpeg = { packFormat: "jpeg", format: side } as const;

  it("holds the pixels nearly, in less space, the same at every read", async () => {
    const large = await Promise.all(
      paths.slice(0, 6).map(async (path, tint) => {
        await writeFile(
          path,
          await pictureImage(160, 120, tint * 40)
            .png()
            .toBuffer(),
        );
        return path;
      }),
    );
    const summary = await prepare(jpeg, large);
    expect(summary.sizeBytes).toBeLessThan((large.length * imageBytes(side)) / 4 + HEADER_BYTES);
    await using pack = await PackedImages.open({ ...summary, format: side }, large);
    const reader = new ImageReader(side, 0);
    for (const path of large) {
      const [once, twice, exact] = [0, 0, 0].map(() => new Uint8Array(imageBytes(side)));
      if (!once || !twice || !exact) throw new Error("no arrays");
      await pack.read(path, once);
      await pack.read(path, twice);
      await reader.read(path, exact);
      expect(twice).toEqual(once);
      const mean =
        exact.reduce((sum, value, at) => sum + Math.abs(value - (once[at] ?? 0)), 0) / exact.length;
      expect(mean).toBeLessThan(PACKED_JPEG_MEAN_LEVELS);
      expect(new Set(once).size).toBeGreaterThan(20);
    }
    const raw = await prepare({ format: side }, large);
    expect(raw.folder).not.toBe(summary.folder);
  });

  it("is what a reader gives once it has it, also of images that it had kept", async () => {
    const [path = ""] = paths;
    await using pack = await PackedImages.open({ ...(await prepare(jpeg)), format: side }, paths);
    const [packed, read] = [0, 0].map(() => new Uint8Array(imageBytes(side)));
    const reader = new ImageReader(side);
    if (!packed || !read) throw new Error("no arrays");
    await pack.read(path, packed);
    await reader.read(path, read);
    expect(read).not.toEqual(packed);
    reader.usePacked(pack);
    await reader.read(path, read);
    expect(read).toEqual(packed);
  });

  it("of one channel keeps one; more channels or bits than JPEG has are E_CONFIG", async () => {
    const grey = { ...side, channels: 1, greyscale: true };
    const summary = await prepare({ packFormat: "jpeg", format: grey }, paths.slice(0, 1));
    await using pack = await PackedImages.open({ ...summary, format: grey }, paths.slice(0, 1));
    await pack.read(paths[0] ?? "", new Uint8Array(imageBytes(grey)));
    for (const more of [{ channels: 4 }, { depth: "uint16" as const }]) {
      const faults = await faultsOfAsync(() => prepare({ packFormat: "jpeg", format: { ...side, ...more } }));
      expect(faults.map(({ code, at }) => [code, at?.path])).toEqual([["E_CONFIG", "pack_format"]]);
    }
  });

  it("that is damaged, cut or wrongly indexed is refused like any other", async () => {
    const { folder: shards } = await prepare(jpeg);
    const [file, index] = ["bin", "json"].map((kind) => join(shards, `shard-00000.${kind}`)) as [
      string,
      string,
    ];
    const [bytes, text] = [await readFile(file), await readFile(index, "utf8")];
    const codes = async (): Promise<unknown[]> =>
      (await faultsOfAsync(() => prepare(jpeg))).map(({ code }) => code);
    const flipped = Buffer.from(bytes);
    flipped[HEADER_BYTES + 700] = (flipped[HEADER_BYTES + 700] ?? 0) ^ 1;
    await writeFile(file, flipped);
    expect(await codes()).toEqual(["E_SHARD_CRC"]);
    await writeFile(file, bytes.subarray(0, -1));
    expect(await codes()).toEqual(["E_SHARD_META"]);
    await writeFile(file, bytes);
    const parsed = JSON.parse(text) as { lengths: number[] };
    for (const lengths of [
      parsed.lengths.slice(1),
      parsed.lengths.map((length) => length + 1),
      [-1],
      undefined,
    ]) {
      await writeFile(index, JSON.stringify({ ...parsed, lengths }));
      expect(await codes()).toEqual(["E_SHARD_META"]);
    }
  });
});

describe("a damaged shard", () => {
  it("with a flipped bit is E_SHARD_CRC and names the image", async () => {
    const { file } = await packOnce();
    await using handle = await open(file, "r+");
    const at = HEADER_BYTES + 6 * imageBytes(format) + 17;
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, at);
    await handle.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, at);
    const faults = await faultsOfAsync(() => prepare());
    expect(faults.map(({ code }) => code)).toEqual(["E_SHARD_CRC"]);
    expect(faults[0]?.message).toContain(`1 images (${paths[6]})`);
  });

  it("that is cut, has another header, recipe or count, or no index, is E_SHARD_META", async () => {
    const { file, index } = await packOnce();
    const [bytes, text] = [await readFile(file), await readFile(index, "utf8")];
    await truncate(file, bytes.length - 1);
    expect(await codesOf()).toEqual(["E_SHARD_META"]);
    const header = Buffer.from(bytes);
    header[24] = 1;
    await writeFile(file, header);
    expect(await codesOf()).toEqual(["E_SHARD_META"]);
    await writeFile(file, bytes);
    const parsed = JSON.parse(text) as { sources: unknown[] };
    for (const wrong of [
      "{",
      "[]",
      JSON.stringify({ ...parsed, recipe: "other" }),
      JSON.stringify({ ...parsed, sources: parsed.sources.slice(1) }),
      JSON.stringify({ ...parsed, sources: [["x"]] }),
    ]) {
      await writeFile(index, wrong);
      expect(await codesOf(), wrong.slice(0, 40)).toEqual(["E_SHARD_META"]);
    }
    await writeFile(index, text);
    await prepare();
  });
});

describe("training from a pack", () => {
  it("gives the same weights to the bit as decoding, and refuses a changed image before step 1", async () => {
    await using plain = await makeTinyData({ logdir: "runs/a", epochs: "2", pack: "false" });
    const other = join(plain.folder, "packed.yml");
    const spec = await readFile(join(plain.folder, "spec.yml"), "utf8");
    await writeFile(other, spec.replace("runs/a", "runs/b").replace("pack: false", "pack: true"));
    await mkdir(join(plain.folder, "runs"));
    expect((await runCli(plain.folder, ["train", "spec.yml"])).code).toBe(0);
    const packed = await runCli(plain.folder, ["data", "pack", "packed.yml", "--json"]);
    expect(JSON.parse(packed.stdout), packed.stderr).toMatchObject({ images: 48, packed: 48 });
    const trained = await runCli(plain.folder, ["train", "packed.yml"]);
    expect(trained.code, trained.stderr).toBe(0);
    expect(trained.stderr).toMatch(/48 images are read from the packed cache .*; 0 were packed now/);
    const states = await Promise.all(
      ["a", "b"].map((run) =>
        readFile(join(plain.folder, "runs", run, "checkpoints", "epoch-0002", "state.safetensors")),
      ),
    );
    expect(states[0]?.equals(states[1] ?? Buffer.alloc(0))).toBe(true);
    const [image = ""] = await readdir(join(plain.folder, "images"));
    await writeFile(join(plain.folder, "images", image), await pictureImage(16, 16).png().toBuffer());
    const refused = await runCli(plain.folder, ["train", "packed.yml", "--resume", "--epochs", "3"]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("[E_DATA_CHANGED]");
  });
});
