// Learning rates as functions of the step: against Keras and PyTorch in float64, and what is said of a
// schedule that the run has no steps for.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { scheduleFacts } from "../../compiler/inspect/scheduleFacts.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec, SpecInput } from "../../compiler/spec/schema.ts";
import { scheduleNotes } from "../../compiler/step/scheduleNotes.ts";
import { COSINE_WARMUP, isScheduled, learningRateAt, scheduleOf } from "../../compiler/step/schedules.ts";
import { SCHEDULE_FLOAT64 } from "../tolerances.ts";

interface Reference {
  readonly spec: Partial<SpecInput>;
  readonly steps: number;
  readonly source: string;
  readonly rates: readonly number[];
}

const FILE = join(import.meta.dirname, "..", "fixtures", "schedules", "rates.json");
const REFERENCES = JSON.parse(readFileSync(FILE, "utf8")) as readonly Reference[];

function specOf(keys: Partial<SpecInput>): Spec {
  return resolveSpec({ tasks: ["a"], fcn: { layers: [4] }, train_fcn: true, ...keys });
}

describe("learning rates", () => {
  test.each(REFERENCES.map((each) => [each.source, each.steps, each] as const))(
    "are those of %s over %i steps",
    (_source, steps, { spec, rates }) => {
      const schedule = scheduleOf(specOf(spec));
      expect(rates.length).toBeGreaterThan(1);
      rates.forEach((rate, step) => {
        expect(Math.abs(learningRateAt(schedule, step, steps) - rate), `step ${step}`).toBeLessThan(
          SCHEDULE_FLOAT64,
        );
      });
    },
  );

  test("rise from 0, and decays count from the end of the rise", () => {
    const [risen, plain] = [{ lr_decay: 10, warmup: 4 }, { lr_decay: 10 }].map((keys) =>
      scheduleOf(specOf({ lr: 0.4, ...keys })),
    );
    if (!risen || !plain) throw new Error("no schedules");
    [0, 0.1, 0.2, 0.3].forEach((rate, step) => {
      expect(Math.abs(learningRateAt(risen, step, 99) - rate)).toBeLessThan(SCHEDULE_FLOAT64);
    });
    for (let t = 0; t < 30; t++) expect(learningRateAt(risen, 4 + t, 99)).toBe(learningRateAt(plain, t, 99));
    expect(learningRateAt(scheduleOf(specOf({ lr: 0.4, warmup: 4 })), 1_000, 99)).toBe(0.4);
  });

  test("without any of the keys are constant, and the manifest says so as ever", () => {
    expect(scheduleOf(specOf({ lr: 0.5 }))).toEqual({ formula: "constant", value: 0.5 });
    expect(isScheduled(specOf({}))).toBe(false);
    expect(isScheduled(specOf({ decay_type: "cosine" }))).toBe(false);
    for (const keys of [{ warmup: 3 }, { lr_decay: 5 }, { one_cycle: true }] as const)
      expect(isScheduled(specOf(keys))).toBe(true);
  });

  test("of warmupcosine rise in 5000 steps where nobody says otherwise, as patchwork's", () => {
    const keys = { lr_decay: 10, decay_type: "warmupcosine" } as const;
    expect(scheduleOf(specOf(keys))).toMatchObject({ warmup: COSINE_WARMUP, least: 0.01 });
    expect(scheduleOf(specOf({ ...keys, warmup: 0 }))).toMatchObject({ warmup: 0 });
  });

  test("never pass lr, and stay finite far behind the run's end", () => {
    for (const { spec } of REFERENCES)
      for (const step of [0, 1, 59, 60, 61, 1e6, 1e9]) {
        const rate = learningRateAt(scheduleOf(specOf(spec)), step, 60);
        expect(rate >= 0 && rate <= 0.02, `${JSON.stringify(spec)} at ${step}: ${rate}`).toBe(true);
      }
  });
});

describe("a schedule that the run has no steps for", () => {
  const run = { totalSteps: 400, stepsPerEpoch: 40 };
  test.each<[Partial<SpecInput>, RegExp | undefined]>([
    [
      { warmup: 400 },
      /^warmup: 400 steps are not fewer than the run's 400 \(10 epochs of 40\): the rate comes to 0\.000998/,
    ],
    [{ warmup: 399 }, undefined],
    [{ lr_decay: 50, warmup: 900 }, /the rate comes to 0\.000443 of 0\.001 and no decay begins/],
    [
      { lr_decay: 50, decay_type: "warmupcosine" },
      /warmup: 5000 steps \(patchwork's for warmupcosine; the key warmup changes it\)/,
    ],
    [
      { lr_decay: 10_000 },
      /^lr_decay: 10000 steps are many beside the run's 400 .*: the rate ends at 0\.000973 of 0\.001$/,
    ],
    [{ lr_decay: 400 }, undefined],
    [{ lr_decay: 400, decay_type: "staircase" }, /the rate ends at 0\.001 of 0\.001/],
    [{ lr_decay: 399, decay_type: "staircase" }, undefined],
    [{ lr_decay: 800, decay_type: "cosine" }, /the cosine is cut off at a rate of 0\.000502/],
    [
      { lr_decay: 390, decay_type: "cosine" },
      /the cosine has just begun again when the run's 400 \(10 epochs of 40\) steps end: at a rate of 0\.001/,
    ],
    [{ lr_decay: 400, decay_type: "cosine" }, undefined],
    [
      { one_cycle: 900 },
      /^one_cycle: 900 steps are more than the run's 400 .*cut off at a rate of 0\.000899/,
    ],
    [{ one_cycle: 100 }, /^one_cycle: ends after 100 steps of the run's 400 .*the other 300 train at 4e-9/],
    [{ one_cycle: 400 }, undefined],
    [{ one_cycle: true }, undefined],
    [{}, undefined],
  ])("%j is told with its numbers, or not where it fits", (keys, said) => {
    const notes = scheduleNotes(specOf(keys), run);
    expect(notes).toHaveLength(said ? 1 : 0);
    if (said) expect(notes[0]).toMatch(said);
  });
});

describe("what inspect shows of a schedule", () => {
  test("are rates of steps of the run, its turns among them, and a course", () => {
    const facts = scheduleFacts(specOf({ one_cycle: true, lr: 1, batch_size: 10, epochs: 5 }), 95);
    expect(facts).toMatchObject({ totalSteps: 50, stepsPerEpoch: 10, notes: [] });
    const rateOf = new Map(facts?.rates.map(({ step, rate }) => [step, rate]));
    expect(Math.abs((rateOf.get(0) ?? 1) - 1 / 25)).toBeLessThan(SCHEDULE_FLOAT64);
    expect(rateOf.get(14)).toBe(1);
    expect(Math.abs((rateOf.get(49) ?? 1) - 1 / 25 / 1e4)).toBeLessThan(SCHEDULE_FLOAT64);
    expect(facts?.course).toHaveLength(48);
  });

  test("is nothing of a constant rate, and the formula of a cycle over a run of unknown length", () => {
    expect(scheduleFacts(specOf({}), 95)).toBeUndefined();
    const unknown = scheduleFacts(specOf({ one_cycle: true }), undefined);
    expect(unknown).toMatchObject({ schedule: { formula: "one_cycle", steps: "run" }, rates: [] });
  });

  test("without the labels are the steps of the formula itself", () => {
    const facts = scheduleFacts(specOf({ lr_decay: 100, decay_type: "cosine", warmup: 10 }), undefined);
    expect(facts?.totalSteps).toBeUndefined();
    expect(facts?.rates.map(({ step }) => step)).toEqual(expect.arrayContaining([0, 10, 110, 309]));
  });
});
