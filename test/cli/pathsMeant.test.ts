// A run's folder where a spec is asked for, and a spec where a run is: what was meant is done.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli } from "./runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "./tinyData.ts";

let data: TinyData;
const mttc = (...args: string[]) => runCli(data.folder, args);

beforeAll(async () => {
  data = await makeTinyData();
  const { code } = await mttc("train", "spec.yml", "--epochs", "1");
  expect(code).toBe(0);
});

afterAll(async () => {
  await data[Symbol.asyncDispose]();
});

test("a run's folder is trained on with --resume, and refused without", async () => {
  const refused = await mttc("train", "run");
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("E_RUN_EXISTS")]);
  const resumed = await mttc("train", "run", "--resume", "--epochs", "2");
  expect([resumed.code, resumed.stdout]).toEqual([0, expect.stringContaining("2 epochs are trained")]);
  const again = await mttc("train", "spec.yml", "--resume", "--epochs", "3");
  expect([again.code, again.stdout]).toEqual([0, expect.stringContaining("3 epochs are trained")]);
});

test("a spec stands for the run that its logdir names", async () => {
  const [byRun, bySpec] = [await mttc("evaluate", "run"), await mttc("evaluate", "spec.yml")];
  expect(bySpec).toEqual({ ...byRun, code: 0 });
  const exported = await mttc("export", "spec.yml");
  expect([exported.code, exported.stdout]).toEqual([0, expect.stringContaining("Written to run/export")]);
});

test("a spec without a logdir, and what is neither, are refused by name", async () => {
  await writeFile(join(data.folder, "nowhere.yml"), tinySpec({ logdir: "null" }));
  const cases = [
    ["nowhere.yml", "E_CONFIG", "there is no run of this spec"],
    ["run/bundle/train.onnx", "E_USAGE", "mttc predict runs an exported file"],
    ["train.csv", "E_USAGE", "expected the folder of a run"],
    ["nothing", "E_FILE", "nothing"],
  ] as const;
  for (const command of ["evaluate", "export"])
    for (const [path, code, message] of cases) {
      const { code: status, stderr } = await mttc(command, path);
      expect([command, path, status, stderr]).toEqual([command, path, 2, expect.stringContaining(code)]);
      expect(stderr).toContain(message);
    }
});
