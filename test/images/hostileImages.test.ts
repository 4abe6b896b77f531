// The list of hostile inputs, rows 1 to 24, 32 and 33, in training: `mttc train` on a table whose fifth line
// names the file. Each case ends with exit code 2, the wanted code, the file and its row named, in bounded
// time and memory; or trains, where the file is sound. (imageCheck.test.ts has rows 1 to 23 in `data check`,
// hostileTables.test.ts the rows of tables and specs.)
import { execFileSync } from "node:child_process";
import { copyFile, mkdir, open, readdir, readFile, symlink, truncate, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { deflateSync } from "node:zlib";
import sharp, { type Sharp } from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeImage, ImageReader, imageBytes } from "../../runtime/images/images.ts";
import { MultiTaskTrainer } from "../../runtime/mttc.ts";
import { makeTinyData, type TinyData, tinySpec } from "../cli/tinyData.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { CMYK_LEVELS } from "../tolerances.ts";
import { hostilePng, pngChunk, repeatLastScan } from "./hostileFiles.ts";
import { makeFolder, pictureImage } from "./imageFixtures.ts";
import { runWatched } from "./watchedRun.ts";

const FIXTURES = join(dirname(fileURLToPath(import.meta.url)), "../fixtures/data");
/** A fault list shows so many. */
const SHOWN = 20;
let data: TinyData;
let outside = "";
let jpeg: Buffer = Buffer.alloc(0);
let server: Server | undefined;

beforeAll(async () => {
  data = await makeTinyData();
  outside = await makeFolder();
  jpeg = await pictureImage(400, 300).jpeg().toBuffer();
  await writeFile(join(outside, "a.jpg"), jpeg);
});

afterAll(async () => {
  server?.close();
  await data[Symbol.asyncDispose]();
});

/** Trains on a copy of the table whose row in line 5 names `image`; more keys of the spec in `changes`. */
async function train(name: string, image: string, changes: Readonly<Record<string, string>> = {}) {
  const table = await readFile(join(data.folder, "train.csv"), "utf8");
  const quoted = `"${image.replaceAll('"', '""')}"`;
  await writeFile(join(data.folder, `${name}.csv`), table.replace("images/train-3.png", quoted));
  const keys = { train_labels: `${name}.csv`, logdir: `runs/${name}`, epochs: "1", balance_probs: "false" };
  await writeFile(join(data.folder, `${name}.yml`), tinySpec({ ...keys, ...changes }));
  return await runWatched(data.folder, ["train", `${name}.yml`]);
}

type Bytes = () => Buffer | Promise<Buffer>;
const exif = pngChunk("eXIf", Buffer.from("4d4d002a00000008000101120003000000010006000000000000", "hex"));
const svg = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"';
const uses = Array.from({ length: 20 }, (_, i) => `<g id="g${i + 1}"><use xlink:href="#g${i}"/></g>`);

async function manyScans(side: number): Promise<Buffer> {
  const plain = sharp({ create: { width: side, height: side, channels: 3, background: "#777" } });
  return repeatLastScan(await plain.jpeg({ progressive: true }).toBuffer(), 400);
}

