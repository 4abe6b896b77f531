// Runs whose imported fcn an earlier mttc read otherwise than this one would by default (the factor of its
// pixels, its cut, what of it is trained): they are gone on with as they were, or refused with the keys that
// make them so; evaluated and exported as they are. Such runs are made by naming what the earlier mttc took,
// and then taking the names out of everything that the run keeps.
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import type { ImportedFcn } from "../../compiler/spec/schema.ts";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import { makeTinyData, type TinyData } from "../cli/tinyData.ts";
import { encodeForeign, type NodeText, tensor, weights } from "../import/foreignModel.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { snapshot } from "./snapshot.ts";
import { train } from "./trainedData.ts";

type Settings = Partial<Pick<ImportedFcn, "scale" | "output" | "train" | "fixed">>;

const same = { pads: [1, 1, 1, 1] };
const NODES: readonly NodeText[] = [
  ["Div(x, white) -> unit"],
  ["Sub(unit, mean) -> centred"],
  ["Conv(centred, w1, b1) -> c1", same],
  ["Relu(c1) -> r1"],
  ["Conv(r1, w2, b2) -> c2", same],
  ["Relu(c2) -> r2"],
  ["GlobalAveragePool(r2) -> pooled"],
];

/** Checkpoints hash their files: one that was edited is hashed anew. */
async function hashAnew(checkpoint: string, name: string): Promise<void> {
  const file = join(checkpoint, "MANIFEST.json");
  const manifest = JSON.parse(await readFile(file, "utf8"));
  const bytes = await readFile(join(checkpoint, name));
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  manifest.files[name] = { bytes: bytes.length, sha256 };
  await writeFile(file, JSON.stringify(manifest));
}

/** A data set with a network that divides pixels by 255 itself. */
async function makeData(): Promise<TinyData> {
  const data = await makeTinyData();
  const bytes = encodeForeign({
    image: ["N", 3, 16, 16],
    nodes: NODES,
    outputs: ["pooled"],
    initializers: [
      tensor("white", "float32", [], [255]),
      tensor("mean", "float32", [1, 3, 1, 1], [0.5, 0.4, 0.3]),
      ...[weights("w1", [4, 3, 3, 3]), weights("b1", [4]), weights("w2", [4, 4, 3, 3]), weights("b2", [4])],
    ],
  });
  await writeFile(join(data.folder, "net.onnx"), bytes);
  return data;
}

const fcnOf = (settings: Settings): Record<string, string> => ({
  fcn: JSON.stringify({ path: "net.onnx", ...settings }),
});

const DEFAULTS = { scale: null, output: null, train: [], fixed: [] };

/** Takes `settings`, and what newer versions keep of the trunk, out of everything that the run says. */
async function makeOlder(folder: string, settings: Settings, keepsTrunk: boolean): Promise<void> {
  const open = Object.fromEntries(Object.keys(settings).map((key) => [key, DEFAULTS[key as keyof Settings]]));
  const opened = <S extends { fcn: object }>(spec: S): S => ({ ...spec, fcn: { ...spec.fcn, ...open } });
  const edit = async (name: string, change: (json: never) => unknown): Promise<void> => {
    const file = join(folder, "run", name);
    await writeFile(file, JSON.stringify(change(JSON.parse(await readFile(file, "utf8")) as never)));
  };
  const specFile = join(folder, "run", "spec.yml");
  const spec = parseSpec(await readFile(specFile, "utf8"), specFile);
  await writeFile(specFile, stringify(opened(spec)));
  await edit("bundle/manifest.json", ({ trunk, ...manifest }: { trunk: object; spec: { fcn: object } }) => ({
    ...manifest,
    ...(keepsTrunk ? { trunk } : {}),
    spec: opened(manifest.spec),
  }));
  await edit(
    "checkpoints/epoch-0002/progress.json",
    (progress: { fingerprint: { spec: { fcn: object } } }) => ({
      ...progress,
      fingerprint: { ...progress.fingerprint, spec: opened(progress.fingerprint.spec) },
    }),
  );
  await hashAnew(join(folder, "run/checkpoints/epoch-0002"), "progress.json");
}

