// `mttc data check` on hostile files: rows 1 to 23 of the list of hostile inputs, each with the wanted code,
// in time, under the memory cap (which the pool enforces), naming file and row.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { deflateSync } from "node:zlib";
import sharp, { type Sharp } from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CheckedTable, checkImages, writeCheckedTables } from "../../runtime/checks/imageCheck.ts";
import { inspectImage, type NoteKind } from "../../runtime/checks/inspection.ts";
import {
  DEFAULT_LIMITS,
  type InspectionLimits,
  InspectionPool,
} from "../../runtime/checks/inspectionPool.ts";
import { imageLayout } from "../../runtime/images/imageLayout.ts";
import type { ImageFormat } from "../../runtime/images/images.ts";
import { runCli } from "../cli/runCli.ts";
import { hostilePng, pngChunk, repeatLastScan } from "../images/hostileFiles.ts";
import { makeFolder, pictureImage } from "../images/imageFixtures.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";

const format: ImageFormat = { height: 16, width: 24, channels: 3, greyscale: false };
let folder = "";
let jpeg: Buffer = Buffer.alloc(0);
let pool: InspectionPool;
let server: Server;

beforeAll(async () => {
  folder = await makeFolder();
  jpeg = await pictureImage(400, 300).jpeg().toBuffer();
  pool = new InspectionPool({ format, processes: 1 });
});

afterAll(async () => {
  await pool[Symbol.asyncDispose]();
  server?.close();
});

function tableOf(paths: readonly string[], source = join(folder, "t.csv")): CheckedTable {
  const columns = { tasks: [], filepaths: "filepath" };
  return { source, columns, paths, locate: (row) => ({ file: source, line: row + 2 }) };
}

/** Process numbers of this process's children. */
async function childProcesses(): Promise<number[]> {
  const threads = await readdir("/proc/self/task");
  const lists = await Promise.all(threads.map((id) => readFile(`/proc/self/task/${id}/children`, "utf8")));
  return lists.flatMap((list) => list.split(" ").filter(Boolean).map(Number)).sort((a, b) => a - b);
}

interface Verdict {
  readonly code: string | undefined;
  readonly notes: readonly NoteKind[];
}

/** Inspects a file of these bytes as line 7 of a table. */
async function verdict(name: string, bytes: Uint8Array): Promise<Verdict> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  const started = performance.now();
  const { faults, notes } = await pool.inspect(path, { file: "t.csv", line: 7 });
  expect(performance.now() - started).toBeLessThan(DEFAULT_LIMITS.seconds * 1000);
  for (const fault of faults) {
    expect(fault.at?.file).toBe(path);
    expect(fault.hint).toBe("listed in t.csv:7");
    expect(fault.message).not.toMatch(/takes more than|crashed/);
  }
  return { code: faults[0]?.code, notes };
}

const usable = (...notes: NoteKind[]): Verdict => ({ code: undefined, notes });
const refused = (code: string): Verdict => ({ code, notes: [] });

describe("damaged files (rows 1 to 3, 8)", () => {
  it("a JPEG cut at 50 %, at 95 % or before its end marker is E_IMG_TRUNCATED", async () => {
    for (const length of [jpeg.length * 0.5, jpeg.length * 0.95, jpeg.length - 2])
      expect(await verdict("cut.jpg", jpeg.subarray(0, length))).toEqual(refused("E_IMG_TRUNCATED"));
  });

  it("a JPEG cut in its header, 0 bytes, 1 byte, text and HTML are E_IMG_FORMAT", async () => {
    const page = Buffer.from("<!doctype html><html><body>404 not found</body></html>");
    for (const bytes of [jpeg.subarray(0, 40), Buffer.alloc(0), jpeg.subarray(0, 1), Buffer.from("hi"), page])
      expect(await verdict("no.jpg", bytes)).toEqual(refused("E_IMG_FORMAT"));
  });

  it("a PNG with too little data or a wrong checksum is E_IMG_TRUNCATED", async () => {
    const size = { width: 64, height: 64 };
    expect(await verdict("short.png", hostilePng({ ...size, rows: 20 }))).toEqual(refused("E_IMG_TRUNCATED"));
    expect(await verdict("crc.png", hostilePng({ ...size, crc: 1 }))).toEqual(refused("E_IMG_TRUNCATED"));
  });

  it("a JPEG with a flipped bit, which decodes, is E_IMG_HASH against a manifest", async () => {
    const path = join(folder, "flipped.jpg");
    await writeFile(path, jpeg);
    const { hashes } = await checkImages([tableOf([path])], { format });
    const flipped = Buffer.from(jpeg);
    flipped[700] = (flipped[700] ?? 0) ^ 4;
    await writeFile(path, flipped);
    const { faulty } = await checkImages([tableOf([path])], {
      format,
      manifest: { hashes, base: folder },
    });
    expect(faulty.map(({ fault }) => [fault.code, fault.hint])).toEqual([
      ["E_IMG_HASH", `listed in ${join(folder, "t.csv")}:2`],
    ]);
  });
});

