// What a run logs arrives at an MLflow server within its limits; a server that refuses, hangs or is gone
// stops nothing and loses nothing.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { LogTarget } from "../../compiler/spec/logKeys.ts";
import { batches, MlflowKeys, mlflowKey } from "../../runtime/logs/mlflowNames.ts";
import { FakeMlflow } from "./fakeMlflow.ts";
import { LoggedFolder } from "./loggedRun.ts";

const PNG = Buffer.from("not looked at");
let server: FakeMlflow;
let run: LoggedFolder;

beforeEach(async () => {
  server = await FakeMlflow.start();
  run = new LoggedFolder();
});
afterEach(async () => {
  run[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

const target = (more: object = {}): { log_to: LogTarget[] } => ({
  log_to: [{ mlflow: { tracking_uri: server.uri, experiment_name: "animals", ...more } }],
});
const memory = (): string => readFileSync(join(run.directory, "sinks", "mlflow.json"), "utf8");

test("params, metrics by epoch and by step, notes, pictures and the spec arrive", async () => {
  const logs = await run.open(target());
  run.train(logs);
  logs.picture({ name: "kernels", epoch: 1, png: PNG });
  run.train(logs);
  expect(await logs.finish("finished")).toEqual([]);
  const [kept] = server.runs;
  expect([kept?.experiment, kept?.status, server.runs.length]).toEqual(["1", "FINISHED", 1]);
  expect(Object.fromEntries(kept?.params ?? [])).toMatchObject({ lr: "0.001", batch_size: "64" });
  expect(kept?.tags.get("mlflow.note.content")).toBe("**first** try");
  expect(kept?.tags.get("mlflow.runName")).toBe("first");
  expect(server.history(kept, "val/accuracy/species")).toEqual([
    [1, 0],
    [2, 0.5],
  ]);
  expect(server.history(kept, "step/lr").map(([step]) => step)).toEqual([2, 4, 6, 8]);
  expect(server.history(kept, "val/mae/größe _m_")).toHaveLength(2);
  const root = `1/${kept?.id}/artifacts`;
  expect([...server.artifacts.keys()]).toEqual([
    `${root}/spec.yml`,
    `${root}/pictures/kernels-epoch-0001.png`,
  ]);
  expect(server.artifacts.get(`${root}/pictures/kernels-epoch-0001.png`)?.equals(PNG)).toBe(true);
});

test("a resume goes on in the same run, and sends no figure twice", async () => {
  const first = await run.open(target());
  run.train(first);
  run.train(first, 3);
  await first.finish("interrupted");
  expect(server.runs[0]?.status).toBe("KILLED");
  const second = await run.open(target());
  run.train(second);
  run.train(second);
  await second.finish("finished");
  expect(server.runs.map(({ status }) => status)).toEqual(["FINISHED"]);
  expect(server.history(server.runs[0], "step/lr").map(([step]) => step)).toEqual([2, 4, 6, 8, 10, 12]);
  expect(server.history(server.runs[0], "lr").map(([epoch]) => epoch)).toEqual([1, 2, 3]);
});

test("a param that a resume changes becomes a tag, and figures from there on come again", async () => {
  const first = await run.open(target());
  run.train(first);
  run.train(first, 3);
  await first.finish("interrupted");
  const second = await run.open({ ...target(), lr: 0.5 });
  run.train(second);
  await second.finish("finished");
  const [kept] = server.runs;
  expect([kept?.params.get("lr"), kept?.tags.get("mttc.changed.lr")]).toEqual(["0.001", "0.5"]);
  expect(server.history(kept, "step/lr").map(([step]) => step)).toEqual([2, 4, 6, 6, 8]);
});

test("a run that was deleted there is begun anew, with all figures", async () => {
  const first = await run.open(target());
  run.train(first);
  await first.finish("interrupted");
  server.runs.length = 0;
  const second = await run.open(target());
  run.train(second);
  await second.finish("finished");
  expect(run.said.join()).toContain("is not there any more");
  expect(server.history(server.runs[0], "lr").map(([epoch]) => epoch)).toEqual([1, 2]);
  expect(server.history(server.runs[0], "step/lr").map(([step]) => step)).toEqual([2, 4, 6, 8]);
});

test("a server that is gone is told of once, and has all of it when it is there again", async () => {
  await server.leave();
  const logs = await run.open(target());
  run.train(logs);
  await vi.waitFor(() => expect(run.said).toHaveLength(1));
  expect(run.said[0]).toMatch(/^MLflow \(http.*no connection \(ECONNREFUSED\); training goes on/);
  run.train(logs);
  await server.listen();
  await vi.waitFor(() => expect(server.history(server.runs[0], "lr")).toHaveLength(2), { timeout: 5_000 });
  await logs.finish("finished");
  expect(run.said).toHaveLength(2);
  expect(run.said[1]).toContain("there again");
});

test.each([
  ["that is gone", undefined, "no connection"],
  ["that refuses", 503, "the server answers 503: out of order"],
  ["that knows nobody", 401, "answers 401"],
])("a server %s at the end costs a moment, and the next process catches up", async (_, status, reason) => {
  if (status === undefined) await server.leave();
  else server.mood = status;
  const logs = await run.open(target());
  run.train(logs);
  const began = performance.now();
  const [missing] = await logs.finish("finished");
  expect(performance.now() - began).toBeLessThan(4_000);
  expect(missing).toMatchObject({ sink: "mlflow", epochs: 1 });
  expect(missing?.reason).toContain(reason);
  expect(run.said.at(-1)).toMatch(/has not had 1 epoch: .*mttc log .* sends it$/);
  server.mood = "well";
  if (status === undefined) await server.listen();
  const second = await run.open(target());
  run.train(second);
  expect(await second.finish("finished")).toEqual([]);
  expect(server.history(server.runs[0], "lr").map(([epoch]) => epoch)).toEqual([1, 2]);
});

test("one that hangs keeps nobody: the end waits for a bounded time", async () => {
  server.mood = "hangs";
  const logs = await run.open(target());
  const began = performance.now();
  run.train(logs);
  expect(performance.now() - began).toBeLessThan(100);
  const [missing] = await logs.finish("interrupted");
  expect(performance.now() - began).toBeLessThan(8_000);
  expect(missing?.reason).toBe("not done within 5 s");
});

test("one that answers once more within a run goes on where it stopped", async () => {
  const logs = await run.open(target());
  run.train(logs);
  await vi.waitFor(() => expect(server.history(server.runs[0], "lr")).toHaveLength(1));
  server.mood = 500;
  run.train(logs);
  await vi.waitFor(() => expect(run.said).toHaveLength(1));
  server.mood = "well";
  await vi.waitFor(() => expect(server.history(server.runs[0], "lr")).toHaveLength(2), { timeout: 5_000 });
  await logs.finish("finished");
  expect(server.history(server.runs[0], "step/lr").map(([step]) => step)).toEqual([2, 4, 6, 8]);
});

test("what is no MLflow server is said to be none", async () => {
  const logs = await run.open({ log_to: [{ mlflow: { tracking_uri: `${server.uri}/elsewhere` } }] });
  const [missing] = await logs.finish("finished");
  expect(missing?.reason).toContain("404");
});

test("user and password go into a header, and into no file and no message", async () => {
  Object.assign(run.environment, { MLFLOW_TRACKING_USERNAME: "ada", MLFLOW_TRACKING_PASSWORD: "s3cret" });
  const logs = await run.open(target());
  run.train(logs);
  await logs.finish("finished");
  expect(new Set(server.authorizations)).toEqual(new Set([`Basic ${btoa("ada:s3cret")}`]));
  expect(memory()).not.toContain("s3cret");
  server.authorizations.length = 0;
  run.environment.MLFLOW_TRACKING_URI = server.uri.replace("//", "//eve:hidden@");
  delete run.environment.MLFLOW_TRACKING_USERNAME;
  server.mood = 403;
  const again = await run.open({ log_to: ["mlflow"] });
  const [missing] = await again.finish("finished");
  expect(new Set(server.authorizations)).toEqual(new Set([`Basic ${btoa("eve:hidden")}`]));
  expect(JSON.stringify([missing, run.said, memory()])).not.toMatch(/hidden|eve:/);
});

test("a token goes into a header", async () => {
  run.environment.MLFLOW_TRACKING_TOKEN = "t0ken";
  await (await run.open(target())).finish("finished");
  expect(server.authorizations[0]).toBe("Bearer t0ken");
});

test("a record of the sink that is damaged begins anew", async () => {
  const first = await run.open(target());
  run.train(first);
  await first.finish("interrupted");
  writeFileSync(join(run.directory, "sinks", "mlflow.json"), "{");
  const second = await run.open(target());
  await second.finish("finished");
  expect(server.history(server.runs[1], "lr")).toHaveLength(1);
});

test("many figures go in requests within the limits", async () => {
  const logs = await run.open({ ...target(), log_every: 1 });
  for (let epoch = 0; epoch < 120; epoch++) run.train(logs);
  expect(await logs.finish("finished")).toEqual([]);
  expect(server.history(server.runs[0], "step/lr")).toHaveLength(480);
});

test("a fast run makes few requests", async () => {
  const logs = await run.open(target());
  for (let epoch = 0; epoch < 50; epoch++) {
    run.train(logs);
    await sleep(1);
  }
  await logs.finish("finished");
  expect(server.requests.length).toBeLessThan(80);
});

test("names become keys that MLflow takes, and stay apart", () => {
  expect(mlflowKey("val/größe (m)/x:y")).toBe("val/größe _m_/x_y");
  expect(mlflowKey("a//b/../c/./d")).toBe("a/b/_/c/_/d");
  expect(mlflowKey("x".repeat(300))).toHaveLength(250);
  const keys = new MlflowKeys();
  expect(["a(", "a)", "a(", "a_"].map((name) => keys.of(name))).toEqual(["a_", "a__2", "a_", "a__3"]);
});

test("lists are cut by number and by bytes", () => {
  expect(batches([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]]);
  expect(batches([], 2)).toEqual([]);
  expect(batches(["x".repeat(600_000), "y".repeat(600_000)], 10)).toHaveLength(2);
});
