// The ONNX Runtime thread from the main thread's side: graphs, tensors, bindings, steps, errors,
// measurements. Needs dist/runtime/ort/worker.js (`npm run build`).
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DATA_LOCATION } from "../../compiler/codec/onnxSchema.ts";
import { InternalError } from "../../compiler/diagnostics.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import { IDLE_OPTIMIZERS } from "../../runtime/ort/session.ts";
import { LEAK_BYTES, STEP_ROUND_TRIP_MS } from "../tolerances.ts";
import { rejection } from "./rejection.ts";
import { addModel, longModel, tinyModel } from "./tinyModel.ts";

const float32 = "float32" as const;
let host: OrtHost;
beforeAll(async () => {
  host = await OrtHost.start({ intraOpThreads: 1 });
});
afterAll(() => host.close());

/** Opens the adding graph with tensors a, b, c of its own, bound under the graph's name. */
async function openAdder(graph: string): Promise<void> {
  await host.openGraph(graph, { bytes: addModel() });
  await host.allocate([
    { id: `${graph}.a`, dtype: float32, shape: [2, 4] },
    { id: `${graph}.b`, dtype: float32, shape: [4] },
    { id: `${graph}.c`, dtype: float32, shape: [2, 4] },
  ]);
  const io = { inputs: { a: `${graph}.a`, b: `${graph}.b` }, outputs: { c: `${graph}.c` } };
  await host.bind(graph, graph, io);
}

