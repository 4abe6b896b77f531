// `mttc predict` at the command line: rows are written as they come and stay when a bad image, Ctrl-C or a
// kill comes; where they go, in which form, and what may be given as model and as images.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, symlinkSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { PARITY_TOLERANCE } from "../../runtime/export/parity.ts";
import { type Prediction, Predictor } from "../../runtime/export/predictor.ts";
import { trainedTiny } from "../export/trainedTiny.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { CLI_MAIN, type ProgramResult, runCli } from "./runCli.ts";
import { makeTinyData, type TinyData } from "./tinyData.ts";

const MODEL = "run/export/colour.onnx";
/** Enough that a run lasts until it is interrupted. */
const MANY = Array.from({ length: 400 }, () => "images");
const MANY_IMAGES = 400 * 48;

let data: TinyData;
/** On the CPU by name: where the CUDA provider is installed and cannot start, a line would say so. */
const mttc = (...args: string[]): Promise<ProgramResult> =>
  runCli(data.folder, args[0] === "predict" ? [...args, "--ep", "cpu"] : args);
const read = (name: string): Promise<string> => readFile(join(data.folder, name), "utf8");
const lines = async (name: string): Promise<string[]> => (await read(name)).trimEnd().split("\r\n");

beforeAll(async () => {
  data = await makeTinyData();
  await using trainer = await trainedTiny(data.folder);
  await exportRun(trainer, { split: true });
  await mkdir(join(data.folder, "mixed"));
  for (const name of ["val-0.png", "val-1.png", "val-2.png"])
    await copyFile(join(data.folder, "images", name), join(data.folder, "mixed", name));
  await writeFile(join(data.folder, "mixed", "val-1b.png"), "no image at all");
  await writeFile(join(data.folder, "mixed", "notes.txt"), "no image by its name");
});
afterAll(() => data[Symbol.asyncDispose]());
beforeEach(async () => {
  for (const name of await readdir(data.folder))
    if (name.startsWith("out")) await rm(join(data.folder, name), { recursive: true });
});

describe("a bad image among good ones", () => {
  test("costs its own row alone, is listed at the end, and ends in exit code 2", async () => {
    const { code, stderr } = await mttc("predict", MODEL, "mixed", "--csv", "out.csv");
    expect(code).toBe(2);
    expect(stderr).toMatch(/mixed\/val-1b\.png: .*\[E_IMG_FORMAT\]/);
    expect(stderr).toMatch(/1 of 4 images could not be read/);
    expect(stderr).toContain("1 file of mixed passed over");
    const files = (await lines("out.csv")).slice(1).map((line) => line.split(",")[0]);
    expect(files).toEqual(["mixed/val-0.png", "mixed/val-1.png", "mixed/val-2.png"]);
    expect(await readdir(data.folder)).not.toContain("out.csv.partial");
  });

  test("does so on stdout, and as JSON", async () => {
    const table = await mttc("predict", MODEL, "mixed");
    expect([table.code, table.stdout.trimEnd().split("\n").length]).toEqual([2, 4]);
    const json = await mttc("predict", MODEL, "mixed", "--json", "-");
    expect([json.code, JSON.parse(json.stdout).length]).toEqual([2, 3]);
  });

  test("with --strict leaves nothing written", async () => {
    const { code, stdout, stderr } = await mttc(
      "predict",
      MODEL,
      "mixed",
      "--strict",
      "--csv",
      "out.csv",
      "--json",
      "-",
    );
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/val-1b\.png: .*\[E_IMG_FORMAT\]/);
    expect((await readdir(data.folder)).filter((name) => name.startsWith("out"))).toEqual([]);
    const good = await mttc("predict", MODEL, "images", "--strict", "--csv", "out.csv");
    expect([good.code, (await lines("out.csv")).length]).toEqual([0, 49]);
  });

  test("may be all there is", async () => {
    const { code } = await mttc("predict", MODEL, "mixed/val-1b.png", "--csv", "out.csv");
    expect([code, await lines("out.csv")]).toEqual([2, ["file,task,class,probability,probabilities"]]);
  });
});

