// Files of a run that somebody edited: a typed error that names the file and the place, never a crash.
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MttcError } from "../../compiler/diagnostics.ts";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TinyData } from "../cli/tinyData.ts";
import { train, trainedData } from "./trainedData.ts";

type Json = Record<string, unknown>;

let data: TinyData;
let folder: string;
/** A copy of the newest checkpoint's tensors. */
let state: string;

beforeAll(async () => {
  data = await trainedData();
  folder = join(data.folder, "run");
  state = join(data.folder, "state.safetensors");
  await cp(join(folder, "checkpoints", "epoch-0002", "state.safetensors"), state);
});

afterAll(async () => {
  await data[Symbol.asyncDispose]();
});

/** Opens the run in every way; the codes of what is thrown, "none" where nothing is. */
async function outcome(): Promise<string[]> {
  const ways = [
    async () => {
      await using run = await TrainedRun.open(folder);
      await run.evaluate(await run.labels());
      await run.parameters();
    },
    async () => {
      await using trainer = await MultiTaskTrainer.fromRun(folder);
      await trainer.evaluate();
    },
    async () => void (await train(data.folder, 2, {}, { resume: true })),
  ];
  const codes: string[] = [];
  for (const way of ways) {
    const error = await way().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error !== undefined) expect(error).toBeInstanceOf(MttcError);
    codes.push(error instanceof MttcError ? error.code : "none");
  }
  return codes;
}

/** What happens with `file` changed; it is put back. */
async function withChanged(file: string, change: (text: string) => string): Promise<string[]> {
  const text = await readFile(file, "utf8");
  await writeFile(file, change(text));
  try {
    return await outcome();
  } finally {
    await writeFile(file, text);
  }
}

const edited = (change: (json: Json) => unknown) => (text: string) =>
  JSON.stringify(change(JSON.parse(text)));

test.each<[string, (text: string) => string]>([
  ["cut", (text) => text.slice(0, 20)],
  ["empty", () => ""],
  ["a number", () => "7"],
  ["null", () => "null"],
  ["without classes", edited(({ classes: _, ...rest }) => rest)],
  ["with classes that are no lists", edited((json) => ({ ...json, classes: { colour: "red" } }))],
  ["with a folder that is a number", edited((json) => ({ ...json, project: 7 }))],
  ["with rows that are none", edited((json) => ({ ...json, rows: { val: [[1]] } }))],
])("run.json %s is refused by readers, and written anew by a resume", async (_, change) => {
  expect(await withChanged(join(folder, "run.json"), change)).toEqual(["E_BUNDLE", "E_BUNDLE", "none"]);
});

test("run.json of a later version is refused by all, with the advice to update", async () => {
  const change = edited((json) => ({ ...json, version: 99 }));
  expect(await withChanged(join(folder, "run.json"), change)).toEqual(Array(3).fill("E_CKPT_MISMATCH"));
});

test.each<[string, (text: string) => string]>([
  ["cut", (text) => text.slice(0, 20)],
  ["of nothing", () => "{}"],
  ["without tasks", edited((json) => ({ ...json, tasks: [] }))],
  [
    "of a graph outside",
    edited((json) => ({ ...json, graphs: { evaluate: { file: "../x", inputs: [], outputs: [] } } })),
  ],
  ["without its files", edited((json) => ({ ...json, files: {} }))],
  ["with a state of text", edited((json) => ({ ...json, state: ["a"] }))],
])("a bundle's manifest %s is refused by readers, and written anew by a resume", async (_, change) => {
  const codes = await withChanged(join(folder, "bundle", "manifest.json"), change);
  expect(codes).toEqual(["E_BUNDLE", "E_BUNDLE", "none"]);
});

test.each<[string, (text: string) => string, string]>([
  ["cut", (text) => text.slice(0, 20), "none"],
  ["a list", () => "[]", "none"],
  ["without a fingerprint", edited(({ fingerprint: _, ...rest }) => rest), "E_CKPT_CORRUPT"],
  ["with half a fingerprint", edited((json) => ({ ...json, fingerprint: { spec: 1 } })), "E_CKPT_CORRUPT"],
  ["with a step of text", edited((json) => ({ ...json, epochState: { step: "1" } })), "E_CKPT_CORRUPT"],
  ["without an epoch's state", edited(({ epochState: _, ...rest }) => rest), "E_CKPT_CORRUPT"],
])("progress.json %s, and its hash along, is damage or refused", async (_, change, code) => {
  const checkpoint = join(folder, "checkpoints", "epoch-0002");
  const files = ["progress.json", "MANIFEST.json"].map((name) => join(checkpoint, name));
  const [progress = "", manifest = ""] = await Promise.all(files.map((file) => readFile(file, "utf8")));
  const bytes = Buffer.from(change(progress));
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const json = JSON.parse(manifest);
  json.files["progress.json"] = { bytes: bytes.length, sha256 };
  await writeFile(files[0] ?? "", bytes);
  await writeFile(files[1] ?? "", JSON.stringify(json));
  try {
    await using run = await TrainedRun.open(folder, {}, { checkpoint: "newest" });
    // Evaluation asks for nothing but weights; one that is no JSON is damage, and the one before is taken.
    expect(run.checkpoint.epoch).toBe(code === "none" ? 1 : 2);
    expect(run.warnings.join("\n")).toMatch(code === "none" ? /progress\.json/ : /^$/);
    for (const open of [
      () => MultiTaskTrainer.fromRun(folder),
      () => train(data.folder, 1, {}, { resume: true }),
    ]) {
      const error = await open().then(
        async (trainer) => {
          if (trainer instanceof MultiTaskTrainer) await trainer.close();
        },
        (reason: unknown) => reason,
      );
      expect(error instanceof MttcError ? error.code : "none").toBe(code);
    }
  } finally {
    // Where the damage was set aside, its folder is gone.
    await mkdir(checkpoint, { recursive: true });
    await writeFile(files[0] ?? "", progress);
    await writeFile(files[1] ?? "", manifest);
    await cp(state, join(checkpoint, "state.safetensors"));
  }
});
