// docs/ort-training.md: its Python is run as it stands, and what it leaves is what the page says it is.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ORT_VERSIONS } from "../../compiler/ortTraining/ortVersions.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData } from "../cli/tinyData.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { trainingPython } from "./trainingPython.ts";

const page = readFileSync(join(PROJECT_ROOT, "docs", "ort-training.md"), "utf8");
const INSTALL_MS = 300_000;

test("the page tells of the releases that there are", () => {
  expect(page).toContain(`ONNX Runtime Training ${ORT_VERSIONS[0]} to ${ORT_VERSIONS.at(-1)}`);
});

test("the page's Python trains; mttc predicts with what it exports and adopts what it saves", {
  timeout: INSTALL_MS,
}, async (context) => {
  const found = await trainingPython("1.19");
  if ("missing" in found) return context.skip(found.missing);
  const code = /<!-- ort-training-python: .*-->\n```python\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
  await using data = await makeTinyData({ batchnorm: "true", lr: "0.01", epochs: "21" });
  const { folder } = data;
  const compile = ["compile", "spec.yml", "--target", "ort-training", "-o", "artifacts"];
  expect((await runCli(folder, compile)).code).toBe(0);
  writeFileSync(join(folder, "page.py"), code);
  const env = { ...process.env, ORT_DISABLE_TELEMETRY: "1" };
  const { status, stdout, stderr } = spawnSync(found.python, ["page.py"], {
    cwd: folder,
    env,
    encoding: "utf8",
  });
  expect(status, stderr).toBe(0);
  const losses = stdout
    .trim()
    .split("\n")
    .map((line) => Number(line.split(" ")[1]));
  expect(losses.length).toBe(20);
  expect(losses.at(-1)).toBeLessThan(0.7 * (losses[0] ?? Number.NaN));
  const predicted = await runCli(folder, ["predict", "served.onnx", "images", "--json"]);
  expect(predicted.code, predicted.stderr).toBe(0);
  const colours = (JSON.parse(predicted.stdout) as { file: string; task: string; class: string }[]).filter(
    ({ task }) => task === "colour",
  );
  const right = colours.filter(({ file, class: answer }) => {
    return answer === ["blue", "red"][Number(/-(\d+)\.png/.exec(file)?.[1]) % 2];
  });
  expect(right.length).toBeGreaterThan(0.8 * colours.length);
  const adopted = await runCli(folder, ["adopt", "spec.yml", "trained.ckpt", "-o", "adopted", "--json"]);
  expect(adopted.code, adopted.stderr).toBe(0);
  expect(JSON.parse(adopted.stdout)).toMatchObject({ epochs: 20 });
  const resumed = await runCli(folder, ["train", "adopted", "--resume", "--no-report"]);
  expect(resumed.code, resumed.stderr).toBe(0);
  const exported = await runCli(folder, ["export", "adopted"]);
  expect(exported.code, exported.stderr).toBe(0);
});