describe("a run that ends early", () => {
  /** Predicts many images to `out`, and sends the signal once some rows stand there. */
  async function endedEarly(
    out: string,
    signal: NodeJS.Signals,
  ): Promise<{ code: number | null; stderr: string }> {
    const args = [CLI_MAIN, "predict", MODEL, ...MANY, "-o", out];
    const child = spawn(process.execPath, args, { cwd: data.folder, stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const closed = once(child, "close");
    const partial = join(data.folder, `${out}.partial`);
    while (child.exitCode === null && (await readFile(partial, "utf8").catch(() => "")).length < 5_000)
      await sleep(5);
    child.kill(signal);
    await closed;
    return { code: child.exitCode, stderr };
  }

  test("by Ctrl-C keeps the rows so far under the file's name, and exits with 130", async () => {
    const { code, stderr } = await endedEarly("out.csv", "SIGINT");
    expect(code).toBe(130);
    const rows = (await lines("out.csv")).slice(1);
    expect(rows.length).toBeGreaterThan(10);
    expect(rows.length).toBeLessThan(MANY_IMAGES);
    for (const row of rows) expect(row).toMatch(/^images\/[\w-]+\.png,colour,(blue|red),0\.\d+,".*"$/);
    expect(stderr).toMatch(/interrupted: [\d,]+ of 19,200 images are predicted, their rows are in out\.csv/);
    expect(await readdir(data.folder)).not.toContain("out.csv.partial");
  });

  test("by Ctrl-C leaves a JSON list that is whole", async () => {
    const { code } = await endedEarly("out.json", "SIGINT");
    expect([code, JSON.parse(await read("out.json")).length > 10]).toEqual([130, true]);
  });

  test("by a kill leaves the rows in the partial file and the earlier file alone; the next run begins anew", async () => {
    await mttc("predict", MODEL, "mixed/val-0.png", "-o", "out.csv");
    const before = await read("out.csv");
    await endedEarly("out.csv", "SIGKILL");
    expect(await read("out.csv")).toBe(before);
    expect((await lines("out.csv.partial")).length).toBeGreaterThan(10);
    const { code } = await mttc("predict", MODEL, "mixed/val-0.png", "-o", "out.csv");
    expect([code, await read("out.csv")]).toEqual([0, before]);
    expect((await readdir(data.folder)).filter((name) => name.startsWith("out"))).toEqual(["out.csv"]);
  });
});

describe("where rows go", () => {
  test("--wide: a row per image, a column per class", async () => {
    const { code, stdout } = await mttc("predict", "run", "mixed/val-0.png", "mixed/val-1.png", "--wide");
    expect(code).toBe(0);
    const [head, first, second] = stdout.trimEnd().split("\r\n");
    expect(head).toBe(
      "file,colour,colour: blue,colour: red,its shape,its shape: bar,its shape: dot,its shape: ring",
    );
    const cells = first?.split(",") ?? [];
    expect(cells.slice(0, 1)).toEqual(["mixed/val-0.png"]);
    expect(Math.abs(Number(cells[2]) + Number(cells[3]) - 1)).toBeLessThan(PARITY_TOLERANCE);
    expect(second?.startsWith("mixed/val-1.png,")).toBe(true);
  });

  test("--excel: a byte order mark, and formulas are told of", async () => {
    await copyFile(join(data.folder, "images", "val-0.png"), join(data.folder, "=1.png"));
    const { code, stderr } = await mttc("predict", MODEL, "=1.png", "--excel", "-o", "out.csv");
    expect(code).toBe(0);
    const text = await read("out.csv");
    expect(text.startsWith("\uFEFFfile,task,")).toBe(true);
    expect(text).toContain(`"'=1.png",colour`);
    expect(stderr).toMatch(/1 cells begin with = \+ - or @/);
    expect((await mttc("predict", MODEL, "=1.png", "-o", "out.csv")).code).toBe(0);
    expect((await read("out.csv")).startsWith("file,")).toBe(true);
  });

  test("-o goes by the name or by --csv and --json; anything else is a usage fault", async () => {
    const written = await mttc("predict", MODEL, "mixed/val-0.png", "-o", "out.txt", "--csv");
    expect([written.code, written.stdout, (await lines("out.txt")).length]).toEqual([0, "", 2]);
    const unknown = await mttc("predict", MODEL, "mixed/val-0.png", "-o", "out2.txt");
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining("E_USAGE")]);
    const both = await mttc("predict", MODEL, "mixed/val-0.png", "--csv", "--json");
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining("E_USAGE")]);
    const named = await mttc("predict", MODEL, "mixed/val-0.png", "-o", "out.json");
    expect([named.code, JSON.parse(await read("out.json")).length]).toEqual([0, 1]);
  });

  test("a file of the user's own is never replaced, one of ours is", async () => {
    const before = await read("train.csv");
    const refused = await mttc("predict", MODEL, "mixed/val-0.png", "--csv", "train.csv");
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("E_RUN_EXISTS")]);
    expect(await read("train.csv")).toBe(before);
    await writeFile(join(data.folder, "out.csv.partial"), "mine");
    const beside = await mttc("predict", MODEL, "mixed/val-0.png", "--csv", "out.csv");
    expect([beside.code, beside.stderr]).toEqual([2, expect.stringContaining("E_RUN_EXISTS")]);
    expect(await read("out.csv.partial")).toBe("mine");
  });

  test("a device is written through", async () => {
    if (process.platform === "win32") return;
    const { code, stdout } = await mttc("predict", MODEL, "mixed/val-0.png", "--csv", "-o", "/dev/stdout");
    expect([code, stdout.trimEnd().split("\r\n").length]).toEqual([0, 2]);
    expect((await mttc("predict", MODEL, "mixed/val-0.png", "--csv", "/dev/null")).code).toBe(0);
  });

  test("nothing but the rows is written where nobody looks", async () => {
    expect((await mttc("predict", MODEL, "images")).stderr).toBe("");
  });
});

