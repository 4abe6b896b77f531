// Paths of images as tables write them: prefixes, endings, backslashes; one fault for many that are absent.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PathScope } from "../../runtime/checks/pathScope.ts";
import { checkImageFiles } from "../../runtime/checks/sourceCheck.ts";
import { rulePath } from "../../runtime/tables/imagePaths.ts";
import { parseLabelTable } from "../../runtime/tables/labelFiles.ts";
import type { TableColumns } from "../../runtime/tables/labelTable.ts";
import { faultsOf, faultsOfAsync } from "../spec/faultsOf.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-paths-"));
  await mkdir(join(folder, "img", "sub"), { recursive: true });
  for (const name of ["img/0.png", "img/sub/1.png", "img/odd\\2.png"])
    await writeFile(join(folder, name), "");
});

afterAll(() => rm(folder, { recursive: true, force: true }));

function pathsOf(written: readonly string[], rule: Partial<TableColumns> = {}): string[] {
  const columns = { tasks: ["a"], filepaths: "p", ...rule };
  const text = `p,a\n${written.map((path) => `${path},x`).join("\n")}\n`;
  const { paths } = parseLabelTable(Buffer.from(text), join(folder, "t.csv"), columns);
  return [...paths].map((path) => path.slice(folder.length + 1));
}

describe("path_prefix and path_suffix", () => {
  it("make paths of ids; an ending that is there is not added again", () => {
    expect(pathsOf(["0", "sub/1.png"], { path_prefix: "img/", path_suffix: ".png" })).toEqual([
      "img/0.png",
      "img/sub/1.png",
    ]);
  });

  it("replace the longest beginning that fits, an address among them, and leave other paths", () => {
    const rule = { path_prefix: { "/data/": "other/", "/data/upload/1/": "img/", "https://host/": "" } };
    const written = ["/data/upload/1/0.png", "/data/x.png", "https://host/img/0.png", "img/0.png"];
    expect(written.map((path) => rulePath(path, rule))).toEqual([
      "img/0.png",
      "other/x.png",
      "img/0.png",
      "img/0.png",
    ]);
    expect(pathsOf(["https://host/img/0.png"], rule)).toEqual(["img/0.png"]);
    expect(faultsOf(() => pathsOf(["https://elsewhere/0.png"], rule))[0]).toMatchObject({
      code: "E_PATH_ESCAPE",
      hint: expect.stringContaining("path_prefix"),
    });
    expect(faultsOf(() => pathsOf([" "], { path_prefix: "img/", path_suffix: ".png" }))[0]?.code).toBe(
      "E_CSV_PATH",
    );
  });
});

describe.skipIf(process.platform === "win32")("backslashes", () => {
  it("separate folders, but in names that exist as written", () => {
    expect(
      pathsOf(["img\\0.png", "img\\sub\\1.png", "img/sub\\1.png", ".\\img\\0.png", "img/0.png"]),
    ).toEqual(["img/0.png", "img/sub/1.png", "img/sub/1.png", "img/0.png", "img/0.png"]);
    expect(pathsOf(["img/odd\\2.png", "img/even\\2.png"])).toEqual(["img/odd\\2.png", "img/even/2.png"]);
  });
});

describe("images that do not exist", () => {
  const check = async (paths: string[], scope?: PathScope) =>
    await faultsOfAsync(() =>
      checkImageFiles(
        paths.map((path) => join(folder, path)),
        (row) => ({ file: "t.csv", line: row + 2 }),
        scope,
      ),
    );

  it("are one fault with an example, their number and what would find them", async () => {
    const ids = Array.from({ length: 458 }, (_, row) => `img/${row}`);
    const faults = await check([...ids, "img/0.png", "img"]);
    expect(faults).toHaveLength(2);
    expect(faults[0]).toEqual({
      code: "E_FILE",
      message: "cannot read the image: it does not exist (ENOENT); 458 of the 460 rows are like it",
      at: { file: join(folder, "img/0") },
      hint: "listed in t.csv:2; there is 0.png: `path_suffix: .png` in the spec adds the ending",
    });
    expect(faults[1]?.code).toBe("E_PATH_TYPE");
    const [elsewhere] = await check(ids.map((id) => `pictures/${id}`));
    expect(elsewhere?.hint).toContain("there is no folder");
  });

  it("and those outside of image_root, too, are one fault that names the folder to allow", async () => {
    const faults = await check(
      ["img/0.png", "img/0.png", "img/0.png", "img/0.png"],
      new PathScope(["/nowhere"]),
    );
    expect(faults).toHaveLength(1);
    expect(faults[0]?.message).toBe("the path leads out of /nowhere; 4 of the 4 rows are like it");
    expect(faults[0]?.hint).toContain(`\`image_root: ${join(folder, "img")}\` in the spec`);
  });
});
