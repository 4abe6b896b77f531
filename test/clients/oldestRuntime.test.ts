// The oldest ONNX Runtime that the docs promise: exported files of every sort, and a compiled bundle, in its
// Python package. `npm run test:clients` tries it where a Python is that it was built for.
import { existsSync, readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, type TestContext, test } from "vitest";
import { exportRun } from "../../runtime/mttc.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "../cli/tinyData.ts";
import { trainedTiny } from "../export/trainedTiny.ts";
import { CLIENT_NUMBERS } from "../tolerances.ts";
import { answersIn, clientCache, clientFolder, runToEnd, TRIES_TOOLCHAINS } from "./client.ts";
import { expectedAnswers } from "./clientData.ts";

/** As docs/predict.md says; no wheel of it is for a later Python than 3.11. */
const OLDEST = "1.14.1";
const PYTHONS = ["python3.10", "python3.9", "python3.8"];
const PYENV = join(process.env.PYENV_ROOT ?? join(homedir(), ".pyenv"), "versions");
const PACKAGES = [`onnxruntime==${OLDEST}`, "numpy<2", "pillow"];
const SETUP_MS = 300_000;

let data: TinyData;
let python: string | { readonly missing: string };
beforeAll(async () => {
  python = await oldPython();
  if (typeof python !== "string") return;
  data = await makeTinyData();
  const changes = { imshape: [24, 32] as [number, number], batchnorm: true };
  await using trainer = await trainedTiny(data.folder, changes);
  await exportRun(trainer, { directory: join(data.folder, "plain") });
  await exportRun(trainer, { directory: join(data.folder, "heat"), heatmaps: {}, calibrate: true });
  await exportRun(trainer, { directory: join(data.folder, "any-size"), anySize: true });
}, SETUP_MS);
afterAll(async () => await data?.[Symbol.asyncDispose]());

/** A Python with that ONNX Runtime, made once. */
async function oldPython(): Promise<typeof python> {
  if (!TRIES_TOOLCHAINS) return { missing: "npm run test:clients tries it" };
  const folder = join(await clientCache("python"), `onnxruntime-${OLDEST}`);
  const made = join(folder, "bin", "python");
  const works = async () =>
    existsSync(made) && (await runToEnd([made, "-c", "import onnxruntime, PIL"])).code === 0;
  if (await works()) return made;
  for (const name of [...PYTHONS, ...pyenvPythons()]) {
    if ((await runToEnd([name, "-m", "venv", "--clear", folder])).code !== 0) continue;
    await runToEnd([made, "-m", "pip", "install", "-q", ...PACKAGES], { stuckMs: SETUP_MS });
    if (await works()) return made;
  }
  return { missing: `no Python of ${PYTHONS.join(", ")} that gets onnxruntime ${OLDEST}` };
}

/** Those that pyenv has, which its own commands do not always lead to. */
function pyenvPythons(): string[] {
  if (!existsSync(PYENV)) return [];
  const versions = readdirSync(PYENV).filter((version) => /^3\.(?:8|9|10)\./.test(version));
  return versions.map((version) => join(PYENV, version, "bin", "python"));
}

/** The command of a program of the Python client. */
function command(context: TestContext, program: string): readonly string[] {
  return typeof python === "string"
    ? [python, join(clientFolder("python"), program)]
    : context.skip(python.missing);
}

const env = { PYTHONDONTWRITEBYTECODE: "1" };

test.for(["plain", "heat", "any-size"])(
  "ONNX Runtime 1.14 answers with an export: %s",
  async (which, context) => {
    const words = command(context, "predict.py");
    const model = join(data.folder, which, "model.onnx");
    const pictures = ["val-0.png", "val-1.png"].map((name) => join(data.folder, "images", name));
    const drawn = which === "heat" ? ["--heatmap", join(data.folder, "drawn")] : [];
    const { code, stdout, stderr } = await runToEnd([...words, ...drawn, model, ...pictures], { env });
    expect([code, stderr]).toEqual([0, ""]);
    const expected = await expectedAnswers(model, pictures);
    for (const { image, tasks } of answersIn(stdout))
      for (const [t, { numbers }] of tasks.entries())
        for (const [i, number] of numbers.entries()) {
          const theirs = expected.get(image)?.[t]?.numbers[i] ?? Number.NaN;
          expect(Math.abs(number - theirs)).toBeLessThanOrEqual(CLIENT_NUMBERS);
        }
    if (which === "heat") expect(existsSync(join(data.folder, "drawn", "1-0-colour.png"))).toBe(true);
  },
);

test("ONNX Runtime 1.14 trains a bundle", async (context) => {
  const words = command(context, "train.py");
  const spec = { batchnorm: "true", augment: "{flip_left_right: true, jitter: 0.4}", epochs: "1" };
  await writeFile(join(data.folder, "bundle.yml"), tinySpec(spec));
  expect((await runCli(data.folder, ["compile", "bundle.yml", "-o", "bundle"])).code).toBe(0);
  const args = ["bundle", "train.csv", "trained.safetensors"];
  const { code, stdout, stderr } = await runToEnd([...words, ...args], { cwd: data.folder, env });
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^epoch 1: .*loss_sum/);
});
