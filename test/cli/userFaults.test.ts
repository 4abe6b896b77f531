// Rare faults of the user's, which must be typed errors (exit 2) and never ask for a report (exit 70): names
// that every object has, a logdir that is a file, NUL in paths, specs without end, no temporary folder, few
// open files; and what killed commands left.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Predictor } from "../../runtime/export/predictor.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { CLI_MAIN, runCli, runProgram } from "./runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "./tinyData.ts";

const BIN = fileURLToPath(new URL("../../cli/mttc.cjs", import.meta.url));
/** What every object has, beside __proto__ and constructor, which no task may be called. */
const INHERITED = ["toString", "valueOf", "hasOwnProperty", "isPrototypeOf"];

let data: TinyData;
beforeAll(async () => {
  data = await makeTinyData();
  const rows = Array.from({ length: 12 }, (_, i) => {
    const labels = INHERITED.map((_name, task) => [...INHERITED, "__proto__", "constructor"][(i + task) % 3]);
    return [`images/train-${i}.png`, ...labels].join(",");
  });
  await writeFile(
    join(data.folder, "names.csv"),
    `${["file", ...INHERITED].join(",")}\n${rows.join("\n")}\n`,
  );
  const spec = tinySpec({
    train_labels: "names.csv",
    val_labels: "null",
    tasks: `[${INHERITED.join(", ")}]`,
    logdir: "named",
    epochs: "1",
  });
  await writeFile(join(data.folder, "names.yml"), spec);
  await writeFile(join(data.folder, "more.yml"), spec.replace("epochs: 1", "epochs: 2"));
});
afterAll(async () => await data[Symbol.asyncDispose]());

describe("tasks and classes that are called what every object has", () => {
  const commands: readonly (readonly string[])[] = [
    ["inspect", "names.yml"],
    ["compile", "names.yml", "-o", "bundle"],
    ["data", "stats", "names.yml"],
    ["init", "names.csv", "-o", "drafted.yml"],
    ["train", "names.yml"],
    ["train", "more.yml", "--resume"],
    ["evaluate", "named"],
    ["export", "named", "--split"],
    ["predict", "named/export/model.onnx", "images/val-0.png"],
    ["predict", "named/export/toString.onnx", "images/val-0.png", "--json", "-"],
  ];
  test.each(commands.map((args) => [args]))("%j", async (args) => {
    const { code, stdout, stderr } = await runCli(data.folder, args);
    expect([code, stderr]).toEqual([0, expect.not.stringContaining("rror")]);
    if (args[0] !== "compile") expect(stdout).toContain("toString");
    expect(stdout).not.toContain("function");
  });
});

describe("paths", () => {
  test("with NUL are refused where the spec names them, and by the API", async () => {
    for (const key of ["logdir", "train_labels", "val_labels", "image_root", "pack", "teacher", "fcn"]) {
      await writeFile(join(data.folder, "nul.yml"), tinySpec({ [key]: '"a\\0b"' }));
      const { code, stderr } = await runCli(data.folder, ["train", "nul.yml"]);
      expect([key, code, stderr]).toEqual([key, 2, expect.stringMatching(/NUL characters.* \[E_CONFIG\]/)]);
    }
    const nul = { code: "E_FILE", message: expect.stringContaining("NUL") };
    await expect(MultiTaskTrainer.fromRun("a\0b")).rejects.toMatchObject(nul);
    await expect(Predictor.open("a\0b")).rejects.toMatchObject(nul);
  });

  test("a logdir that is a file, or below one", async () => {
    for (const logdir of ["train.csv", "train.csv/run"]) {
      await writeFile(join(data.folder, "file.yml"), tinySpec({ logdir }));
      for (const args of [
        ["train", "file.yml"],
        ["train", "file.yml", "--resume"],
      ]) {
        const { code, stderr } = await runCli(data.folder, args);
        expect([code, stderr]).toEqual([2, expect.stringContaining("is not a folder [E_RUN_EXISTS]")]);
      }
      const { code } = await runCli(data.folder, ["evaluate", logdir]);
      expect(code).toBe(2);
    }
  });

  test("of links to images and folders of images are counted where a folder is listed", async () => {
    for (const name of ["red", "blue"]) {
      await mkdir(join(data.folder, "classes", name), { recursive: true });
      await writeFile(
        join(data.folder, "classes", name, "a.png"),
        await readFile(join(data.folder, "images", "val-0.png")),
      );
    }
    await symlink("../../images/val-1.png", join(data.folder, "classes", "red", "b.png"));
    await symlink("../images", join(data.folder, "classes", "green"));
    await writeFile(
      join(data.folder, "classes.yml"),
      tinySpec({ train_labels: "classes", val_labels: "null", tasks: "[colour]", logdir: "linked" }),
    );
    const { code, stderr } = await runCli(data.folder, ["train", "classes.yml", "--epochs", "1"]);
    expect([code, stderr]).toEqual([0, expect.stringContaining("2 symbolic links")]);
  });
});