const refused: readonly (readonly [row: number, what: string, code: string, bytes: Bytes])[] = [
  [1, "a JPEG cut at 50 %", "E_IMG_TRUNCATED", () => jpeg.subarray(0, jpeg.length / 2)],
  [1, "a JPEG cut at 95 %", "E_IMG_TRUNCATED", () => jpeg.subarray(0, jpeg.length * 0.95)],
  [1, "a JPEG without its end", "E_IMG_TRUNCATED", () => jpeg.subarray(0, jpeg.length - 2)],
  [2, "a JPEG cut in its header", "E_IMG_FORMAT", () => jpeg.subarray(0, 40)],
  [2, "an empty file", "E_IMG_FORMAT", () => Buffer.alloc(0)],
  [2, "a page of HTML", "E_IMG_FORMAT", () => Buffer.from("<!doctype html><body>404</body>")],
  [5, "30000x30000", "E_IMG_LIMIT", () => hostilePng({ width: 30_000, height: 30_000, bits: 1 })],
  [
    6,
    "256 MP, turned",
    "E_IMG_LIMIT",
    () => hostilePng({ width: 16_000, height: 16_000, bits: 1, more: [exif] }),
  ],
  [7, "a claimed 60000x60000", "E_IMG_LIMIT", () => hostilePng({ width: 60_000, height: 60_000, rows: 0 })],
  [7, "a width of zero", "E_IMG_FORMAT", () => hostilePng({ width: 0, height: 10 })],
  [8, "a PNG with too little data", "E_IMG_TRUNCATED", () => hostilePng({ width: 64, height: 64, rows: 9 })],
  [8, "a PNG with a wrong checksum", "E_IMG_TRUNCATED", () => hostilePng({ width: 64, height: 64, crc: 1 })],
  [10, "400 more scans, 64 MP", "E_IMG_LIMIT", () => manyScans(8_000)],
  [10, "400 more scans, 4 MP", "E_IMG_TRUNCATED", () => manyScans(2_000)],
  [16, "a PPM", "E_IMG_FORMAT", () => Buffer.concat([Buffer.from("P6 40 30 255\n"), Buffer.alloc(3600, 7)])],
  [
    17,
    "an SVG with links to files",
    "E_IMG_FORMAT",
    () => Buffer.from(`${svg}><image xlink:href="train-1.png"/><image xlink:href="../x.png"/></svg>`),
  ],
  [
    17,
    "an SVG with an external entity",
    "E_IMG_FORMAT",
    () =>
      Buffer.from(`<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>${svg}><text>&x;</text></svg>`),
  ],
  [18, "an SVG of nested uses", "E_IMG_FORMAT", () => Buffer.from(`${svg}>${uses.join("")}</svg>`)],
  [18, "an SVG of 30000 pixels", "E_IMG_FORMAT", () => Buffer.from(`${svg} width="30000" height="30000"/>`)],
  [19, "1x1", "E_IMG_SIZE", () => hostilePng({ width: 1, height: 1 })],
  [19, "20000x1", "E_IMG_SIZE", () => hostilePng({ width: 20_000, height: 1 })],
];

/** What stands for its kind where each case would take a training run of its own. */
const ALONE: ReadonlySet<string> = new Set([
  "a JPEG cut at 95 %",
  "an empty file",
  "256 MP, turned",
  "400 more scans, 4 MP",
  "an SVG of nested uses",
  "20000x1",
]);

describe("an image that training refuses", () => {
  it.each(refused.filter(([, what]) => ALONE.has(what)))("row %i, %s: %s", async (row, what, code, bytes) => {
    const name = `row${row}-${what.replace(/\W+/g, "-")}`;
    await writeFile(join(data.folder, "images", `${name}.png`), await bytes());
    const { code: exit, stderr } = await train(name, `images/${name}.png`);
    expect(exit, stderr).toBe(2);
    expect(stderr).toMatch(new RegExp(`${name}\\.png: .*\\[${code}\\]\\n.*${name}\\.csv:5`));
    expect(await readdir(join(data.folder, "runs", name))).not.toContain("checkpoints");
  });

  it("rows 1 to 19 packed: all of them at once, each with its row", async () => {
    const cases = refused.slice(-SHOWN);
    const table = ["file,colour,its shape"];
    for (const [place, [, , , bytes]] of cases.entries()) {
      await writeFile(join(data.folder, "images", `all-${place}.png`), await bytes());
      table.push(`images/all-${place}.png,${place % 2 ? "red" : "blue"},${place % 3 ? "bar" : "ring"}`);
    }
    await writeFile(join(data.folder, "all.csv"), `${table.join("\n")}\n`);
    const spec = { train_labels: "all.csv", val_labels: "null", logdir: "runs/all", pack: "true" };
    await writeFile(join(data.folder, "all.yml"), tinySpec(spec));
    const { code, stderr } = await runWatched(data.folder, ["train", "all.yml"]);
    expect(code).toBe(2);
    for (const [place, [row, what, wanted]] of cases.entries())
      expect(stderr, `row ${row}: ${what}`).toMatch(
        new RegExp(`all-${place}\\.png: .*\\[${wanted}\\]\\n.*all\\.csv:${place + 2}`),
      );
  });

  it("rows 1 to 19 one by one, as the loader reads them", async () => {
    const format = { height: 16, width: 16, channels: 3, greyscale: false } as const;
    const reader = new ImageReader(format, 0);
    for (const [row, what, code, bytes] of refused) {
      const path = join(data.folder, "images", "one.png");
      await writeFile(path, await bytes());
      const place = { file: "t.csv", line: row };
      const faults = await faultsOfAsync(() => reader.read(path, new Uint8Array(imageBytes(format)), place));
      expect(faults, what).toEqual([
        expect.objectContaining({ code, at: { file: path }, hint: `listed in t.csv:${row}` }),
      ]);
    }
  });
});