describe("bombs (rows 5 to 7, 9, 10, 18)", () => {
  it("more than 50 megapixels, real or claimed, are E_IMG_LIMIT, a zero width E_IMG_FORMAT", async () => {
    const large = hostilePng({ width: 30_000, height: 30_000, bits: 1 });
    expect(await verdict("30000.png", large)).toEqual(refused("E_IMG_LIMIT"));
    const exif = pngChunk("eXIf", Buffer.from("4d4d002a00000008000101120003000000010006000000000000", "hex"));
    const turned = hostilePng({ width: 16_000, height: 16_000, bits: 1, more: [exif] });
    expect(await verdict("16000.png", turned)).toEqual(refused("E_IMG_LIMIT"));
    const claimed = hostilePng({ width: 60_000, height: 60_000, rows: 0 });
    expect(await verdict("claim.png", claimed)).toEqual(refused("E_IMG_LIMIT"));
    const empty = hostilePng({ width: 0, height: 10 });
    expect(await verdict("zero.png", empty)).toEqual(refused("E_IMG_FORMAT"));
  });

  it("metadata that inflates to hundreds of megabytes is ignored", async () => {
    const size = { width: 64, height: 64 };
    const text = Buffer.concat([Buffer.from("a\0\0", "latin1"), deflateSync(Buffer.alloc(300 * 2 ** 20))]);
    expect(await verdict("ztxt.png", hostilePng({ ...size, more: [pngChunk("zTXt", text)] }))).toEqual(
      usable(),
    );
    const profile = Buffer.concat([Buffer.from("a\0\0", "latin1"), deflateSync(Buffer.alloc(200 * 2 ** 20))]);
    const bomb = await verdict("iccp.png", hostilePng({ ...size, more: [pngChunk("iCCP", profile)] }));
    expect(bomb).toEqual(usable());
  });

  it("a progressive JPEG with 400 more scans is refused, above and below the limit of pixels", async () => {
    const grey = (side: number): Sharp =>
      sharp({ create: { width: side, height: side, channels: 3, background: "#777" } });
    for (const [side, code] of [
      [8_000, "E_IMG_LIMIT"],
      [2_000, "E_IMG_TRUNCATED"],
    ] as const) {
      const scans = await grey(side).jpeg({ progressive: true }).toBuffer();
      expect(await verdict(`scans${side}.jpg`, repeatLastScan(scans, 400))).toEqual(refused(code));
    }
  });

  it("SVG of any kind is E_IMG_FORMAT: links to files, entity bombs, nested uses, huge sizes", async () => {
    const open = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"';
    const uses = Array.from({ length: 20 }, (_, i) =>
      `<g id="g${i + 1}"><use xlink:href="#g${i}"/>`.repeat(2),
    );
    const texts = [
      `${open}><image xlink:href="cut.jpg" width="9" height="9"/><image xlink:href="../x.png"/></svg>`,
      `${open}><image xlink:href="http://127.0.0.1/x.png" width="9" height="9"/></svg>`,
      `<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>${open}><text>&x;</text></svg>`,
      `<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>${open}><text>&b;</text></svg>`,
      `${open}>${uses.join("")}</svg>`,
      `${open} width="30000" height="30000"/>`,
    ];
    for (const text of texts)
      expect(await verdict("x.png", Buffer.from(text))).toEqual(refused("E_IMG_FORMAT"));
  });
});