test("classes that look like integers keep their order in every output", async () => {
  const cases = join(PROJECT_ROOT, "test", "cases");
  const model = join(cases, "predict", "integer-classes.onnx");
  const image = join(cases, "tables", "img", "0.png");
  for (const args of [["--json", "-"], ["--csv", "-"], ["--wide"]]) {
    const { code, stdout } = await mttc("predict", model, image, ...args);
    expect(code).toBe(0);
    const places = ["10", "9", "8"].map((name) => stdout.search(new RegExp(`${name}"*:|: ${name}\\b`)));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places[0]).toBeGreaterThan(-1);
  }
});

describe("what is predicted", () => {
  const filesOf = async (...args: string[]): Promise<string[]> => {
    const { code, stdout, stderr } = await mttc("predict", MODEL, ...args, "--json", "-");
    expect([code, stderr]).toEqual([0, ""]);
    return (JSON.parse(stdout) as Prediction[]).map(({ file }) => file);
  };

  test("patterns that the shell left alone", async () => {
    expect(await filesOf("images/val-[01].png")).toEqual(["images/val-0.png", "images/val-1.png"]);
    expect(await filesOf("**/val-0.png")).toEqual(["images/val-0.png", "mixed/val-0.png"]);
    const none = await mttc("predict", MODEL, "images/*.bmp");
    expect([none.code, none.stderr]).toEqual([2, expect.stringMatching(/no image matches.*E_FILE/)]);
  });

  test("label tables, by their column of paths", async () => {
    await writeFile(
      join(data.folder, "table.csv"),
      "filepath,note\nimages/val-3.png,a\nimages/val-1.png,b\n",
    );
    expect(await filesOf("table.csv")).toEqual(["images/val-3.png", "images/val-1.png"]);
    const rows = await filesOf("val.csv", "--filepaths", "file");
    expect(rows).toHaveLength(12);
    const none = await mttc("predict", MODEL, "val.csv");
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining("E_CSV_HEADER")]);
  });

  test("links to images, named or in a folder", async () => {
    mkdirSync(join(data.folder, "linked"));
    symlinkSync(join(data.folder, "images", "val-0.png"), join(data.folder, "linked", "a.png"));
    for (const arg of ["linked", "linked/a.png", "linked/*.png"])
      expect(await filesOf(arg)).toEqual(["linked/a.png"]);
  });
});

