// `mttc train` and `mttc log` with sinks, as a user has them: both places, Ctrl-C and a resume, a server that is
// not there, what the spec may say. Needs dist (`npm run build`).
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "../cli/tinyData.ts";
import { SIX_DIGITS } from "../tolerances.ts";
import { eventFiles, scalarsOf } from "./eventReader.ts";
import { FakeMlflow } from "./fakeMlflow.ts";

let data: TinyData;
let server: FakeMlflow;

beforeAll(async () => {
  data = await makeTinyData();
  server = await FakeMlflow.start();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await data[Symbol.asyncDispose]();
});

const steps = (run: string): number[] =>
  scalarsOf(join(data.folder, run, "steps"), "lr").map(([step]) => step);
const writeSpec = (name: string, changes: Record<string, string>): void =>
  writeFileSync(join(data.folder, `${name}.yml`), tinySpec({ logdir: name, ...changes }));

test("a run that is interrupted and gone on with has every figure once, here and there", async () => {
  writeSpec("both", { log_to: "[tensorboard, mlflow]", log_every: "1", epochs: "100000", notes: "why" });
  const env = { MLFLOW_TRACKING_URI: server.uri };
  const first = await runCli(data.folder, ["train", "both.yml"], { env, interruptAt: "epoch 2/" });
  expect([first.code, first.stderr]).toEqual([130, expect.stringContaining("saved in")]);
  expect(server.runs.map(({ status }) => status)).toEqual(["KILLED"]);
  const done = scalarsOf(join(data.folder, "both"), "epoch").length;
  const args = ["train", "both.yml", "--resume", "--epochs", String(done + 2)];
  const second = await runCli(data.folder, args, { env });
  expect(second.code, second.stderr).toBe(0);
  expect(second.stdout).toContain(`TensorBoard: tensorboard --logdir both`);
  expect(second.stdout).toContain(`MLflow:      ${server.uri}`);
  const [kept] = server.runs;
  expect([server.runs.length, kept?.status, kept?.tags.get("mlflow.note.content")]).toEqual([
    1,
    "FINISHED",
    "why",
  ]);
  const all = Array.from({ length: 3 * (done + 2) }, (_, i) => i + 1);
  expect(steps("both")).toEqual(all);
  expect(server.history(kept, "step/lr").map(([step]) => step)).toEqual(all);
  const epochs = Array.from({ length: done + 2 }, (_, i) => i + 1);
  expect(server.history(kept, "epoch")).toEqual([]);
  expect(server.history(kept, "val/accuracy/colour").map(([epoch]) => epoch)).toEqual(epochs);
  expect(scalarsOf(join(data.folder, "both"), "epoch").map(([, epoch]) => epoch)).toEqual(epochs);
  const lines = readFileSync(join(data.folder, "both", "log.jsonl"), "utf8")
    .trimEnd()
    .split("\n");
  const last = JSON.parse(lines.at(-1) ?? "") as { scalars: Record<string, number> };
  for (const [name, value] of Object.entries(last.scalars))
    expect(server.history(kept, name).at(-1), name).toEqual([done + 2, value]);
});

test("a server that is not there stops nothing, and is sent all of it later", async () => {
  const gone = "http://127.0.0.1:9";
  writeSpec("late", { log_to: `{mlflow: {tracking_uri: "${gone}"}}` });
  const trained = await runCli(data.folder, ["train", "late.yml"]);
  expect([trained.code, readdirSync(join(data.folder, "late", "checkpoints")).length > 1]).toEqual([0, true]);
  expect(trained.stderr.match(/MLflow/g)?.length).toBeLessThanOrEqual(2);
  expect(trained.stderr).toMatch(/MLflow \(http:\/\/127.0.0.1:9\) has not had 2 epochs: .*mttc log/);
  const still = await runCli(data.folder, ["log", "late"]);
  expect([still.code, still.stderr]).toEqual([2, expect.stringContaining("[E_SINK]")]);
  // It is found at another address.
  const spec = join(data.folder, "late", "spec.yml");
  writeFileSync(spec, readFileSync(spec, "utf8").replace(gone, server.uri));
  const sent = await runCli(data.folder, ["log", "late"]);
  expect([sent.code, sent.stdout, sent.stderr]).toEqual([0, `MLflow (${server.uri}) has all 2 epochs\n`, ""]);
  const kept = server.runs.at(-1);
  expect(kept?.tags.get("mlflow.runName")).toBe("late");
  expect(server.history(kept, "step/lr").map(([step]) => step)).toEqual([3, 6]);
});

test("event files that cannot be written stop nothing, and come when they can", async () => {
  writeSpec("blocked", { log_to: "[tensorboard]" });
  mkdirSync(join(data.folder, "blocked"));
  const inTheWay = join(data.folder, "blocked", "steps");
  writeFileSync(inTheWay, "no folder");
  const { code, stderr } = await runCli(data.folder, ["train", "blocked.yml"]);
  expect([code, stderr.match(/TensorBoard/g)?.length], stderr).toEqual([0, expect.any(Number)]);
  expect(stderr).toMatch(/TensorBoard \(.*blocked\) has not had 2 epochs: .*steps: .*no folder .*mttc log/);
  expect(readFileSync(inTheWay, "utf8")).toBe("no folder");
  rmSync(inTheWay);
  const sent = await runCli(data.folder, ["log", "blocked"]);
  expect([sent.code, steps("blocked")]).toEqual([0, [3, 6]]);
  expect(scalarsOf(join(data.folder, "blocked"), "epoch").map(([, epoch]) => epoch)).toEqual([1, 2]);
});

