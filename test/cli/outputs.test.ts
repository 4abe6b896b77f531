// Every output of every command against files of the user's own: refused with E_RUN_EXISTS before any work,
// and left as they are. What mttc wrote is replaced; a device or pipe is written to.
import { spawnSync } from "node:child_process";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { siblingName } from "../../runtime/files/leftovers.ts";
import { runCli } from "./runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "./tinyData.ts";

const MINE = "my thesis";

let data: TinyData;
beforeAll(async () => {
  data = await makeTinyData({ augment: "{flip_left_right: true}" });
  await writeFile(join(data.folder, "logdir.yml"), tinySpec({ logdir: "out" }));
});
afterAll(async () => await data[Symbol.asyncDispose]());

/** Runs a command where `name` holds the user's own text. */
async function against(name: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const file = join(data.folder, name);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, MINE);
  try {
    const { code, stderr } = await runCli(data.folder, args, { env });
    return { code, stderr, text: await readFile(file, "utf8") };
  } finally {
    await rm(join(data.folder, name.split("/")[0] ?? ""), { recursive: true });
  }
}

const TRAIN = ["train", "logdir.yml"];
const REFUSED: readonly (readonly [string, readonly string[]])[] = [
  ["out/spec.yml", TRAIN],
  ["out/run.json", TRAIN],
  ["out/log.jsonl", TRAIN],
  ["out/labels.json", TRAIN],
  ["out/augmentation.png", TRAIN],
  ["out/sittings.json", TRAIN],
  ["out/report.html", TRAIN],
  ["out/bundle/thesis.txt", TRAIN],
  ["out/bundle", TRAIN],
  ["out/checkpoints/thesis.txt", TRAIN],
  ["out/checkpoints", TRAIN],
  ["out", TRAIN],
  ["out/spec.yml", [...TRAIN, "--resume"]],
  ["out/thesis.txt", ["compile", "spec.yml", "-o", "out"]],
  ["out", ["compile", "spec.yml", "-o", "out"]],
  ["out/thesis.txt", ["export", "run", "-o", "out"]],
  ["out/export/thesis.txt", ["export", "out"]],
  ["out", ["export", "run", "-o", "out"]],
  ["out.html", ["report", "run", "-o", "out.html"]],
  ["out/report.html", ["report", "out"]],
  ["out.html", ["compare", "run", "images", "-o", "out.html"]],
  ["out.onnx", ["import", "model.h5", "-o", "out.onnx"]],
  ["out.yml", ["init", "train.csv", "-o", "out.yml"]],
  ["experiment.yml", ["init", "train.csv"]],
  ["out.png", ["augplot", "spec.yml", "-o", "out.png"]],
  ["augment.png", ["augplot", "spec.yml"]],
  ["out.png", ["data", "stats", "spec.yml", "-o", "out.png"]],
  ["out.json", ["data", "check", "spec.yml", "--write-manifest", "out.json"]],
  ["train.checked.csv", ["data", "check", "spec.yml", "--drop"]],
  ["out/thesis.txt", ["setup-cuda", "--yes", "-o", "out"]],
];

describe("a file of the user's own is never replaced", () => {
  test.each(REFUSED)("%s by mttc %j", async (name, args) => {
    const { code, stderr, text } = await against(name, args);
    expect([code, text]).toEqual([2, MINE]);
    expect(stderr).toContain("[E_RUN_EXISTS]");
    expect(stderr.split("\n").filter((line) => line.startsWith("error:"))).toHaveLength(1);
  });

  test("001-train-1-built.txt by MTTC_DUMP", async () => {
    const name = "dump/001-train-1-built.txt";
    const { code, stderr, text } = await against(name, ["compile", "spec.yml", "-o", "bundle"], {
      MTTC_DUMP: "dump",
    });
    expect([code, text]).toEqual([2, MINE]);
    expect(stderr).toContain("[E_RUN_EXISTS]");
  });
});