describe("what is unusual but sound (rows 4, 9, 11 to 16, 20)", () => {
  it("bytes after the image are noted, whatever the format", async () => {
    const zip = Buffer.from("PK\u0003\u0004 and more");
    const image = pictureImage(40, 30);
    for (const [name, bytes] of [
      ["poly.jpg", jpeg],
      ["poly.jpeg", await image.clone().jpeg({ progressive: true }).toBuffer()],
      ["poly.png", await image.clone().png().toBuffer()],
      ["poly.webp", await image.clone().webp().toBuffer()],
    ] as const) {
      expect(imageLayout(bytes)?.trailingBytes, name).toBe(0);
      expect(imageLayout(Buffer.concat([bytes, zip]))?.trailingBytes, name).toBe(zip.length);
      expect(await verdict(name, Buffer.concat([bytes, zip])), name).toEqual(usable("trailing"));
    }
  });

  it("CMYK, grey, palette, 1-bit, 16-bit, alpha, EXIF and wrong extensions are read and noted", async () => {
    const image = pictureImage(40, 30);
    const clear = image.clone().ensureAlpha(0.3);
    const cases: readonly (readonly [string, Sharp, readonly NoteKind[]])[] = [
      ["cmyk.jpg", image.clone().toColourspace("cmyk").jpeg(), ["cmyk"]],
      ["grey.jpg", image.clone().greyscale().jpeg(), []],
      ["palette.png", image.clone().png({ palette: true }), []],
      ["deep.png", image.clone().toColourspace("rgb16").png(), ["deep"]],
      ["alpha.png", clear.clone().png(), ["alpha"]],
      ["greyalpha.png", clear.clone().greyscale().png(), ["alpha"]],
      ["turned.jpg", image.clone().withMetadata({ orientation: 6 }).jpeg(), ["orientation"]],
      ["named.jpg", image.clone().png(), ["extension"]],
    ];
    for (const [name, sharpImage, notes] of cases)
      expect(await verdict(name, await sharpImage.toBuffer()), name).toEqual(usable(...notes));
    const oneBit = hostilePng({ width: 64, height: 64, bits: 1 });
    expect(await verdict("bit.png", oneBit)).toEqual(usable());
  });

  it("alpha and 16 bits that the format keeps are not noted as lost", async () => {
    const path = join(folder, "kept.png");
    const clear = pictureImage(40, 30).ensureAlpha(0.3).toColourspace("rgb16");
    await writeFile(path, await clear.png().toBuffer());
    const notes = async (more: Partial<ImageFormat>): Promise<readonly NoteKind[]> =>
      (await inspectImage(path, { ...format, ...more }, undefined)).notes;
    expect(await notes({})).toEqual(["deep", "alpha"]);
    expect(await notes({ channels: 4 })).toEqual(["deep"]);
    expect(await notes({ channels: 4, depth: "uint16" })).toEqual([]);
    expect(await notes({ channels: 4, greyscale: true, depth: "float32" })).toEqual(["alpha"]);
  });

  it("of an animated WebP or GIF the first frame is used; a JPEG in a TIFF is read, a WebP in one is not", async () => {
    const frames = [0, 90].map((tint) => pictureImage(40, 30, tint).png().toBuffer());
    const animation = sharp(await Promise.all(frames), { join: { animated: true } });
    expect(await verdict("moving.webp", await animation.webp().toBuffer())).toEqual(usable("animated"));
    expect(await verdict("moving.gif", await animation.gif().toBuffer())).toEqual(
      usable("animated", "alpha"),
    );
    expect(await verdict("still.gif", await pictureImage(40, 30).gif().toBuffer())).toEqual(usable());
    const [read, refusedOne] = ["jpeg", "webp"].map((compression) =>
      pictureImage(40, 30)
        .tiff({ compression: compression as "jpeg" | "webp" })
        .toBuffer(),
    );
    expect(await verdict("x.tiff", (await read) ?? Buffer.alloc(0))).toEqual(usable());
    expect(await verdict("y.tiff", (await refusedOne) ?? Buffer.alloc(0))).toEqual(refused("E_IMG_FORMAT"));
  });

  it("a TIFF is usable, with notes on its name, its orientation and its other pages", async () => {
    const plain = await pictureImage(40, 30).tiff({ compression: "lzw" }).toBuffer();
    expect(await verdict("plain.tiff", plain)).toEqual(usable());
    expect(await verdict("named.png", plain)).toEqual(usable("extension"));
    const turned = pictureImage(40, 30).withMetadata({ orientation: 6 }).tiff({ compression: "deflate" });
    expect(await verdict("turned.tif", await turned.toBuffer())).toEqual(usable("orientation"));
    const pages = [0, 90].map((tint) => pictureImage(40, 30, tint).png().toBuffer());
    const book = sharp(await Promise.all(pages), { join: { animated: true } }).tiff({ compression: "lzw" });
    expect(await verdict("book.tif", await book.toBuffer())).toEqual(usable("pages"));
  });

  it("1x1 and 20000x1 are E_IMG_SIZE (row 19)", async () => {
    for (const [width, height] of [
      [1, 1],
      [20_000, 1],
    ] as const)
      expect(await verdict("size.png", hostilePng({ width, height }))).toEqual(refused("E_IMG_SIZE"));
  });
});

