// What `npm run bench -- profile` makes of a profile, and what it refuses.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { PROJECT_ROOT } from "../../projectRoot.ts";
import { PEER_NETS } from "../peers/peerNets.ts";
import { originOf } from "./nodeOrigins.ts";
import { profileSteps } from "./profiledSteps.ts";
import { groupNodes, type ProfileEvent, runsOf, shapeKey, shapeText, summaryOf } from "./profileEvents.ts";

const CONV = "fcn.layers[0]/Conv";
const ADD = "optimizer(fcn.layers[0].kernel)/Add";

/** A run of 10 ms at `ts`, in ms: two convolutions of one shape, an Add of another. */
function runAt(ts: number, convMs: number, addMs: number): ProfileEvent[] {
  const event = (name: string, at: number, ms: number, cat = "Node"): ProfileEvent => ({
    ...{ cat, name, ts: (ts + at) * 1000, dur: ms * 1000 },
  });
  const shaped = (inputs: Record<string, number[]>[], op: string, node: ProfileEvent): ProfileEvent => ({
    ...node,
    args: { op_name: op, input_type_shape: inputs, output_type_shape: [{ float: [8, 4] }] },
  });
  const conv = [{ float: [8, 3] }, { float: [4, 3] }];
  return [
    shaped(conv, "Conv", event(`${CONV}_kernel_time`, 1, convMs)),
    shaped(conv, "Conv", event(`${CONV}:1_kernel_time`, 3, convMs)),
    shaped([{ int64: [] }], "Add", event(`${ADD}_kernel_time`, 5, addMs)),
    event(`${CONV}_fence_before`, 1, 0),
    event("SequentialExecutor::Execute", 0.5, 9, "Session"),
    // ORT writes what ends last, last.
    event("model_run", 0, 10, "Session"),
  ];
}

const PROFILE = [
  { cat: "Session", name: "session_initialization", ts: 0, dur: 5 },
  ...[runAt(10, 90, 90), runAt(30, 1, 3), runAt(50, 2, 1), runAt(70, 1.5, 1)].flat(),
];

test("of a profile's runs those after the warm-up count, and of them the medians", () => {
  const runs = runsOf(PROFILE, 1);
  expect(runs.map(({ nodes }) => nodes.map(({ ms }) => ms))).toEqual([
    [1, 1, 3],
    [2, 2, 1],
    [1.5, 1.5, 1],
  ]);
  expect(summaryOf(runs)).toEqual({ ms: 10, kernels: 5, walk: 5, nodes: 3 });
  const operators = groupNodes(runs, ({ operator }) => operator);
  expect(operators.map(({ key, ms, nodes }) => [key, ms, nodes])).toEqual([
    ["Conv", 3, 2],
    ["Add", 1, 1],
  ]);
});

test("nodes of one operator and the same shapes are one line, with the name of one", () => {
  const groups = groupNodes(runsOf(PROFILE, 1), shapeKey);
  expect(groups.map(({ example }) => [shapeText(example), example.name])).toEqual([
    ["Conv [8,3] [4,3] -> [8,4]", CONV],
    ["Add int64[] -> [8,4]", ADD],
  ]);
  const many = { operator: "Concat", inputs: Array.from({ length: 7 }, () => ({ float: [2] })), outputs: [] };
  expect(shapeText(many)).toBe("Concat [2] [2] [2] [2] and 3 more -> ");
});

test("a group that is absent from most runs counts nothing", () => {
  const runs = runsOf([...PROFILE, { ...runAt(70, 4, 4)[0]!, name: "late_kernel_time" }], 1);
  const late = groupNodes(runs, ({ name }) => name).find(({ key }) => key === "late");
  expect(late).toMatchObject({ ms: 0, nodes: 0 });
});

test.each([
  ["fcn.layers[0]/Conv:1", "forward", "fcn", "layers"],
  ["image/Cast", "forward", "image", "image"],
  ["fcn/node_conv2d_3/Conv_nchwc", "forward", "fcn", "node_conv2d"],
  [
    "fcn/node__native_batch_norm_legit_no_training_51__0/Sub:2",
    "forward",
    "fcn",
    "node__native_batch_norm_legit_no_training",
  ],
  ["fcn.0.1.running_mean/Mul", "forward", "fcn", "running_mean"],
  ["shared_layers[1].conv1/NchwcConv", "forward", "shared_layers", "conv1"],
  ["tasks.task0.dense/Gemm", "forward", "tasks.task0", "dense"],
  ["tasks.task0.loss/ReduceSum:3", "loss", "tasks.task0", "loss"],
  ["gradient(tasks.task0.loss)/Softmax", "gradient", "tasks.task0", "loss"],
  ["gradient(tasks.task0.task_layers[2])/Pad", "gradient", "tasks.task0", "task_layers"],
  ["gradient(fcn/node_conv2d_3)/NchwcConv", "gradient", "fcn", "node_conv2d"],
  ["gradient(fcn/node_conv2d_38)/MatMul:1/MatmulTransposeFusion/", "gradient", "fcn", "node_conv2d"],
  ["fcn/node_MatMul_7/MatMul/MatMulAddFusion/GemmTransposeFusion/", "forward", "fcn", "node_MatMul"],
  ["optimizer(shared_layers[0].kernel)/Add:2", "optimizer", "shared_layers", "kernel"],
  ["optimizer(tasks.task1.log_variance)/Where:2", "optimizer", "tasks.task1", "log_variance"],
  ["optimizer/Pow:1", "optimizer", "all", "all"],
  ["Transpose_token_12", "ONNX Runtime's own", "", "Transpose_token"],
])("%s is of the stage, part and kind that it begins with", (name, stage, part, kind) => {
  expect(originOf(name)).toEqual({ stage, part, kind });
});

test("ONNX Runtime's profile of a network's steps has its nodes, by name, operator and shape", async () => {
  const net = PEER_NETS.find(({ name }) => name === "demo")!;
  const settings = { models: PROJECT_ROOT, threads: 1, autotune: false, steps: 3 };
  const { events } = await profileSteps(net, settings);
  const runs = runsOf(events, 1);
  expect(runs).toHaveLength(2);
  const { ms, kernels, nodes } = summaryOf(runs);
  expect(kernels).toBeLessThan(ms);
  expect(kernels).toBeGreaterThan(ms / 10);
  expect(nodes).toBe(runs[0]?.nodes.length);
  const stages = groupNodes(runs, ({ name }) => originOf(name).stage).map(({ key }) => key);
  expect(stages).toEqual(expect.arrayContaining(["forward", "loss", "gradient", "optimizer"]));
  const pool = runs[0]?.nodes.find(({ name }) => name.startsWith("fcn.layers[1]/MaxPool"));
  expect(pool && shapeText(pool)).toMatch(/^MaxPool \[32,16,48,48\] -> \[32,16,24,24\]/);
});

test.each([
  [["reznet50"], /there is no "reznet50": did you mean "resnet50"/],
  [[], /which net\? one of: fcn, fcn-bn, demo/],
  [["demo", "--threads", "0"], /--threads: a count, found "0"/],
  [["demo", "--rows", "many"], /--rows: a count, found "many"/],
  [["demo", "fcn"], /too many arguments/],
  [["demo", "--fast"], /unknown option '--fast'/],
])("%j is refused by name, with exit code 2", async (args, message) => {
  const bench = join(PROJECT_ROOT, "dist", "test", "bench", "bench.js");
  const run = promisify(execFile)(process.execPath, [bench, "profile", ...args]);
  await expect(run).rejects.toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
});