describe("an image that is unusual but sound", () => {
  const bomb = Buffer.concat([Buffer.from("a\0\0", "latin1"), deflateSync(Buffer.alloc(300 * 2 ** 20))]);
  const image = (): Sharp => pictureImage(40, 30);
  const frames = async (): Promise<Buffer> => {
    const two = await Promise.all([0, 90].map((tint) => pictureImage(40, 30, tint).png().toBuffer()));
    return await sharp(two, { join: { animated: true } })
      .webp()
      .toBuffer();
  };
  const sound: readonly (readonly [row: number, what: string, bytes: Bytes])[] = [
    [4, "a JPEG and a ZIP in one", () => Buffer.concat([jpeg, Buffer.from("PK\u0003\u0004 and more")])],
    [
      9,
      "a text of 300 MB inflated",
      () => hostilePng({ width: 64, height: 64, more: [pngChunk("zTXt", bomb)] }),
    ],
    [
      9,
      "a profile of 300 MB inflated",
      () => hostilePng({ width: 64, height: 64, more: [pngChunk("iCCP", bomb)] }),
    ],
    [11, "CMYK", () => image().toColourspace("cmyk").jpeg().toBuffer()],
    [12, "grey", () => image().greyscale().jpeg().toBuffer()],
    [12, "a palette", () => image().png({ palette: true }).toBuffer()],
    [12, "1 bit", () => hostilePng({ width: 64, height: 64, bits: 1 })],
    [12, "grey and alpha", () => image().ensureAlpha(0.3).greyscale().png().toBuffer()],
    [13, "16 bits", () => image().toColourspace("rgb16").png().toBuffer()],
    [14, "alpha", () => image().ensureAlpha(0.3).png().toBuffer()],
    [15, "turned", () => image().withMetadata({ orientation: 6 }).jpeg().toBuffer()],
    [16, "an animated WebP", frames],
    [20, "a PNG named .jpg", () => image().png().toBuffer()],
  ];

  it("rows 4, 9, 11 to 16 and 20: all are trained on", async () => {
    const table = ["file,colour,its shape"];
    for (const [place, [row, , bytes]] of sound.entries()) {
      const name = `images/sound-${row}-${place}.${row === 20 ? "jpg" : "png"}`;
      await writeFile(join(data.folder, name), await bytes());
      table.push(`${name},${place % 2 ? "red" : "blue"},${place % 3 ? "bar" : "ring"}`);
    }
    await writeFile(join(data.folder, "sound.csv"), `${table.join("\n")}\n`);
    const spec = { train_labels: "sound.csv", val_labels: "null", logdir: "runs/sound", epochs: "1" };
    await writeFile(join(data.folder, "sound.yml"), tinySpec({ ...spec, balance_probs: "false" }));
    const { code, stderr } = await runWatched(data.folder, ["train", "sound.yml"]);
    expect(code, stderr).toBe(0);
  });

  it("row 11: a CMYK JPEG has the pixels that Pillow's littleCMS shows, within 4 levels", async () => {
    const format = { height: 64, width: 64, channels: 3, greyscale: false } as const;
    const expected = await sharp(await readFile(join(FIXTURES, "cmyk.png")))
      .raw()
      .toBuffer();
    const pixels = await decodeImage(await readFile(join(FIXTURES, "cmyk.jpg")), format, "cmyk.jpg");
    expect(pixels).toHaveLength(expected.length);
    const worst = pixels.reduce(
      (most, value, at) => Math.max(most, Math.abs(value - (expected[at] ?? 0))),
      0,
    );
    expect(worst).toBeLessThanOrEqual(CMYK_LEVELS);
    expect(new Set(expected).size).toBeGreaterThan(50);
  });
  // Row 15, all eight orientations to the bit: images.test.ts.
});