test("files beside a run stay, and what mttc wrote is replaced", async () => {
  await mkdir(join(data.folder, "beside"));
  await writeFile(join(data.folder, "beside", "thesis.txt"), MINE);
  await writeFile(join(data.folder, "here.yml"), tinySpec({ logdir: "beside", epochs: "1" }));
  const trained = await runCli(data.folder, ["train", "here.yml"]);
  expect([trained.code, await readFile(join(data.folder, "beside", "thesis.txt"), "utf8")]).toEqual([
    0,
    MINE,
  ]);
  const again: readonly (readonly string[])[] = [
    ["augplot", "spec.yml", "-o", "sheet.png"],
    ["data", "stats", "spec.yml", "-o", "stats.png"],
    ["data", "check", "spec.yml", "--write-manifest", "hashes.json"],
    ["compile", "spec.yml", "-o", "bundle2"],
    ["export", "beside"],
    ["predict", "beside/export/model.onnx", "images/val-0.png", "--csv", "p.csv", "--json", "p.json"],
  ];
  for (const args of again)
    for (let round = 0; round < 2; round++) {
      const { code, stderr } = await runCli(data.folder, args);
      expect([args, code, stderr.includes("error")]).toEqual([args, 0, false]);
    }
});

test("a bundle and an export that a killed replacement left aside are found by the next commands", async () => {
  expect((await runCli(data.folder, ["train", "spec.yml", "--epochs", "1"])).code).toBe(0);
  expect((await runCli(data.folder, ["export", "run", "--split"])).code).toBe(0);
  const { pid } = spawnSync(process.execPath, ["--version"]);
  const setAside = async (name: string): Promise<void> => {
    const path = join(data.folder, "run", name);
    const owner = siblingName(path, "old").replace(`-${process.pid}-`, `-${pid}-`);
    await rename(path, owner);
  };
  await writeFile(
    join(data.folder, "trunk.yml"),
    tinySpec({ fcn: "{path: run/export/trunk.onnx}", train_fcn: "false", logdir: "null" }),
  );
  const commands: readonly (readonly [string, ...string[]])[] = [
    ["bundle", "evaluate", "run"],
    ["bundle", "export", "run"],
    ["bundle", "train", "spec.yml", "--epochs", "2", "--resume"],
    ["export", "predict", "run/export/model.onnx", "images/val-0.png"],
    ["export", "predict", "run", "images/val-0.png"],
    ["export", "export", "run", "--split"],
    ["export", "inspect", "trunk.yml"],
  ];
  for (const [name, ...args] of commands) {
    await setAside(name);
    const { code, stderr } = await runCli(data.folder, args);
    expect([args, code, code === 0 ? "" : stderr]).toEqual([args, 0, ""]);
    const names = await readdir(join(data.folder, "run"));
    expect(names.filter((each) => each.startsWith(".") || each === name)).toEqual([name]);
  }
});

test.each(["csv", "json"])("predictions replace no %s of the user's own", async (kind) => {
  const args = ["predict", "beside/export/model.onnx", "images", "-o", `out.${kind}`];
  const { code, stderr, text } = await against(`out.${kind}`, args);
  expect([code, text, stderr]).toEqual([2, MINE, expect.stringContaining("[E_RUN_EXISTS]")]);
});

test("--overwrite replaces a file of another's, and /dev/stdout is written to", async () => {
  await writeFile(join(data.folder, "theirs.yml"), MINE);
  const { code } = await runCli(data.folder, ["init", "train.csv", "-o", "theirs.yml", "--overwrite"]);
  expect([code, await readFile(join(data.folder, "theirs.yml"), "utf8")]).toEqual([
    0,
    expect.stringContaining("train_labels: train.csv"),
  ]);
  const out = await runCli(data.folder, ["init", "train.csv", "-o", "/dev/stdout"]);
  expect([out.code, out.stdout]).toEqual([0, expect.stringContaining("\ntasks:")]);
});