describe("a run in place of a model", () => {
  test("stands for its export, and says where that is older", async () => {
    const { code, stdout, stderr } = await mttc("predict", "run", "images/val-0.png");
    expect([code, stderr, stdout.trimEnd().split("\n").length]).toEqual([0, "", 3]);
    expect((await mttc("predict", "run/export", "images/val-0.png")).stdout).toBe(stdout);
    const later = join(data.folder, "run", "checkpoints", "epoch-0007");
    const manifest = {
      format: 1,
      epoch: 7,
      files: JSON.parse(await read("run/checkpoints/epoch-0001/MANIFEST.json")).files,
    };
    for (const [best, said] of [
      [undefined, /of epoch 1, the run has come to 7/],
      ["epoch-0007", /of epoch 1, the run's best is 7/],
      ["epoch-0001", /^$/],
    ] as const) {
      await mkdir(later);
      await writeFile(join(later, "MANIFEST.json"), JSON.stringify({ ...manifest, best }));
      const older = await mttc("predict", "run", "images/val-0.png");
      expect([older.code, older.stderr]).toEqual([0, expect.stringMatching(said)]);
      await rm(later, { recursive: true });
    }
  });

  test("without an export is told how to make one", async () => {
    await mkdir(join(data.folder, "empty"));
    const { code, stderr } = await mttc("predict", "empty", "images/val-0.png");
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(/no exported model \[E_FILE\]\n.*mttc export RUN/),
    ]);
  });
});

describe("the predictor", () => {
  test("takes encoded images in memory as it takes files", async () => {
    const path = join(data.folder, "images", "val-0.png");
    const bytes = await readFile(path);
    await using predictor = await Predictor.open(join(data.folder, "run"));
    const rows: Prediction[] = [];
    const inputs = [path, bytes, new Uint8Array(bytes), { name: "a photo", bytes }];
    for await (const row of predictor.predict(inputs)) if (row.task === "colour") rows.push(row);
    expect(rows.map(({ file }) => file)).toEqual([path, "image 1", "image 2", "a photo"]);
    for (const { probabilities } of rows) expect(probabilities).toEqual(rows[0]?.probabilities);
  });

  test("throws the first fault, or hands all of them to onFault and goes on", async () => {
    await using predictor = await Predictor.open(join(data.folder, "run"));
    const good = join(data.folder, "images", "val-0.png");
    const inputs = [Buffer.from("rubbish"), good, join(data.folder, "nowhere.png")];
    const all = async (options = {}): Promise<number> => {
      let rows = 0;
      for await (const _ of predictor.predict(inputs, options)) rows++;
      return rows;
    };
    await expect(all()).rejects.toMatchObject({ code: "E_IMG_FORMAT" });
    const faults: string[] = [];
    const onFault = ({ file, error }: { file: string; error: { code: string } }): void =>
      void faults.push(`${file} ${error.code}`);
    expect(await all({ onFault })).toBe(2);
    expect(faults).toEqual(["image 0 E_IMG_FORMAT", `${join(data.folder, "nowhere.png")} E_FILE`]);
  });

  test("stops when it is told to", async () => {
    await using predictor = await Predictor.open(join(data.folder, "run"));
    const stopped = predictor.predict([join(data.folder, "images", "val-0.png")], {
      signal: AbortSignal.abort(),
    });
    await expect(stopped.next()).rejects.toMatchObject({ code: "E_INTERRUPTED", exitCode: 130 });
  });
});