describe("a path that training refuses", () => {
  it("rows 21 to 24: all of a table at once, each with its line", async () => {
    execFileSync("mkfifo", [join(data.folder, "images", "fifo.png")]);
    await mkdir(join(data.folder, "images", "folder.png"));
    server = createServer().listen(join(data.folder, "images", "socket.png"));
    await symlink("train-1.png", join(data.folder, "images", "in.png"));
    await symlink(join(outside, "a.jpg"), join(data.folder, "images", "out.png"));
    await symlink(outside, join(data.folder, "away"));
    const cases = [
      [21, "images/fifo.png", "E_PATH_TYPE"],
      [21, "images/folder.png", "E_PATH_TYPE"],
      [21, "images/socket.png", "E_PATH_TYPE"],
      [22, "images/in.png", "E_PATH_TYPE"],
      [22, "images/out.png", "E_PATH_ESCAPE"],
      [23, "away/a.jpg", "E_PATH_ESCAPE"],
      [24, "../../etc/passwd", "E_PATH_ESCAPE"],
      [24, "/etc/passwd", "E_PATH_ESCAPE"],
      [24, "C:\\x", "E_PATH_ESCAPE"],
      [24, "\\\\h\\s", "E_PATH_ESCAPE"],
    ] as const;
    const lines = cases.map(([, path]) => `"${path}",red,bar`);
    await writeFile(join(data.folder, "paths.csv"), `file,colour,its shape\n${lines.join("\n")}\n`);
    const spec = tinySpec({ train_labels: "paths.csv", val_labels: "null", logdir: "runs/paths" });
    await writeFile(join(data.folder, "paths.yml"), spec);
    const { code, stderr } = await runWatched(data.folder, ["train", "paths.yml"]);
    expect(code).toBe(2);
    const found = [...stderr.matchAll(/\[(E_\w+)\]\n.*paths\.csv:(\d+)/g)].map((match) => match.slice(1, 3));
    expect(found).toEqual(cases.map(([, , wanted], place) => [wanted, String(place + 2)]));
    expect(await readdir(data.folder)).not.toContain("runs/paths");
  });

  it("row 21: a device is E_PATH_TYPE where the spec allows its folder", async () => {
    const { code, stderr } = await train("device", "/dev/zero", { image_root: "/" });
    expect(code).toBe(2);
    expect(stderr).toMatch(/\/dev\/zero: .*\[E_PATH_TYPE\]\n.*device\.csv:5/);
  });

  it.each(["file:///etc/passwd", "http://127.0.0.1/x.png"])("row 24: %s is E_PATH_ESCAPE", async (path) => {
    const { code, stderr } = await train("address", path);
    expect(code, stderr).toBe(2);
    expect(stderr).toMatch(/address\.csv:5: .*\[E_PATH_ESCAPE\]/);
  });

  it("row 24: image_root allows a folder elsewhere, and no other", async () => {
    const inside = await train("root-good", join(outside, "a.jpg"), { image_root: "/" });
    expect(inside.code, inside.stderr).toBe(0);
    const other = await train("root-other", "images/train-3.png", { image_root: outside });
    expect(other.stderr).toMatch(/images\/train-\d+\.png: .*\[E_PATH_ESCAPE\]/);
  });
});