describe("paths (rows 21 to 24)", () => {
  it("a FIFO, a device, a folder and a socket are E_PATH_TYPE at once", async () => {
    const paths = ["fifo", "folder", "socket"].map((name) => join(folder, `is-${name}.png`));
    const [fifo = "", sub = "", socket = ""] = paths;
    execFileSync("mkfifo", [fifo]);
    await mkdir(sub);
    server = createServer().listen(socket);
    const started = performance.now();
    const { faulty } = await checkImages([tableOf([...paths, "/dev/zero"])], { format, root: "/" });
    expect(faulty.map(({ fault }) => fault.code)).toEqual(Array(4).fill("E_PATH_TYPE"));
    expect(performance.now() - started).toBeLessThan(DEFAULT_LIMITS.seconds * 1000);
  });

  it("links and paths that leave the table's folder are E_PATH_ESCAPE; a link inside is E_PATH_TYPE", async () => {
    const [inside, outside] = [join(folder, "inside"), await makeFolder()];
    await mkdir(inside);
    for (const place of [inside, outside]) await writeFile(join(place, "a.jpg"), jpeg);
    await symlink(join(inside, "a.jpg"), join(inside, "in.jpg"));
    await symlink(join(outside, "a.jpg"), join(inside, "out.jpg"));
    await symlink(outside, join(inside, "away"));
    const names = ["a.jpg", "in.jpg", "out.jpg", "away/a.jpg", "../../etc/passwd", "C:\\x", "\\\\h\\s"];
    const table = tableOf([...names.map((name) => join(inside, name)), "/etc/passwd"], join(inside, "t.csv"));
    const { faulty } = await checkImages([table], { format });
    expect(faulty.map(({ fault, rows }) => [fault.code, rows[0]?.row])).toEqual([
      ["E_PATH_TYPE", 1],
      ...[2, 3, 4, 5, 6, 7].map((row) => ["E_PATH_ESCAPE", row]),
    ]);
    const wider = await checkImages([tableOf([join(inside, "a.jpg")], join(inside, "sub", "t.csv"))], {
      format,
      root: folder,
    });
    expect(wider.faulty).toEqual([]);
  });
});

describe("the watchdog", () => {
  let slow = Buffer.alloc(0);

  beforeAll(async () => {
    const large = sharp({ create: { width: 6_500, height: 6_500, channels: 3, background: "#777" } });
    slow = await large.jpeg({ progressive: true }).toBuffer();
  });

  const check = async (limits: InspectionLimits): Promise<string[]> => {
    const paths = ["w1.jpg", "w2.jpg"].map((name) => join(folder, name));
    await writeFile(paths[0] ?? "", slow);
    await writeFile(paths[1] ?? "", jpeg);
    const { faulty } = await checkImages([tableOf(paths)], { format, limits });
    return faulty.map(({ path, fault }) => `${path.slice(folder.length + 1)} ${fault.code} ${fault.message}`);
  };

  it("kills what takes too long, and the next file is tried in a fresh process", async () => {
    const faults = await check({ ...DEFAULT_LIMITS, seconds: 0.1 });
    expect(faults).toEqual(["w1.jpg E_IMG_LIMIT decoding takes more than 0.1 s"]);
  });

  it("kills what takes too much memory", async () => {
    const faults = await check({ ...DEFAULT_LIMITS, memoryBytes: 2 ** 20 });
    expect(faults.map((fault) => fault.replace(/^\S+ /, ""))).toEqual(
      Array(2).fill("E_IMG_LIMIT decoding takes more than 1 MiB"),
    );
  });

  it("starts no process for what still waits when the pool is closed", async () => {
    const path = join(folder, "w2.jpg");
    await writeFile(path, jpeg);
    const before = await childProcesses();
    const closing = new InspectionPool({ format, processes: 1 });
    const asked = [1, 2, 3].map(() => closing.inspect(path, undefined));
    const settled = Promise.allSettled(asked);
    await closing[Symbol.asyncDispose]();
    expect((await settled).map(({ status }) => status)).toContain("rejected");
    expect(await childProcesses()).toEqual(before);
  });

  it("starts another process where one was killed while it was idle", async () => {
    const path = join(folder, "w2.jpg");
    await writeFile(path, jpeg);
    const before = await childProcesses();
    await using own = new InspectionPool({ format, processes: 1 });
    expect((await own.inspect(path, undefined)).faults).toEqual([]);
    const [pid = 0] = (await childProcesses()).filter((child) => !before.includes(child));
    process.kill(pid, "SIGKILL");
    while (existsSync(`/proc/${pid}`)) await sleep(5);
    expect((await own.inspect(path, undefined)).faults).toEqual([]);
  });

  it("lets both pass under the limits that hold by default", async () => {
    expect(await check(DEFAULT_LIMITS)).toEqual([]);
  });
});

