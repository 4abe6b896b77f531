// Operators that ask other processes, in ONNX Runtime itself: a JavaScript function as a kernel, on the
// thread that runs the graph; and what happens where it throws, or the graph is for other processes.
import { afterAll, describe, expect, test } from "vitest";
import { encodeGraph } from "../../compiler/codec/encodeGraph.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { orderCollectives } from "../../compiler/lower/collectiveOrder.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { OrtBinding } from "../../runtime/ort/ioBinding.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { type RankExchange, RankOperators } from "../../runtime/ort/rankOperators.ts";
import { OrtSession } from "../../runtime/ort/session.ts";
import { OrtTensor } from "../../runtime/ort/tensor.ts";
import { alikeExchange } from "./alikeRanks.ts";
import { rejection } from "./rejection.ts";

const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());

/** y = the sum of 2 x of all processes; z of 3 x, by an exchange that nothing orders but orderCollectives. */
function sums(ranks: number): Uint8Array {
  const b = new GraphBuilder("sums", OPS);
  const x = b.input("x", "float32", [3]);
  for (const [name, factor] of [
    ["y", 2],
    ["z", 3],
  ] as const) {
    const all = b.emit("AllGather", [b.mul(x, b.scalar(factor))], { ranks });
    b.output(name, b.reduceSum(all, [0], 0));
  }
  return encodeGraph(orderCollectives(b.build(), OPS));
}

/** Runs the graph by a binding, on x = [1, 2, 3], and gives what y and z are. */
function run(exchange: RankExchange, bytes: Uint8Array, times = 1): number[][] {
  using operators = new RankOperators(library, exchange);
  using session = OrtSession.open(library, "sums", { bytes }, { intraOpThreads: 2 }, operators);
  using x = OrtTensor.allocate(library, "x", "float32", [3]);
  using y = OrtTensor.allocate(library, "y", "float32", [3]);
  using z = OrtTensor.allocate(library, "z", "float32", [3]);
  x.write(Float32Array.of(1, 2, 3));
  const outputs = new Map([
    ["y", y],
    ["z", z],
  ]);
  using binding = OrtBinding.create(session, new Map([["x", x]]), outputs);
  for (let i = 0; i < times; i++) binding.run();
  return [y, z].map((tensor) => [...(tensor.read().data as Float32Array)]);
}

describe("an exchange inside a graph", () => {
  test("gives the numbers of every process in their order, to each run", () => {
    const asked: number[][] = [];
    const exchange = alikeExchange(2, (own, rank) => {
      if (rank === 0) asked.push([...own]);
      return rank === 0 ? own : own.map((value) => 10 * value);
    });
    expect(run(exchange, sums(2), 2)).toEqual([
      [22, 44, 66],
      [33, 66, 99],
    ]);
    const once = [
      [2, 4, 6],
      [3, 6, 9],
    ];
    expect(asked).toEqual([...once, ...once]);
  });

  test("is ordered: each waits for the one before it", () => {
    const b = new GraphBuilder("three", OPS);
    const x = b.input("x", "float32", [2]);
    for (const i of [1, 2, 3]) b.output(`y${i}`, b.emit("AllGather", [b.mul(x, b.scalar(i))], { ranks: 2 }));
    const gathers = orderCollectives(b.build(), OPS).nodes.filter(({ op }) => op.name === "AllGather");
    expect(gathers.map(({ inputs }) => inputs[1])).toEqual([
      undefined,
      gathers[0]?.outputs[0],
      gathers[1]?.outputs[0],
    ]);
  });

  test("ends the run with the very error that it threw, and the next one goes through", () => {
    const lost = new MttcError({ code: "E_RANK_LOST", message: "rank 1 does not answer" });
    let fails = true;
    const { allGather, ...rest } = alikeExchange(2);
    const exchange: RankExchange = {
      ...rest,
      allGather: (...parts) => {
        if (fails) throw lost;
        allGather(...parts);
      },
    };
    expect(() => run(exchange, sums(2))).toThrow(lost);
    fails = false;
    expect(run(exchange, sums(2))[0]).toEqual([4, 8, 12]);
  });

  test("a graph for another number of processes is refused when it is opened", async () => {
    const error = await rejection((async () => run(alikeExchange(4), sums(2)))());
    expect(error.faults).toMatchObject([
      { code: "E_RANKS", message: "the graph is for 2 processes, 4 have come together" },
    ]);
  });

  test("a graph that asks nobody is opened as ever", () => {
    const b = new GraphBuilder("plain", OPS);
    const x = b.input("x", "float32", [3]);
    for (const name of ["y", "z"]) b.output(name, b.mul(x, b.scalar(2)));
    expect(run(alikeExchange(2), encodeGraph(b.build()))[0]).toEqual([2, 4, 6]);
  });

  test("thousands of runs leave no memory behind", () => {
    run(alikeExchange(2), sums(2), 200);
    const before = process.memoryUsage().rss;
    run(alikeExchange(2), sums(2), 5_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
  });
});
