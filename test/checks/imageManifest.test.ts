// Manifests of image hashes: a data set that has moved is still checked, whatever of its path has changed,
// and what a manifest does not have is said with its number. So are those of absolute paths, of before
// version 2.
import { cp, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compareManifest, manifestText, parseManifest } from "../../runtime/checks/imageManifest.ts";
import { runCli } from "../cli/runCli.ts";
import { makeFolder, pictureImage } from "../images/imageFixtures.ts";

const NAMES = ["a", "b", "c", "d"];

/** Images in data/set/images, of which each differs, and data/set/t.csv. */
async function makeData(): Promise<string> {
  const data = await makeFolder();
  await mkdir(join(data, "data", "set", "images"), { recursive: true });
  for (const [i, name] of NAMES.entries())
    await writeFile(join(data, "data", "set", "images", `${name}.png`), await image(20 + i));
  const rows = NAMES.map((name) => `images/${name}.png`).join("\n");
  await writeFile(join(data, "data", "set", "t.csv"), `filepath\n${rows}\n`);
  return data;
}

const image = async (width: number): Promise<Buffer> => await pictureImage(width, 20).png().toBuffer();
const check = (folder: string, table: string, ...rest: string[]) =>
  runCli(folder, ["data", "check", table, ...rest]);

/** As versions before 2 wrote it. */
async function madeAbsolute(file: string, base: string): Promise<void> {
  const { sha256 } = JSON.parse(await readFile(file, "utf8"));
  const entries = Object.entries(sha256).map(([path, hash]) => [join(base, path), hash]);
  const older = { format: "mttc-image-hashes", sha256: Object.fromEntries(entries) };
  await writeFile(file, JSON.stringify(older));
}

describe("mttc data check --manifest", () => {
  it("has paths from the table's folder", async () => {
    const data = await makeData();
    expect((await check(data, "data/set/t.csv", "--write-manifest", "m.json")).code).toBe(0);
    const { version, sha256 } = JSON.parse(await readFile(join(data, "m.json"), "utf8"));
    expect([version, Object.keys(sha256)]).toEqual([2, NAMES.map((name) => `images/${name}.png`)]);
    const same = await check(data, "data/set/t.csv", "--manifest", "m.json");
    expect(same.stderr).toContain("manifest: 4 images are as it has them, 0 are not\n");
  });

  it.each([
    ["of this version", false],
    ["of absolute paths", true],
  ])("%s finds a changed image where the data have moved", async (_, isOlder) => {
    const data = await makeData();
    await check(data, "data/set/t.csv", "--write-manifest", "m.json");
    if (isOlder) await madeAbsolute(join(data, "m.json"), join(data, "data", "set"));
    await rename(join(data, "data"), join(data, "moved"));
    const sound = await check(data, "moved/set/t.csv", "--manifest", "m.json");
    expect([sound.code, sound.stderr]).toEqual([0, expect.stringContaining("manifest: 4 images are as")]);
    await writeFile(join(data, "moved", "set", "images", "b.png"), await image(40));
    const changed = await check(data, "moved/set/t.csv", "--manifest", "m.json");
    expect(changed.code).toBe(2);
    expect(changed.stdout).toMatch(/E_IMG_HASH\s+moved\/set\/images\/b.png\s+moved\/set\/t.csv:3/);
    expect(changed.stderr).toContain("manifest: 3 images are as it has them, 1 are not");
  });

  it("finds it where the table lies elsewhere than the one that the manifest was written by", async () => {
    const data = await makeData();
    await check(data, "data/set/t.csv", "--write-manifest", "m.json");
    const table = await readFile(join(data, "data", "set", "t.csv"), "utf8");
    await writeFile(join(data, "t.csv"), table.replaceAll("images/", "data/set/images/"));
    await writeFile(join(data, "data", "set", "images", "c.png"), await image(40));
    const changed = await check(data, "t.csv", "--manifest", "m.json");
    expect(changed.stdout).toMatch(/E_IMG_HASH\s+data\/set\/images\/c.png\s+t.csv:4/);
    expect(changed.stderr).toContain(`(what it has in ${data} lies in ${join(data, "data", "set")} now)`);
  });

  it("says how many images it has not, and how many of its images are in no row", async () => {
    const data = await makeData();
    const set = join(data, "data", "set");
    await check(data, "data/set/t.csv", "--write-manifest", "m.json");
    await writeFile(join(set, "images", "new.png"), await image(50));
    // d under another name, its content known.
    await cp(join(set, "images", "d.png"), join(set, "images", "e.png"));
    await writeFile(
      join(set, "t.csv"),
      "filepath\nimages/a.png\nimages/b.png\nimages/new.png\nimages/e.png\n",
    );
    const some = await check(data, "data/set/t.csv", "--manifest", "m.json", "--json");
    expect(some.code).toBe(0);
    expect(some.stderr).toContain("1 images are not in it, and were not compared, such as ");
    expect(some.stderr).toContain("1 images of it are in no row, such as ");
    expect(JSON.parse(some.stdout).manifest).toMatchObject({
      ...{ same: 3, changed: [], unknown: [join(set, "images", "new.png")] },
      absent: [join(set, "images", "c.png")],
    });
  });

  it("of other images is refused, and so is one of a later version", async () => {
    const data = await makeData();
    const hashes = new Map([[join(data, "x.png"), "0"]]);
    await writeFile(join(data, "m.json"), manifestText(hashes, data));
    const other = await check(data, "data/set/t.csv", "--manifest", "m.json");
    expect([other.code, other.stderr]).toEqual([2, expect.stringContaining("has none of the 4 images")]);
    await writeFile(join(data, "m.json"), manifestText(hashes, data).replace('"version": 2', '"version": 3'));
    const later = await check(data, "data/set/t.csv", "--manifest", "m.json");
    expect([later.code, later.stderr]).toEqual([2, expect.stringContaining("version 3, this mttc reads 2")]);
  });
});

describe("compareManifest", () => {
  it("does not take equal file names in other folders for one image", () => {
    const manifest = new Map([
      ["train/1.png", "one"],
      ["val/1.png", "two"],
      ["train/2.png", "three"],
    ]);
    // The folder val was left behind; test/1.png is another image.
    const now = new Map([
      ["/new/train/1.png", "one"],
      ["/new/train/2.png", "changed"],
      ["/new/test/1.png", "four"],
    ]);
    expect(compareManifest(now, manifest, "/old")).toEqual({
      ...{ same: 1, changed: ["/new/train/2.png"], unknown: ["/new/test/1.png"] },
      ...{ absent: ["/old/val/1.png"], moved: { from: "/old", to: "/new" } },
    });
  });

  it("reads what it writes, and nothing else", () => {
    const text = manifestText(new Map([["/data/a/1.png", "one"]]), "/data/tables");
    expect(parseManifest(text)).toEqual(new Map([["../a/1.png", "one"]]));
    for (const other of ["", "[]", "null", "{}", text.replace("sha256", "md5"), text.replace('"one"', "1")])
      expect(parseManifest(other)).toBe("is no manifest of image hashes");
  });
});