describe("data that changes", () => {
  const keys = { pack: "true" };

  it("row 3: a bit that flips after packing, though it decodes, is E_DATA_CHANGED before step 1", async () => {
    await writeFile(join(data.folder, "images", "flip.jpg"), jpeg);
    expect((await train("row3", "images/flip.jpg", keys)).code).toBe(0);
    const flipped = Buffer.from(jpeg);
    flipped[700] = (flipped[700] ?? 0) ^ 4;
    await writeFile(join(data.folder, "images", "flip.jpg"), flipped);
    const { code, stderr } = await runWatched(data.folder, [
      "train",
      "row3.yml",
      "--resume",
      "--epochs",
      "2",
    ]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/flip\.jpg: .*\[E_DATA_CHANGED\]\n.*row3\.csv:5/);
  });

  it.each(["replaced", "truncated"])(
    "row 32: an image %s after it was looked at and before it is read is E_DATA_CHANGED",
    async (how) => {
      const own = await makeTinyData();
      await using _own = own;
      const victim = join(own.folder, "images", "val-5.png");
      await using trainer = new MultiTaskTrainer(
        {
          tasks: ["colour"],
          filepaths: "file",
          train_labels: "train.csv",
          val_labels: "val.csv",
          imshape: [16, 16],
          fcn: { layers: [4, "p"] },
          train_fcn: true,
          batch_size: 12,
          augment: false,
          logdir: null,
        },
        { baseDirectory: own.folder },
      );
      const changes: Promise<void>[] = [];
      trainer.on("step", ({ step }) => {
        if (step > 1 || changes.length > 0) return;
        const other = join(own.folder, "images", "train-2.png");
        changes.push(how === "replaced" ? copyFile(other, victim) : truncate(victim, 60));
      });
      const [fault] = await faultsOfAsync(() => trainer.fit(1));
      await Promise.all(changes);
      expect(fault).toMatchObject({ code: "E_DATA_CHANGED", at: { file: victim } });
      expect(fault?.hint).toMatch(/val\.csv:7/);
    },
  );

  it("row 33: a shard that is cut, flipped, of another count or recipe is refused before step 1", async () => {
    expect((await train("row33", "images/train-3.png", keys)).code).toBe(0);
    const cache = join(data.folder, "runs", "row33", "cache");
    const [recipe = ""] = await readdir(cache);
    const [file, index] = ["bin", "json"].map((kind) => join(cache, recipe, `shard-00000.${kind}`)) as [
      string,
      string,
    ];
    const [bytes, text] = [await readFile(file), await readFile(index, "utf8")];
    const again = async (wanted: string): Promise<void> => {
      const run = await runWatched(data.folder, ["train", "row33.yml", "--resume", "--epochs", "2"]);
      expect(run.code, run.stderr).toBe(2);
      expect(run.stderr).toMatch(new RegExp(`shard-00000\\.(bin|json): .*\\[${wanted}\\]`));
      await writeFile(file, bytes);
      await writeFile(index, text);
    };
    await truncate(file, bytes.length - 1);
    await again("E_SHARD_META");
    await using handle = await open(file, "r+");
    await handle.write(Buffer.from([bytes[5_000] === 1 ? 2 : 1]), 0, 1, 5_000);
    await again("E_SHARD_CRC");
    const parsed = JSON.parse(text) as { sources: unknown[] };
    await writeFile(index, JSON.stringify({ ...parsed, sources: parsed.sources.slice(1) }));
    await again("E_SHARD_META");
    await writeFile(index, JSON.stringify({ ...parsed, recipe: "0".repeat(64) }));
    await again("E_SHARD_META");
  });
});
