// What `npm run bench -- peers` computes from its measurements, what it refuses, and what it tells its
// processes.
import { expect, test } from "vitest";
import { resolveSpec } from "../../../compiler/spec/parseSpec.ts";
import { interleave, pairsOf, winnerOf } from "./interleaving.ts";
import { PEER_NETS, peerSpec, trunksOf } from "./peerNets.ts";
import {
  fastest,
  finalists,
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

test("the two fastest settings go on, each once, and none that is far off", () => {
  const trial = (threads: number, stepMs: number) => ({ setting: { threads }, stepMs });
  expect(finalists([trial(1, 30), trial(2, 20), trial(2, 21), trial(4, 25)])).toEqual([
    { threads: 2 },
    { threads: 4 },
  ]);
  expect(finalists([trial(1, 100), trial(2, 20)])).toEqual([{ threads: 2 }]);
  expect(finalists([])).toEqual([]);
});

test("of a side's settings the one counts whose blocks took least in all runs", () => {
  const blocks = (...stepMs: number[]) => ({ stepMs, openMs: 1, peakBytes: 1 });
  const [steady, lucky] = [blocks(5, 5, 5), blocks(4, 9, 9)];
  expect(winnerOf([[lucky, steady]])).toBe(1);
  expect(
    winnerOf([
      [blocks(4, 4, 4), steady],
      [blocks(4, 4, 4), steady],
    ]),
  ).toBe(0);
  expect(pairsOf(lucky, steady)).toEqual([4, 9, 9].map((torch) => ({ torch, mttc: 5 })));
});

test("blocks of all contestants alternate, and each begins with a step that does not count", async () => {
  const script = `process.stdin.on("data", (text) => {
    const { command, count, ms } = JSON.parse(text);
    if (command === "open") { globalThis.ms = ms; console.log('{"losses":[1]}'); }
    if (command === "memory") console.log('{"peakBytes":7}');
    if (command === "steps") {
      const milliseconds = Array.from({ length: count }, (_, i) => (i === 0 ? 1000 : globalThis.ms));
      console.log(JSON.stringify({ milliseconds, losses: [] }));
    }
  })`;
  const contestants = [30, 20].map((ms) => ({
    setting: ms,
    start: () => new StepChild(process.execPath, ["-e", script]),
    request: { ms },
  }));
  const { blocks } = await interleave(contestants, { count: 3, blockMs: 100 });
  expect(blocks.map(({ stepMs }) => stepMs)).toEqual([
    [30, 30, 30],
    [20, 20, 20],
  ]);
  expect(blocks.map(({ peakBytes }) => peakBytes)).toEqual([7, 7]);
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
