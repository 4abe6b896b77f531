// Event files hold what was logged, read by a decoder that shares nothing with what writes them: frames and
// checksums, figures by epoch and by step, pictures, notes, hyperparameters; what a resume supersedes.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { crc32c, EventFile } from "../../runtime/logs/eventFile.ts";
import { readEvents } from "../../runtime/logs/eventLog.ts";
import { newestPictures } from "../../runtime/logs/pictures.ts";
import { eventFiles, readRecords, readValues, scalarsOf } from "./eventReader.ts";
import { LoggedFolder, STEPS } from "./loggedRun.ts";

const TENSORBOARD = { log_to: ["tensorboard" as const] };
/** One pixel. */
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);

test("CRC-32C has the value that its catalogue gives", () => {
  expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
});

test("a run's figures, pictures, notes and hyperparameters are in its event files", async () => {
  using run = new LoggedFolder();
  const logs = await run.open(TENSORBOARD);
  logs.picture({ name: "kernels", epoch: 0, png: PNG });
  run.train(logs);
  logs.picture({ name: "confusion/größe (m)", epoch: 1, png: PNG });
  run.train(logs);
  expect(await logs.finish("finished")).toEqual([]);
  const { directory } = run;
  expect(scalarsOf(directory, "val/accuracy/species")).toEqual([
    [STEPS, 0],
    [2 * STEPS, 0.5],
  ]);
  expect(scalarsOf(directory, "epoch").map(([, value]) => value)).toEqual([1, 2]);
  const steps = join(directory, "steps");
  expect(scalarsOf(steps, "lr").map(([step]) => step)).toEqual([2, 4, 6, 8]);
  expect(scalarsOf(steps, "train/loss/species").map(([, loss]) => Number(loss.toFixed(6)))).toEqual([
    ...[0.75, 0.291667, 0.183333, 0.133929],
  ]);
  const values = readValues(directory);
  const pictures = values.filter(({ plugin }) => plugin === "images");
  expect(pictures.map(({ tag, step }) => [tag, step])).toEqual([
    ["kernels", 0],
    ["confusion/größe (m)", STEPS],
  ]);
  expect(pictures[0]?.strings.map((text, i) => (i < 2 ? text.toString() : text.equals(PNG)))).toEqual([
    ...["1", "1", true],
  ]);
  const notes = values.find(({ tag }) => tag === "notes");
  expect([notes?.plugin, notes?.strings[0]?.toString()]).toEqual(["text", "**first** try"]);
  expect(values.find(({ tag }) => tag === "spec")?.strings[0]?.toString()).toContain("batch_size: 64");
  const start = values.find(({ tag }) => tag === "_hparams_/session_start_info");
  expect([start?.plugin, start?.content?.includes("batch_size")]).toEqual(["hparams", true]);
  // Flags that are false and numbers that are 0 are values, too: key, then a value of one field.
  expect(start?.content?.includes(Buffer.from("\x0a\x09batchnorm\x12\x02\x20\x00"))).toBe(true);
  expect(values.some(({ tag }) => tag === "_hparams_/session_end_info")).toBe(true);
});

test("what is drawn at the end of an epoch, before its report, is of that epoch", async () => {
  using run = new LoggedFolder();
  const logs = await run.open(TENSORBOARD);
  run.train(logs);
  const picture = (epoch: number): void => logs.picture({ name: "kernels", epoch, png: PNG });
  run.train(logs, STEPS, () => picture(2));
  picture(2);
  picture(1);
  await logs.finish("finished");
  const pictures = readValues(run.directory).filter(({ plugin }) => plugin === "images");
  expect(pictures.map(({ step }) => step).toSorted()).toEqual([STEPS, 2 * STEPS, 2 * STEPS]);
});

test("pictures are kept in the run's folder under names of files", async () => {
  using run = new LoggedFolder();
  const logs = await run.open({});
  logs.picture({ name: "../confusion/größe (m)", epoch: 3, png: PNG });
  logs.picture({ name: "../confusion/größe (m)", epoch: 12, png: PNG });
  await logs.finish("finished");
  expect(readdirSync(join(run.directory, "pictures"))).toEqual([
    ...["confusion-größe-m--epoch-0003.png", "confusion-größe-m--epoch-0012.png"],
  ]);
  const newest = await newestPictures(run.directory);
  expect(newest.map(({ name, epoch }) => [name, epoch])).toEqual([["../confusion/größe (m)", 12]]);
  expect(readFileSync(join(run.directory, newest[0]?.file ?? "")).equals(PNG)).toBe(true);
});