describe("mttc data check", () => {
  it("prints every fault with its rows, exits with 2, and --drop writes a table without them", async () => {
    const own = await makeFolder();
    for (const name of ["a", "b", "c"]) await writeFile(join(own, `${name}.jpg`), jpeg);
    await writeFile(join(own, "bad.jpg"), jpeg.subarray(0, 900));
    const table = 'filepath,note\na.jpg,"two\nlines"\nbad.jpg,"x\ny"\nb.jpg,\nbad.jpg,\nno.jpg,\nc.jpg,z\n';
    await writeFile(join(own, "t.csv"), table);
    const plain = await runCli(own, ["data", "check", "t.csv"]);
    expect(plain.code).toBe(2);
    expect(plain.stdout).toMatch(/5 images of 6 rows: 3 usable, 2 not/);
    expect(plain.stdout).toMatch(/E_IMG_TRUNCATED\s+bad.jpg\s+t.csv:4 and 1 more/);
    expect(plain.stdout).toMatch(/E_FILE\s+no.jpg\s+t.csv:8/);
    const strict = await runCli(own, ["data", "check", "t.csv", "--drop"]);
    expect(strict.stderr).toContain("3 of 6 rows are faulty, --drop allows 0");
    const dropped = await runCli(own, ["data", "check", "t.csv", "--drop", "0.5", "--json"]);
    expect(dropped.code, dropped.stderr).toBe(0);
    expect(JSON.parse(dropped.stdout)).toMatchObject({
      rows: 6,
      images: 5,
      faults: [{ rows: [{ line: 4 }, {}] }, {}],
    });
    expect(await readFile(join(own, "t.checked.csv"), "utf8")).toBe(
      'filepath,note\na.jpg,"two\nlines"\nb.jpg,\nc.jpg,z\n',
    );
    expect(await readFile(join(own, "t.csv"), "utf8")).toBe(table);
    const again = await runCli(own, ["data", "check", "t.checked.csv", "--write-manifest", "m.json"]);
    expect(again.code).toBe(0);
    await writeFile(join(own, "n.json"), '{"format":"mttc-image-hashes","sha256":null}');
    const noManifest = await runCli(own, ["data", "check", "t.checked.csv", "--manifest", "n.json"]);
    expect(noManifest.stderr).toContain("is no manifest of image hashes");
    await writeFile(join(own, "a.jpg"), await pictureImage(40, 30).jpeg().toBuffer());
    const changed = await runCli(own, ["data", "check", "t.checked.csv", "--manifest", "m.json"]);
    expect(changed.stdout).toMatch(/E_IMG_HASH\s+a.jpg\s+t.checked.csv:2/);
  });

  it("takes a folder of classes, and --drop writes a CSV of its usable images beside it", async () => {
    const own = await makeFolder();
    for (const name of ["cat", "dog"]) {
      await mkdir(join(own, "pets", name), { recursive: true });
      await writeFile(join(own, "pets", name, "a.jpg"), jpeg);
    }
    await writeFile(join(own, "pets", "dog", "bad.jpg"), jpeg.subarray(0, 900));
    const dropped = await runCli(own, ["data", "check", "pets", "--drop", "0.5"]);
    expect(dropped.code, dropped.stderr).toBe(0);
    expect(dropped.stderr).toContain("pets.checked.csv: 1 row left out");
    expect(await readFile(join(own, "pets.checked.csv"), "utf8")).toBe(
      "filepath,class\npets/cat/a.jpg,cat\npets/dog/a.jpg,dog\n",
    );
    const again = await runCli(own, ["data", "check", "pets.checked.csv"]);
    expect(again.code, again.stderr).toBe(0);
  });

  it("writes no table where more rows are faulty than allowed", async () => {
    const table = tableOf([join(folder, "none.png")]);
    const report = await checkImages([table], { format });
    expect((await faultsOfAsync(() => writeCheckedTables([table], report, 0.5)))[0]?.code).toBe("E_FILE");
  });
});