test.each<[string, Settings, boolean, { path: string; message: string; hint: string }]>([
  [
    "the factor of pixels, before it was kept",
    { scale: 1 / 255 },
    false,
    {
      path: "fcn.scale",
      message: "was 0.00392157 (by default), is 1 (by default)",
      hint: "`scale: 0.00392156862745098` in the spec's fcn goes on as before",
    },
  ],
  [
    "the factor of pixels",
    { scale: 0.5 },
    true,
    {
      path: "fcn.scale",
      message: "was 0.5 (by default), is 1 (by default)",
      hint: "`scale: 0.5` in the spec's fcn goes on as before",
    },
  ],
  [
    "the cut, before it was kept",
    { output: "c2" },
    false,
    {
      path: "fcn.output",
      message: "was c2 (by default), is r2 (by default)",
      hint: '`output: "c2"` in the spec\'s fcn goes on as before',
    },
  ],
  [
    "the cut",
    { output: "r1" },
    true,
    {
      path: "fcn.output",
      message: "was r1 (by default), is r2 (by default)",
      hint: '`output: "r1"` in the spec\'s fcn goes on as before',
    },
  ],
  [
    "that more was trained",
    { train: ["mean"] },
    false,
    {
      path: "fcn.train",
      message: "mean was trained by the run, and fixed now",
      hint: '`train: ["mean"]` in the spec\'s fcn goes on as before',
    },
  ],
  [
    "that less was trained",
    { fixed: ["w2", "b2"] },
    false,
    {
      path: "fcn.fixed",
      message: "2 tensors, such as w2, were fixed in the run, and trained now",
      hint: '`fixed: ["w2", "b2"]` in the spec\'s fcn goes on as before',
    },
  ],
])("a run that another mttc read otherwise is refused by name: %s", async (_, settings, keeps, expected) => {
  await using data = await makeData();
  const { folder } = data;
  // What the earlier mttc did not know is 1 / 255 by default.
  const taken = keeps || "scale" in settings ? settings : { ...settings, scale: 1 };
  await train(folder, 2, fcnOf(taken));
  await makeOlder(folder, settings, keeps);
  const before = await snapshot(join(folder, "run"));
  const rest = "scale" in taken && !("scale" in settings) ? { scale: 1 } : {};
  const faults = await faultsOfAsync(() => train(folder, 3, fcnOf(rest), { resume: true }));
  const { path, ...texts } = expected;
  expect(faults).toMatchObject([{ code: "E_CKPT_MISMATCH", at: { path }, ...texts }]);
  expect(await snapshot(join(folder, "run"))).toEqual(before);
  if (!("train" in settings || "fixed" in settings)) {
    await using run = await TrainedRun.open(join(folder, "run"));
    const { checks } = await exportRun(run);
    expect(checks.every(({ passed }) => passed)).toBe(true);
  }
  // As a person writes it down.
  const written = settings.scale == null ? settings : { scale: Number(settings.scale.toPrecision(5)) };
  await train(folder, 3, fcnOf({ ...rest, ...written }), { resume: true });
  const progress = join(folder, "run/checkpoints/epoch-0003/progress.json");
  expect(JSON.parse(await readFile(progress, "utf8")).fingerprint.spec.fcn).toMatchObject(written);
});

test("settings that say what was the default are no other spec", async () => {
  await using data = await makeData();
  await train(data.folder, 1, fcnOf({}));
  await train(data.folder, 2, fcnOf({ scale: 1, output: "r2" }), { resume: true });
  const faults = await faultsOfAsync(() =>
    train(data.folder, 3, fcnOf({ scale: 2, output: "r2" }), { resume: true }),
  );
  expect(faults.slice(1)).toMatchObject([{ at: { path: "fcn.scale" }, message: "was 1, is 2" }]);
});