test("inspect shows the notes of the spec", async () => {
  writeSpec("noted", { notes: '"why: \\x1b[31mred"' });
  const { code, stdout } = await runCli(data.folder, ["inspect", "noted.yml"]);
  expect([code, stdout]).toEqual([0, expect.stringContaining("Notes\nwhy: \\u001b[31mred\n")]);
});

test("a run that named none is sent to TensorBoard later", async () => {
  writeSpec("plain", {});
  expect((await runCli(data.folder, ["train", "plain.yml"])).code).toBe(0);
  const nowhere = await runCli(data.folder, ["log", "plain"]);
  expect([nowhere.code, nowhere.stderr]).toEqual([2, expect.stringContaining("--to tensorboard")]);
  const sent = await runCli(data.folder, ["log", "plain.yml", "--to", "tensorboard"]);
  expect([sent.code, sent.stdout]).toEqual([0, expect.stringContaining("has all 2 epochs")]);
  expect(steps("plain")).toEqual([3, 6]);
  const files = eventFiles(join(data.folder, "plain"));
  const again = await runCli(data.folder, ["log", "plain", "--to", "tensorboard"]);
  // What has all of it is given nothing more.
  expect([again.code, eventFiles(join(data.folder, "plain")), steps("plain")]).toEqual([0, files, [3, 6]]);
});

test("learned weights, the total and the divergence from a teacher are logged by step and by epoch", async () => {
  expect((await runCli(data.folder, ["export", "plain"])).code).toBe(0);
  const teacher = { teacher: "plain/export/model.onnx", distill_weight: "0.5", weight_decay: "0.01" };
  writeSpec("taught", { ...teacher, log_every: "1", epochs: "1", batch_size: "36", lr: "1e-9" });
  const { code, stderr } = await runCli(data.folder, ["train", "taught.yml"]);
  expect(code, stderr).toBe(0);
  const scalarsIn = (file: string): Record<string, number> =>
    (
      JSON.parse(readFileSync(join(data.folder, "taught", file), "utf8")) as {
        scalars: Record<string, number>;
      }
    ).scalars;
  const [step, epoch] = [scalarsIn("events.jsonl"), scalarsIn("log.jsonl")];
  // One step is the epoch, and the rate leaves weights as they are: both say the same.
  const shared = Object.keys(step).filter((name) => name !== "images_per_second");
  expect(shared).toEqual(expect.arrayContaining(["train/loss", "train/distillation", "weight/colour", "lr"]));
  for (const name of shared)
    expect(Math.abs((step[name] ?? 0) - (epoch[name] ?? 9)), name).toBeLessThan(SIX_DIGITS);
  const { "train/loss": total = 0, "train/distillation": distillation = 0 } = epoch;
  const ofTasks = ["colour", "its shape"].map((task) => {
    const weight = epoch[`weight/${task}`] ?? 0;
    return weight * (epoch[`train/loss/${task}`] ?? 0) - Math.log(weight) / 2;
  });
  expect(distillation).toBeGreaterThan(0);
  expect(Math.abs(total - distillation - (ofTasks[0] ?? 0) - (ofTasks[1] ?? 0))).toBeLessThan(SIX_DIGITS);
  expect(epoch["train/weight_decay"]).toBeGreaterThan(0);
});

test("the command line names sinks, too, and refuses others", async () => {
  writeSpec("named", { epochs: "1" });
  const named = await runCli(data.folder, ["train", "named.yml", "--log-to", "tensorboard"]);
  expect([named.code, steps("named")]).toEqual([0, [3]]);
  const wrong = await runCli(data.folder, ["train", "named.yml", "--log-to", "wandb"]);
  expect([wrong.code, wrong.stderr]).toEqual([
    2,
    expect.stringContaining("expected tensorboard, mlflow or both"),
  ]);
  const nobody = await runCli(data.folder, ["train", "named.yml", "--resume", "--log-to", "mlflow"], {
    env: { MLFLOW_TRACKING_URI: "" },
  });
  expect([nobody.code, nobody.stderr]).toEqual([2, expect.stringContaining("MLFLOW_TRACKING_URI")]);
});

test.each([
  ["[wandb]", 'expected a list of "tensorboard" or "mlflow"'],
  ["[tensorboard, tensorboard]", "tensorboard is listed twice"],
  ["{mlflow: {tracking_uri: 'file:mlruns'}}", "the address of an MLflow server"],
  ["{mlflow: {tracking_uri: 'http://me:pw@host'}}", "MLFLOW_TRACKING_PASSWORD"],
  ["{mlflow: {uri: 'http://host'}}", "uri"],
])("log_to: %s is refused", async (log_to, says) => {
  writeSpec("wrong", { log_to });
  const { code, stderr } = await runCli(data.folder, ["train", "wrong.yml"]);
  expect([code, stderr]).toEqual([2, expect.stringContaining(says)]);
  expect(stderr).not.toContain("me:pw");
  expect(existsSync(join(data.folder, "wrong"))).toBe(false);
});

test("config.yml has patchwork's form; another's file of that name is left alone", async () => {
  const text = readFileSync(join(data.folder, "plain", "config.yml"), "utf8");
  const config = parse(text) as Record<string, Record<string, unknown>>;
  expect(Object.keys(config)).toEqual(["augment", "input", "model"]);
  expect(config.input).toMatchObject({ imshape: [16, 16], batch_size: 12, norm: 255 });
  expect(config.model).toMatchObject({ adaptive: true, trainer: "multitask", shared_layers: [6], notes: "" });
  writeFileSync(join(data.folder, "plain", "config.yml"), "mine: 1\n");
  await runCli(data.folder, ["train", "plain.yml", "--resume", "--epochs", "3"]);
  expect(readFileSync(join(data.folder, "plain", "config.yml"), "utf8")).toBe("mine: 1\n");
});
