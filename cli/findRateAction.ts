// What `mttc train SPEC --find-lr` does: a short training whose rate rises, a picture of its loss, and the
// rate that it proposes. Nothing of it is kept but the picture.
import { join, resolve } from "node:path";
import { MttcError } from "../compiler/diagnostics.ts";
import { PNG_MARK } from "../runtime/drawing/pngMark.ts";
import { drawRateSheet } from "../runtime/drawing/rateSheet.ts";
import { writeFileAtomically } from "../runtime/files/atomicDirectory.ts";
import { refuseForeignFile } from "../runtime/files/ownOutput.ts";
import type { Experiment } from "../runtime/train/experiment.ts";
import { type RateTest, testRates } from "../runtime/train/rateTest.ts";
import { TrainingSession } from "../runtime/train/trainingSession.ts";
import { interruptSignal } from "./interruptSignal.ts";
import { shownPath } from "./pathText.ts";
import { type RuntimeFlags, runtimeOptions } from "./runtimeOptions.ts";
import { renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

const [LOW, HIGH, STEPS] = [1e-6, 1, 120];
const SHEET = "find-lr.png";
const SAID_EVERY = 20;

/** Tests rates on the experiment that `file` holds; the picture lies beside the spec. */
export async function findRate(
  file: string,
  experiment: Experiment,
  flags: RuntimeFlags & { readonly json?: boolean },
  terminal: Terminal,
): Promise<void> {
  const sheet = join(experiment.baseDirectory, SHEET);
  await refuseForeignFile(sheet, PNG_MARK);
  const { signal, stop } = interruptSignal(terminal, "stopping: nothing is kept of a test of rates");
  try {
    const test = await testOf(experiment, flags, terminal, signal);
    if (signal.aborted)
      throw new MttcError({ code: "E_INTERRUPTED", message: "interrupted; nothing is written" });
    const { points, proposal } = test;
    await writeFileAtomically(
      sheet,
      await drawRateSheet({ points, proposed: proposal?.rate }, shownPath(resolve(file))),
    );
    if (flags.json) terminal.out(JSON.stringify(test));
    else terminal.out(closingText(test, experiment, sheet, terminal));
  } finally {
    stop();
  }
}

async function testOf(
  experiment: Experiment,
  flags: RuntimeFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<RateTest> {
  const { spec } = experiment;
  const unkept = { ...experiment, spec: { ...spec, logdir: null } };
  const options = { ...runtimeOptions(flags), existing: false, trains: true };
  await using session = await TrainingSession.open(unkept, options);
  for (const message of session.warnings) terminal.note(message);
  await session.checkTraining();
  const log = (message: string): void => terminal.note(message);
  await session.checkImages({ log, signal });
  await session.prepareInputs({ log, signal, epochsLeft: 1 });
  const onStep = (step: number, rate: number, loss: number): void => {
    if (step % SAID_EVERY === 0)
      terminal.note(`step ${step} of ${STEPS}: lr ${rate.toExponential(1)}, loss ${loss.toFixed(3)}`);
  };
  return await testRates(session, { low: LOW, high: HIGH, steps: STEPS, signal, onStep });
}

function closingText(
  { points, broke, proposal }: RateTest,
  { spec }: Experiment,
  sheet: string,
  terminal: Terminal,
) {
  const range = `${points.length} steps with rates from ${LOW} to ${points.at(-1)?.rate.toPrecision(2)}`;
  const end = broke ? ", where the loss broke" : "";
  const picture = `Picture: ${shownPath(sheet)}`;
  if (!proposal) return [`${range}${end}: the loss never fell, and no rate is proposed.`, picture].join("\n");
  const rows = [
    ["where half of the descent is done (proposed)", String(proposal.rate)],
    ["where the loss falls fastest", String(proposal.steepest)],
    ["a tenth of the rate of the least loss", String(proposal.tenthOfLeast)],
  ];
  return [
    `${range}${end}.`,
    renderTable(terminal, ["rate", "lr"], rows, [1]),
    picture,
    `The spec has lr: ${spec.lr}. To take the proposal, write`,
    `  lr: ${proposal.rate}`,
  ].join("\n");
}