describe("graphs", () => {
  test("inputs and outputs are listed with names, dtypes and symbols", async () => {
    expect(await host.openGraph("listed", { bytes: addModel() })).toEqual({
      inputs: [
        { name: "a", dtype: "float32", shape: ["N", 4] },
        { name: "b", dtype: "float32", shape: [4] },
      ],
      outputs: [{ name: "c", dtype: "float32", shape: ["N", 4] }],
    });
    expect(host.version).toMatch(/^1\.\d+\.\d+/);
  });

  test("a model with external data is opened by its path, and its profile names the nodes", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "mttc-ort-"));
    try {
      writeFileSync(path.join(folder, "constants.bin"), new Float32Array([10, 20, 30]));
      const externalData = [
        { key: "location", value: "constants.bin" },
        { key: "offset", value: "4" },
        { key: "length", value: "8" },
      ];
      const constant = {
        name: "w",
        dims: [2],
        dataType: 1,
        dataLocation: DATA_LOCATION.external,
        externalData,
      };
      const node = { op: "Mul", name: "fcn/Mul", input: ["x", "w"], output: ["y"] };
      const bytes = tinyModel([node], [["x", float32, [2]]], [["y", float32, [2]]], [constant]);
      const file = path.join(folder, "model.onnx");
      writeFileSync(file, bytes);
      await host.openGraph("external", { path: file }, { profilePrefix: path.join(folder, "profile") });
      const x = { dtype: float32, shape: [2], data: new Float32Array([1, 2]) };
      expect((await host.run("external", { x })).get("y")?.data).toEqual(new Float32Array([20, 60]));
      const profile = await host.closeGraph("external");
      expect(readFileSync(profile ?? "", "utf8")).toContain("fcn/Mul");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("a graph's nodes are fused: of the optimizers only those are left out that find nothing", async () => {
    for (const op of OPS.keys()) expect(op).not.toMatch(/Quantize|Integer|NBits|Attention|Embed/);
    for (const name of IDLE_OPTIMIZERS)
      expect(name).toMatch(
        /Q(DQ|uant)|Quantiz|DQ|Dq|Integer|NBits|GroupQuery|EmbedLayer|FreeDimension|ConstantSharing/,
      );
    const folder = mkdtempSync(path.join(tmpdir(), "mttc-ort-"));
    try {
      const nodes = [
        { op: "Conv", input: ["x", "w"], output: ["h"] },
        { op: "Relu", input: ["h"], output: ["y"] },
      ];
      const shape = [1, 3, 4, 4];
      const inputs = [
        ["x", float32, shape],
        ["w", float32, [3, 3, 1, 1]],
      ] as const;
      const options = { profilePrefix: path.join(folder, "profile") };
      await host.openGraph("fused", { bytes: tinyModel(nodes, inputs, [["y", float32, shape]]) }, options);
      const tensor = (sizes: number[]) => {
        const count = sizes.reduce((product, size) => product * size, 1);
        return { dtype: float32, shape: sizes, data: new Float32Array(count) };
      };
      await host.run("fused", { x: tensor(shape), w: tensor([3, 3, 1, 1]) });
      expect(readFileSync((await host.closeGraph("fused")) ?? "", "utf8")).toContain("FusedConv");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("run takes any batch size and returns the wanted outputs of every dtype", async () => {
    const dtypes = ["float32", "float64", "float16", "uint8", "int32", "int64", "bool"] as const;
    const nodes = dtypes.map((d) => ({ op: "Identity", name: d, input: [d], output: [`${d}.out`] }));
    const borders = (suffix: string) => dtypes.map((d) => [`${d}${suffix}`, d, ["N"]] as const);
    await host.openGraph("copies", { bytes: tinyModel(nodes, borders(""), borders(".out")) });
    const feeds = {
      float32: { dtype: dtypes[0], shape: [2], data: new Float32Array([1.5, -2]) },
      float64: { dtype: dtypes[1], shape: [2], data: new Float64Array([0.1, -2]) },
      float16: { dtype: dtypes[2], shape: [2], data: new Uint16Array([0x3c00, 0xc000]) },
      uint8: { dtype: dtypes[3], shape: [2], data: new Uint8Array([0, 255]) },
      int32: { dtype: dtypes[4], shape: [2], data: new Int32Array([-1, 2 ** 30]) },
      int64: { dtype: dtypes[5], shape: [2], data: new BigInt64Array([-1n, 2n ** 60n]) },
      bool: { dtype: dtypes[6], shape: [2], data: new Uint8Array([0, 1]) },
    };
    const all = await host.run("copies", feeds);
    for (const dtype of dtypes) expect(all.get(`${dtype}.out`)).toEqual(feeds[dtype]);
    expect([...(await host.run("copies", feeds, ["bool.out"])).keys()]).toEqual(["bool.out"]);
    expect(feeds.float32.data).toHaveLength(2);
  });

  test("a batch of no rows and a scalar are tensors too", async () => {
    await host.openGraph("empty", { bytes: addModel() });
    const b = { dtype: float32, shape: [4], data: new Float32Array(4) };
    const a = { dtype: float32, shape: [0, 4], data: new Float32Array(0) };
    expect((await host.run("empty", { a, b })).get("c")).toEqual(a);
    const node = { op: "Neg", input: ["x"], output: ["y"] };
    await host.openGraph("scalar", { bytes: tinyModel([node], [["x", float32, []]], [["y", float32, []]]) });
    const x = { dtype: float32, shape: [], data: new Float32Array([3]) };
    expect((await host.run("scalar", { x })).get("y")).toEqual({ ...x, data: new Float32Array([-3]) });
  });
});

describe("tensors and steps", () => {
  test("tensors start as zeros and keep what is written, raw bytes too", async () => {
    await host.allocate([{ id: "fresh", dtype: "int64", shape: [2] }]);
    expect((await host.read(["fresh"])).get("fresh")?.data).toEqual(new BigInt64Array(2));
    const data = new BigInt64Array([5n, -6n]);
    await host.write({ fresh: new Uint8Array(data.buffer.slice(0)) });
    expect((await host.read(["fresh"])).get("fresh")).toEqual({ dtype: "int64", shape: [2], data });
    await host.free(["fresh"]);
    expect((await rejection(host.read(["fresh"]))).code).toBe("E_ORT_BINDING");
  });

  test("a step transfers its writes, runs, reads, and gives the buffers back in order", async () => {
    await openAdder("adder");
    const [a, b] = [new Float32Array(8).fill(1), new Float32Array([1, 2, 3, 4])];
    const result = await host.step("adder", { writes: { "adder.b": b, "adder.a": a }, reads: ["adder.c"] });
    expect([a.length, b.length]).toEqual([0, 0]);
    expect(result.outputs.get("adder.c")?.data).toEqual(new Float32Array([2, 3, 4, 5, 2, 3, 4, 5]));
    expect(result.returned.map((buffer) => buffer.byteLength)).toEqual([16, 32]);
    expect(new Float32Array(result.returned[0] ?? new ArrayBuffer(0))).toEqual(
      new Float32Array([1, 2, 3, 4]),
    );
    expect(result.runMs).toBeGreaterThan(0);
    // Nothing written: the tensors still hold the values of before.
    expect((await host.step("adder", { reads: ["adder.c"] })).outputs).toEqual(result.outputs);
  });

  test("views of one buffer are written each at its place, and the buffer comes back once", async () => {
    await openAdder("views");
    const slot = new Float32Array([9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 4]);
    const writes = { "views.a": slot.subarray(1, 9), "views.b": slot.subarray(9) };
    const { outputs, returned } = await host.step("views", { writes, reads: ["views.c"] });
    expect(outputs.get("views.c")?.data).toEqual(new Float32Array([2, 3, 4, 5, 2, 3, 4, 5]));
    expect(returned.map((buffer) => buffer.byteLength)).toEqual([52]);
  });

  test("state alternates between two bindings of one graph", async () => {
    const node = { op: "Add", input: ["w", "d"], output: ["next/w"] };
    const inputs = [
      ["w", float32, [2]],
      ["d", float32, [2]],
    ] as const;
    await host.openGraph("state", { bytes: tinyModel([node], inputs, [["next/w", float32, [2]]]) });
    await host.allocate(["wA", "wB", "d"].map((id) => ({ id, dtype: float32, shape: [2] })));
    await host.bind("even", "state", { inputs: { w: "wA", d: "d" }, outputs: { "next/w": "wB" } });
    await host.bind("odd", "state", { inputs: { w: "wB", d: "d" }, outputs: { "next/w": "wA" } });
    await host.write({ d: new Float32Array([1, -1]) });
    for (let step = 0; step < 10; step++) await host.step(step % 2 === 0 ? "even" : "odd");
    expect((await host.read(["wA"])).get("wA")?.data).toEqual(new Float32Array([10, -10]));
  });

  test("calls that are not awaited are carried out in their order", async () => {
    await openAdder("queued");
    const values = [1, 2, 3, 4, 5];
    const steps = values.map((value) => {
      const writes = { "queued.a": new Float32Array(8).fill(value) };
      return host.step("queued", { writes, reads: ["queued.c"] });
    });
    const firsts = (await Promise.all(steps)).map(({ outputs }) => outputs.get("queued.c")?.data[0]);
    expect(firsts).toEqual(values);
  });
});

describe("errors", () => {
  test("a kernel that fails names graph, node and origin", async () => {
    const node = { op: "Gather", name: "tasks.species.layers[2]/Gather", input: ["x", "i"], output: ["y"] };
    const inputs = [
      ["x", float32, [4]],
      ["i", "int64", [1]],
    ] as const;
    await host.openGraph("failing", { bytes: tinyModel([node], inputs, [["y", float32, [1]]]) });
    const x = { dtype: float32, shape: [4], data: new Float32Array(4) };
    const i = { dtype: "int64" as const, shape: [1], data: new BigInt64Array([9n]) };
    const error = await rejection(host.run("failing", { x, i }));
    expect(error.code).toBe("E_ORT");
    expect(error.faults[0]?.at).toEqual({ node: node.name, origin: "tasks.species.layers[2]" });
    expect(error.message).toContain('running graph "failing"');
  });

  test.each([
    ["an unknown operator", "Foo", "float32"],
    ["a type without a kernel", "Conv", "float64"],
  ] as const)("%s names node and origin when the graph is loaded", async (_, op, dtype) => {
    const node = { op, name: `gradient(fcn)/${op}`, input: ["x", "x"], output: ["y"] };
    const bytes = tinyModel([node], [["x", dtype, [1, 1, 3, 3]]], [["y", dtype, [1, 1, 1, 1]]]);
    const error = await rejection(host.openGraph("refused", { bytes }));
    expect(error.code).toBe("E_ORT");
    expect(error.faults[0]?.at).toEqual({ node: node.name, origin: "gradient(fcn)" });
  });

  test("bytes that are no model, and a file that is not there, are E_ORT", async () => {
    const bytes = new Uint8Array([1, 2, 3]);
    expect((await rejection(host.openGraph("garbage", { bytes }))).code).toBe("E_ORT");
    expect((await rejection(host.openGraph("absent", { path: "absent.onnx" }))).message).toContain(
      "absent.onnx",
    );
  });

  test("a binding reports all that does not fit, before ONNX Runtime sees it", async () => {
    await host.openGraph("picky", { bytes: addModel() });
    await host.allocate([
      { id: "rows2", dtype: float32, shape: [2, 4] },
      { id: "rows3", dtype: float32, shape: [3, 4] },
      { id: "ints", dtype: "int32", shape: [4] },
      { id: "floats", dtype: float32, shape: [4] },
    ]);
    const bind = (inputs: Record<string, string>, outputs: Record<string, string>) =>
      rejection(host.bind("picky", "picky", { inputs, outputs })).then((error) => {
        expect(error.code).toBe("E_ORT_BINDING");
        return error.faults.map(({ message }) => message.replace('graph "picky": ', ""));
      });
    expect(await bind({ a: "rows2" }, { c: "rows3" })).toEqual([
      'input "b" is not bound',
      'output "c" has N = 3, but "a" has N = 2',
    ]);
    expect(await bind({ a: "rows2", b: "ints", q: "floats" }, { c: "rows2" })).toEqual([
      'input "b" is float32, the tensor "ints" is int32',
      'there is no input "q": did you mean "a"?',
      'the tensor "rows2" is bound to input "a" and to output "c"',
    ]);
    expect(await bind({ a: "rows2", b: "rows3" }, { c: "floats" })).toEqual([
      'input "b" has shape [4], the tensor "rows3" has [3,4]',
      'output "c" has shape [N,4], the tensor "floats" has [4]',
    ]);
  });

  test("unknown and taken names, data that does not fit, freeing what is bound: all refused", async () => {
    await openAdder("named");
    const code = async (action: Promise<unknown>) => (await rejection(action)).code;
    expect(await code(host.openGraph("named", { bytes: addModel() }))).toBe("E_ORT_BINDING");
    expect(await code(host.step("nobody"))).toBe("E_ORT_BINDING");
    expect(await code(host.write({ "named.b": new Float32Array(3) }))).toBe("E_SHAPE");
    expect(await code(host.write({ "named.b": new Int32Array(4) }))).toBe("E_SHAPE");
    expect(await code(host.allocate([{ id: "odd", dtype: float32, shape: [-1] }]))).toBe("E_SHAPE");
    expect(await code(host.free(["named.a"]))).toBe("E_ORT_BINDING");
    await host.unbind("named");
    await host.free(["named.a"]);
  });

  test("allocate is all or nothing", async () => {
    const fine = { id: "first", dtype: float32, shape: [4] };
    await rejection(host.allocate([fine, { ...fine, shape: [2 ** 50] }]));
    await host.allocate([fine]);
  });

  test("a slot used again before it came back is an InternalError, and the host goes on", async () => {
    await openAdder("slots");
    const writes = { "slots.b": new Float32Array(4) };
    const first = host.step("slots", { writes });
    await expect(host.step("slots", { writes })).rejects.toBeInstanceOf(InternalError);
    await first;
    await host.step("slots");
  });
});

describe("measured", () => {
  test("a step's round trip is short", async () => {
    await openAdder("quick");
    const times: number[] = [];
    let slot = new ArrayBuffer(32);
    for (let step = 0; step < 500; step++) {
      const started = performance.now();
      const io = { writes: { "quick.a": new Float32Array(slot) }, reads: ["quick.c"] };
      const { returned } = await host.step("quick", io);
      times.push(performance.now() - started);
      slot = returned[0] ?? slot;
    }
    times.sort((left, right) => left - right);
    expect(times[250]).toBeLessThan(STEP_ROUND_TRIP_MS);
  });

  test("the main thread's timers tick during a long run", async () => {
    await host.openGraph("long", { bytes: longModel(512, 60) });
    const x = { dtype: float32, shape: [512, 512], data: new Float32Array(512 * 512) };
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    const started = performance.now();
    await host.run("long", { x });
    const elapsedMs = performance.now() - started;
    clearInterval(timer);
    expect(elapsedMs).toBeGreaterThan(50);
    expect(ticks).toBeGreaterThan(elapsedMs / 5 / 4);
  });

  test("a thousand steps, and a thousand tensors and bindings, leak nothing", async () => {
    const rows = 2 ** 16;
    await host.openGraph("leak", { bytes: addModel(rows) });
    await host.allocate([{ id: "leak.b", dtype: float32, shape: [4] }]);
    let slot = new ArrayBuffer(rows * 16);
    const cycle = async () => {
      const big = ["leak.a", "leak.c"];
      await host.allocate(big.map((id) => ({ id, dtype: float32, shape: [rows, 4] })));
      await host.bind("leak", "leak", { inputs: { a: "leak.a", b: "leak.b" }, outputs: { c: "leak.c" } });
      const io = { writes: { "leak.a": new Float32Array(slot) }, reads: ["leak.c"] };
      slot = (await host.step("leak", io)).returned[0] ?? slot;
      await host.unbind("leak");
      await host.free(big);
    };
    for (let warmup = 0; warmup < 100; warmup++) await cycle();
    const before = process.memoryUsage().rss;
    for (let step = 0; step < 1000; step++) await cycle();
    expect(process.memoryUsage().rss - before).toBeLessThan(LEAK_BYTES);
  });
});