describe.runIf(process.platform === "linux")("the system", () => {
  test("a spec that never ends is refused, one from a pipe is read", async () => {
    const endless = await runCli(data.folder, ["inspect", "/dev/zero"]);
    expect([endless.code, endless.stderr]).toEqual([2, expect.stringContaining("[E_CONFIG_PARSE]")]);
    const hashes = await runCli(data.folder, ["data", "check", "spec.yml", "--manifest", "/dev/zero"]);
    expect([hashes.code, hashes.stderr]).toEqual([2, expect.stringContaining("no manifest")]);
    const command = `mkfifo pipe.yml; cat spec.yml > pipe.yml & "${process.execPath}" "${CLI_MAIN}" inspect pipe.yml`;
    const piped = await runProgram("bash", ["-c", command], { cwd: data.folder });
    expect([piped.code, piped.stdout]).toEqual([0, expect.stringContaining("its shape")]);
  });

  test("without a temporary folder says what names it", async () => {
    const env = { TMPDIR: join(data.folder, "nowhere") };
    const args = ["inspect", "spec.yml", "--placement", "--ep", "cpu"];
    const { code, stderr } = await runCli(data.folder, args, { env });
    expect([code, stderr]).toEqual([2, expect.stringMatching(/nowhere: .*ENOENT.*\[E_FILE\]\n.*TMPDIR/)]);
  });

  test("with few open files says so", async () => {
    for (const limit of [128, 64, 24]) {
      const command = `ulimit -n ${limit}; "${process.execPath}" "${BIN}" train spec.yml`;
      const { code, stderr } = await runProgram("bash", ["-c", command], { cwd: data.folder });
      expect([code, stderr]).toEqual([2, expect.stringMatching(/too many files.*\[E_FILE\]\n.*ulimit -n/s)]);
    }
  });

  test("a full disk leaves the ONNX file that import would replace", async () => {
    const keras = fileURLToPath(
      new URL("../../examples/patchwork/my_pretrained_extractor.h5", import.meta.url),
    );
    const args = ["import", keras, "-o", "m.onnx", "--imshape", "32", "--imshape", "32"];
    expect((await runCli(data.folder, args)).code).toBe(0);
    const before = await readFile(join(data.folder, "m.onnx"));
    const command = `trap - XFSZ; ulimit -f 4; exec "${process.execPath}" "${CLI_MAIN}" "$@"`;
    const full = await runProgram("bash", ["-c", command, "mttc", ...args], { cwd: data.folder });
    expect([full.code, full.stderr]).toEqual([2, expect.stringContaining("[E_DISK]")]);
    expect((await readFile(join(data.folder, "m.onnx"))).equals(before)).toBe(true);
    expect((await readdir(data.folder)).filter((name) => name.startsWith(".tmp"))).toEqual([]);
  });
});

test("what a killed packer left goes with the next run of the same command", async () => {
  await writeFile(join(data.folder, "pack.yml"), tinySpec({ pack: "packed" }));
  expect((await runCli(data.folder, ["data", "pack", "pack.yml"])).code).toBe(0);
  const [recipe = ""] = await readdir(join(data.folder, "packed"));
  const folder = join(data.folder, "packed", recipe);
  const whole = await readdir(folder);
  await rm(folder, { recursive: true });
  const child = spawn(process.execPath, [CLI_MAIN, "data", "pack", "pack.yml"], { cwd: data.folder });
  const hidden = async (): Promise<string[]> =>
    existsSync(folder) ? (await readdir(folder)).filter((name) => name.startsWith(".")) : [];
  while ((await hidden()).length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  const closed = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGKILL");
  await closed;
  const left = await hidden();
  expect(left).not.toEqual([]);
  for (let round = 0; round < 2; round++) {
    expect((await runCli(data.folder, ["data", "pack", "pack.yml"])).code).toBe(0);
    expect((await readdir(folder)).sort()).toEqual(whole.sort());
    // Also where there is nothing left to pack.
    for (const name of left) await writeFile(join(folder, name), "");
  }
});
