// What runs that combine gradients tell: cosines, norms and weights by step and as means of epochs, the same
// in micro-batches, cut and gone on with; a sum tells them where it is to measure, and trains the same
// as one that is not. The report says which tasks fight.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeReport } from "../../runtime/report/runReport.ts";
import type { EpochReport, StepEvent } from "../../runtime/train/events.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { FLOAT32_STEP_LOSS, WEIGHT_FLOAT64 } from "../tolerances.ts";
import { patternOptions, writePatternImages } from "./patternImages.ts";

let folder: string;
let options: TrainerOptions;
const NAMES = ["cosine/hue/stripes", "gradient_norm/hue", "gradient_norm/stripes"] as const;
const CONFLICT = "conflict/hue/stripes";
const WEIGHTS = ["combine_weight/hue", "combine_weight/stripes"] as const;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-gradients-"));
  const rows = await writePatternImages(join(folder, "images"), 40);
  options = {
    ...patternOptions(rows, 28),
    ...{ task_weights: null, batchnorm: false, shared_layers: [6], lr: 0.01, log_every: 1 },
  };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Ended {
  readonly history: readonly EpochReport[];
  readonly events: readonly StepEvent[];
  readonly log: readonly Record<string, unknown>[];
}

async function trainTo(
  name: string,
  more: Partial<TrainerOptions>,
  stopAt = 0,
  resume = false,
): Promise<Ended> {
  const logdir = join(folder, name);
  await using trainer = new MultiTaskTrainer({ ...options, ...more, logdir });
  const [events, abort]: [StepEvent[], AbortController] = [[], new AbortController()];
  trainer.on("step", (event) => {
    events.push(event);
    if (events.length === stopAt) abort.abort();
  });
  const fit = trainer.fit(2, { resume, signal: abort.signal });
  if (stopAt === 0) await fit;
  else expect((await faultsOfAsync(() => fit))[0]?.code).toBe("E_INTERRUPTED");
  const text = stopAt === 0 ? await readFile(join(logdir, "log.jsonl"), "utf8") : "";
  const log = text
    .trim()
    .split("\n")
    .flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
  return { history: [...trainer.history], events, log };
}

const figuresOf = ({ scalars = {} }: Pick<StepEvent, "scalars">, names: readonly string[]) =>
  names.map((name) => scalars[name] ?? Number.NaN);

test("a run by upgrad tells cosines, norms and weights, and goes on with them", async () => {
  const more = { combine: "upgrad" } as const;
  const { events, history, log } = await trainTo("whole", more);
  for (const event of events) {
    const [cosine = 2, ...norms] = figuresOf(event, NAMES);
    expect(Math.abs(cosine)).toBeLessThanOrEqual(1);
    expect(figuresOf(event, [CONFLICT])).toEqual([cosine < 0 ? 1 : 0]);
    for (const norm of norms) expect(norm).toBeGreaterThan(0);
    for (const weight of figuresOf(event, WEIGHTS)) expect(weight).toBeGreaterThan(0);
  }
  expect(new Set(events.map((event) => figuresOf(event, NAMES)[0])).size).toBe(events.length);
  for (const [i, report] of history.entries()) {
    const ofEpoch = events.filter(({ epoch }) => epoch === i + 1);
    for (const name of [...NAMES, CONFLICT, ...WEIGHTS]) {
      const mean =
        ofEpoch.reduce((sum, event) => sum + (event.scalars?.[name] ?? Number.NaN), 0) / ofEpoch.length;
      expect(Math.abs((report.scalars?.[name] ?? Number.NaN) - mean), name).toBeLessThan(WEIGHT_FLOAT64);
      expect((log[i]?.scalars as Record<string, number> | undefined)?.[name], name).toBe(
        report.scalars?.[name],
      );
    }
  }
  await trainTo("cut", more, 6);
  const rest = await trainTo("cut", more, 0, true);
  const all = [...NAMES, CONFLICT, ...WEIGHTS];
  expect(rest.history.map((report) => figuresOf(report, all))).toEqual(
    history.map((report) => figuresOf(report, all)),
  );
  const { path } = await writeReport(join(folder, "whole"), { seconds: 0 });
  const page = await readFile(path, "utf8");
  for (const words of [
    "Which tasks fight",
    "hue",
    "mean cosine",
    "of the steps",
    "weights of the combination",
  ])
    expect(page).toContain(words);
}, 240_000);

test("micro-batches tell the gradients of their whole batch", async () => {
  const [whole, parts] = [
    await trainTo("measured", { combine: { method: "sum", measure: true } }),
    await trainTo("parts", { combine: { method: "sum", measure: true }, accumulate: 2 }),
  ];
  for (const [i, event] of whole.events.entries()) {
    const [wanted, found] = [figuresOf(event, NAMES), figuresOf(parts.events[i] ?? {}, NAMES)];
    for (const [k, value] of wanted.entries())
      expect(Math.abs((found[k] ?? 0) - value) / Math.max(1, Math.abs(value))).toBeLessThan(
        FLOAT32_STEP_LOSS,
      );
    expect(figuresOf(event, WEIGHTS)).toEqual([1, 1]);
  }
  const plain = await trainTo("plain", { combine: "sum" });
  expect(NAMES.filter((name) => name in (plain.history[1]?.scalars ?? {}))).toEqual([]);
  for (const [task, loss] of Object.entries(whole.history[1]?.trainLoss ?? {}))
    expect(Math.abs(loss - (plain.history[1]?.trainLoss[task] ?? 0))).toBeLessThan(FLOAT32_STEP_LOSS);
}, 240_000);

test.each(["dwa", "rlw"] as const)(
  "%s measured tells gradients beside its factors, and trains the same",
  async (method) => {
    const measured = { combine: { method, measure: true } } as const;
    const [whole, parts, plain] = [
      await trainTo(`measured-${method}`, measured),
      await trainTo(`measured-${method}-parts`, { ...measured, accumulate: 2 }),
      await trainTo(`plain-${method}`, { combine: method }),
    ];
    expect(whole.events.length).toBe(plain.events.length);
    for (const [i, event] of whole.events.entries()) {
      const [cosine = 2, ...norms] = figuresOf(event, NAMES);
      expect(Math.abs(cosine)).toBeLessThanOrEqual(1);
      for (const norm of norms) expect(norm).toBeGreaterThan(0);
      // The host's, and not the 1 that gradients are added with.
      for (const other of [plain, parts])
        expect(figuresOf(event, WEIGHTS)).toEqual(figuresOf(other.events[i] ?? {}, WEIGHTS));
      for (const [k, value] of figuresOf(event, NAMES).entries())
        expect(Math.abs((figuresOf(parts.events[i] ?? {}, NAMES)[k] ?? 0) - value)).toBeLessThan(
          FLOAT32_STEP_LOSS * Math.max(1, Math.abs(value)),
        );
    }
    if (method === "rlw") expect(figuresOf(whole.events[0] ?? {}, WEIGHTS)).not.toEqual([1, 1]);
    expect(NAMES.filter((name) => name in (plain.history[1]?.scalars ?? {}))).toEqual([]);
    for (const [task, loss] of Object.entries(whole.history[1]?.trainLoss ?? {}))
      expect(Math.abs(loss - (plain.history[1]?.trainLoss[task] ?? 0))).toBeLessThan(FLOAT32_STEP_LOSS);
  },
  240_000,
);
