// What `npm run bench -- peers` computes from its measurements, what it refuses, and what it tells its
// processes.
import { expect, test } from "vitest";
import { resolveSpec } from "../../../compiler/spec/parseSpec.ts";
import { PEER_NETS, peerSpec, trunksOf } from "./peerNets.ts";
import {
  fastest,
  loadFault,
  lossesAgree,
  QUIET,
  ratioOfRuns,
  ratiosOf,
  spreadOf,
  stepsFor,
} from "./peerNumbers.ts";
import { StepChild } from "./stepChild.ts";
import { hashedBytes, stepBatch } from "./stepData.ts";

test("ratios are PyTorch / mttc of neighbouring blocks: one slow pair does not move them", () => {
  const slow = { torch: 500, mttc: 100 };
  const pairs = [{ torch: 30, mttc: 20 }, slow, { torch: 60, mttc: 40 }, { torch: 15, mttc: 10 }];
  expect(ratiosOf(pairs).middle).toBe(1.5);
  expect(spreadOf([4, 1, 3, 2, 5])).toEqual({ low: 2, middle: 3, high: 4 });
});

test("of several runs the median of their ratios counts, with the spread of all blocks", () => {
  const run = (...ratios: number[]) => ratios.map((torch) => ({ torch, mttc: 1 }));
  const { low, middle, high } = ratioOfRuns([run(1, 1, 1), run(2, 2, 2), run(9, 9, 9)]);
  expect([low, middle, high]).toEqual([1, 2, 9]);
});

test("a block lasts as long as wanted, and takes two steps at least", () => {
  expect(stepsFor(1000, 30)).toBe(34);
  expect(stepsFor(1000, 5000)).toBe(2);
});

test("the fastest setting is taken, the first of equal ones", () => {
  const trials = [3, 1, 2, 1].map((stepMs, place) => ({ stepMs, place }));
  expect(fastest(trials)).toEqual({ stepMs: 1, place: 1 });
  expect(fastest([])).toBeUndefined();
});

test("a busy machine is refused, with what was seen", () => {
  expect(loadFault({ cores: 2, load: 0.3, busy: 0.02 })).toBeUndefined();
  expect(loadFault({ cores: 2, load: 0.3, busy: 0.71 })).toMatch(/took 71 % of 2 cores/);
  expect(loadFault({ cores: 2, load: 1.6, busy: 0 })).toMatch(
    /load of the last minute is 1.60, more than 1.50/,
  );
  expect(loadFault({ cores: 64, load: 64 * QUIET.load, busy: QUIET.busy })).toBeUndefined();
});

test("sides whose losses differ, are missing or are no numbers are no peers", () => {
  const agree = (a: number[][], b: number[][]) => lossesAgree(a, b, { loss: 0.01, change: 0.1 });
  expect(agree([[2], [1]], [[2.01], [1.05]])).toBe(true);
  expect(agree([[2], [1]], [[2.1], [1]])).toBe(false);
  expect(agree([[2], [1]], [[2], [1.2]])).toBe(false);
  // One that does not update is found, however little the losses change.
  expect(agree([[2], [1.9]], [[2], [2]])).toBe(false);
  expect(agree([[2, 3]], [[2]])).toBe(false);
  expect(agree([[2]], [[2], [1]])).toBe(false);
  expect(agree([[Number.NaN]], [[Number.NaN]])).toBe(false);
  expect(agree([], [])).toBe(false);
});

test("every network is a valid spec, and imports the trunks that are exported", () => {
  for (const net of PEER_NETS) {
    const spec = resolveSpec(peerSpec(net, "models"));
    expect(spec.batch_size).toBe(net.batch);
    expect("path" in spec.fcn).toBe(net.trunk !== null);
  }
  expect(PEER_NETS).toHaveLength(9);
  const trunks = ["resnet18", "resnet50", "mobilenet_v2", "efficientnet_b0", "convnext_tiny"];
  expect(trunksOf(PEER_NETS)).toEqual(trunks);
});

test("batches hold bytes of all values and labels of all classes, with holes", () => {
  const bytes = hashedBytes(100_000);
  expect(new Set(bytes).size).toBe(256);
  // Pinned: peer_steps.py computes the same.
  expect([...bytes.subarray(0, 4)]).toEqual([0, 4, 165, 14]);
  const [net] = PEER_NETS;
  const labels = [...stepBatch(net!).labels.values()][0]!;
  expect(labels.filter((label) => label === -1n)).toHaveLength(6);
  expect(labels.every((label) => label >= -1n && label < 10n)).toBe(true);
});

test("a process that ends in place of an answer is told with its last words", async () => {
  await using child = new StepChild(process.execPath, [
    "-e",
    "console.error('no torch here'); process.exit(3)",
  ]);
  await expect(child.open({})).rejects.toThrow(/no torch here/);
});

test("a process answers line by line, and is stopped in between", async () => {
  const script = `process.stdin.on("data", () => console.log('{"losses":[1]}'))`;
  await using child = new StepChild(process.execPath, ["-e", script]);
  const { losses, openMs } = await child.open({});
  expect(losses).toEqual([1]);
  expect(openMs).toBeGreaterThan(0);
  expect(await child.ask({})).toEqual({ losses: [1] });
});
