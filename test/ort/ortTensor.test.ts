// Tensors and bindings in native memory, used directly (without the worker thread): life and death.
import { afterAll, beforeAll, expect, test } from "vitest";
import { InternalError } from "../../compiler/diagnostics.ts";
import { OrtBinding } from "../../runtime/ort/ioBinding.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { OrtSession } from "../../runtime/ort/session.ts";
import { OrtTensor } from "../../runtime/ort/tensor.ts";
import { addModel } from "./tinyModel.ts";

let library: OrtLibrary;
beforeAll(() => {
  library = OrtLibrary.open();
});
afterAll(() => library[Symbol.dispose]());

test("the CPU view and the copies show the same memory", () => {
  using tensor = OrtTensor.allocate(library, "t", "float32", [2, 2]);
  tensor.write(new Float32Array([1, 2, 3, 4]));
  const copy = tensor.read();
  tensor.cpuView.fill(7 as never);
  expect(tensor.read().data).toEqual(new Float32Array([7, 7, 7, 7]));
  expect(copy.data).toEqual(new Float32Array([1, 2, 3, 4]));
});

test("the library stays loaded while garbage is collected", () => {
  // koffi unloads a library whose handle is collected, and calling into it then ends the process. Memory of
  // tensors makes V8 collect in full: 400 MB are far beyond its limit for external memory.
  const tensors = Array.from({ length: 200 }, (_, k) =>
    OrtTensor.allocate(library, `t${k}`, "float32", [2 ** 19]),
  );
  for (const tensor of tensors) tensor[Symbol.dispose]();
});

test("every use after dispose throws", () => {
  const tensor = OrtTensor.allocate(library, "t", "int64", [2]);
  tensor[Symbol.dispose]();
  tensor[Symbol.dispose]();
  expect(() => tensor.read()).toThrow(InternalError);
  expect(() => tensor.write(new BigInt64Array(2))).toThrow(InternalError);
  expect(() => tensor.cpuView).toThrow(InternalError);
  expect(() => tensor.value).toThrow(InternalError);
});

test("a session and a binding throw when they are used after dispose", () => {
  const session = OrtSession.open(library, "add", { bytes: addModel(1) }, { intraOpThreads: 1 });
  using a = OrtTensor.allocate(library, "a", "float32", [1, 4]);
  using b = OrtTensor.allocate(library, "b", "float32", [4]);
  using c = OrtTensor.allocate(library, "c", "float32", [1, 4]);
  const inputs = new Map(Object.entries({ a, b }));
  const binding = OrtBinding.create(session, inputs, new Map([["c", c]]));
  a.cpuView.fill(2 as never);
  binding.run();
  expect(c.read().data).toEqual(new Float32Array([2, 2, 2, 2]));
  binding[Symbol.dispose]();
  expect(() => binding.run()).toThrow(InternalError);
  session[Symbol.dispose]();
  expect(() => session.run(inputs, ["c"])).toThrow(InternalError);
});