test("vectors lie beside the list that the projector reads", async () => {
  using run = new LoggedFolder();
  const logs = await run.open(TENSORBOARD);
  const rows = {
    columns: ["file", "species"],
    values: [
      ["a\tb.png", "cat"],
      ["c.png", ""],
    ],
  };
  const vectors = Float32Array.of(0.1, 2, 1e-9, -3);
  logs.embedding({ name: 'fcn "x"', epoch: 0, vectors, width: 2, rows, sprite: { png: PNG, side: 50 } });
  await logs.finish("finished");
  const text = (...path: string[]): string => readFileSync(join(run.directory, ...path), "utf8");
  expect(text("projector", "fcn-x-", "tensors.tsv")).toBe("0.1\t2\n1e-9\t-3\n");
  expect(text("projector", "fcn-x-", "metadata.tsv")).toBe("file\tspecies\na b.png\tcat\nc.png\t\n");
  expect(text("projector_config.pbtxt")).toContain('tensor_name: "fcn \\"x\\""\n  tensor_shape: 2');
});

test("what a resume supersedes is not shown, and nothing is there twice", async () => {
  using run = new LoggedFolder();
  const first = await run.open(TENSORBOARD);
  run.train(first);
  run.train(first, 3);
  await first.finish("interrupted");
  // Killed: its checkpoint is that of the first epoch.
  const second = await run.open(TENSORBOARD);
  run.train(second);
  await second.finish("finished");
  const steps = join(run.directory, "steps");
  expect(scalarsOf(steps, "lr").map(([step]) => step)).toEqual([2, 4, 6, 8]);
  expect(scalarsOf(run.directory, "epoch")).toEqual([
    [4, 1],
    [8, 2],
  ]);
  expect(eventFiles(run.directory)).toHaveLength(2);
  expect(readValues(run.directory).filter(({ tag }) => tag === "notes")).toHaveLength(1);
});

test("one that is gone on with in the middle of an epoch has all its steps", async () => {
  using run = new LoggedFolder();
  const first = await run.open(TENSORBOARD);
  run.train(first, 2);
  await first.finish("interrupted");
  run.begun = { step: 2, sums: {} };
  const second = await run.open(TENSORBOARD);
  run.train(second);
  await second.finish("finished");
  expect(scalarsOf(join(run.directory, "steps"), "lr").map(([step]) => step)).toEqual([2, 4]);
});

test("event files that were taken away come again, whole", async () => {
  using run = new LoggedFolder();
  const first = await run.open({});
  run.train(first);
  await first.finish("finished");
  // The sink is named later.
  const second = await run.open(TENSORBOARD);
  run.train(second);
  await second.finish("finished");
  expect(scalarsOf(run.directory, "epoch").map(([, epoch]) => epoch)).toEqual([1, 2]);
  expect(scalarsOf(join(run.directory, "steps"), "lr").map(([step]) => step)).toEqual([2, 4, 6, 8]);
});

test("a log by step that was cut is mended before it is gone on with", async () => {
  using run = new LoggedFolder();
  const first = await run.open({});
  run.train(first);
  await first.finish("finished");
  const file = join(run.directory, "events.jsonl");
  const whole = readFileSync(file, "utf8");
  writeFileSync(file, `${whole}{"kind":"step","epo`);
  await (await run.open({})).finish("finished");
  expect(readFileSync(file, "utf8")).toBe(whole);
});

test("the log by step waits for a disk that takes it again, and loses nothing", async () => {
  using run = new LoggedFolder();
  const file = join(run.directory, "events.jsonl");
  const logs = await run.open({});
  mkdirSync(file);
  run.train(logs, 2);
  await vi.waitFor(() => expect(run.said.join()).toContain("the log by step is behind"));
  rmSync(file, { recursive: true });
  run.begun = { step: 2, sums: {} };
  run.train(logs);
  await logs.finish("finished");
  expect(run.said).toHaveLength(1);
  expect((await readEvents(run.directory)).map(({ at }) => at)).toEqual([2, 4]);
});

test("a write that fails leaves a file of whole records", async () => {
  using run = new LoggedFolder();
  const file = await EventFile.create(run.directory, 1, []);
  await file.append([{ wallTime: 1, step: 1, summary: { value: [{ tag: "a", simpleValue: 1 }] } }]);
  await file.close();
  await expect(file.append([{ wallTime: 2, step: 2 }])).rejects.toThrow();
  const [path = ""] = eventFiles(run.directory);
  expect(readRecords(readFileSync(path))).toHaveLength(2);
});
