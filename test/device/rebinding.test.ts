// Traps that runtime/ort keeps its callers out of, shown on ONNX Runtime itself: a host tensor that is bound
// to an input on a device is copied when it is bound, and never again; and what was captured under a number
// is replayed for every binding that runs under it.
import { expect, test } from "vitest";
import { OrtDevice } from "../../runtime/ort/device.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { OrtSession } from "../../runtime/ort/session.ts";
import { OrtTensor } from "../../runtime/ort/tensor.ts";
import { addModel } from "../ort/tinyModel.ts";
import { HAS_STAND_IN, standInLibrary, useSwiftShader } from "./swiftShader.ts";

test.runIf(HAS_STAND_IN)("a bound host buffer that is filled again is not seen by the device", () => {
  useSwiftShader();
  const provider = { kind: "webgpu" } as const;
  using library = OrtLibrary.open(standInLibrary());
  using device = OrtDevice.open(library, provider);
  using session = OrtSession.open(library, "adder", { bytes: addModel(2) }, { provider });
  expect(session.inputPlaces.get("a")).toBe("device");
  using a = OrtTensor.allocate(library, "a", "float32", [2, 4]);
  using b = OrtTensor.allocate(library, "b", "float32", [4], device);
  using c = OrtTensor.allocate(library, "c", "float32", [2, 4]);
  a.cpuView.fill(1 as never);
  const { functions } = library;
  const binding = library.make("binding", (out) => functions.CreateIoBinding(session.pointer, out));
  const run = () => library.check("running", functions.RunWithBinding(session.pointer, null, binding));
  try {
    library.check("binding", functions.BindInput(binding, "a", a.value));
    library.check("binding", functions.BindInput(binding, "b", b.value));
    library.check("binding", functions.BindOutput(binding, "c", c.value));
    run();
    expect(c.cpuView[0]).toBe(1);
    a.cpuView.fill(2 as never);
    run();
    expect(c.cpuView[0]).toBe(1);
    library.check("binding", functions.BindInput(binding, "a", a.value));
    run();
    expect(c.cpuView[0]).toBe(2);
  } finally {
    functions.ReleaseIoBinding(binding);
  }
  expect(() => b.cpuView).toThrow("not in the host's memory");
});

test.runIf(HAS_STAND_IN)(
  "a run under the number of another binding's capture goes to that one's tensors",
  () => {
    useSwiftShader();
    const provider = { kind: "webgpu" } as const;
    using library = OrtLibrary.open(standInLibrary());
    using device = OrtDevice.open(library, provider);
    const options = { provider, capturable: true };
    using session = OrtSession.open(library, "adder", { bytes: addModel(2) }, options);
    using a = OrtTensor.allocate(library, "a", "float32", [2, 4], device);
    using b = OrtTensor.allocate(library, "b", "float32", [4], device);
    using first = OrtTensor.allocate(library, "first", "float32", [2, 4], device);
    using second = OrtTensor.allocate(library, "second", "float32", [2, 4], device);
    const { functions } = library;
    const settings = library.make("options", (out) => functions.CreateRunOptions(out));
    library.check("options", functions.AddRunConfigEntry(settings, "gpu_graph_id", "1"));
    const runInto = (c: OrtTensor): void => {
      const binding = library.make("binding", (out) => functions.CreateIoBinding(session.pointer, out));
      library.check("binding", functions.BindInput(binding, "a", a.value));
      library.check("binding", functions.BindInput(binding, "b", b.value));
      library.check("binding", functions.BindOutput(binding, "c", c.value));
      library.check("running", functions.RunWithBinding(session.pointer, settings, binding));
      functions.ReleaseIoBinding(binding);
    };
    a.write(new Float32Array(8).fill(1));
    runInto(first);
    a.write(new Float32Array(8).fill(2));
    runInto(second);
    expect([first.read().data[0], second.read().data[0]]).toEqual([2, 0]);
    functions.ReleaseRunOptions(settings);
    expect(session.nextGraphId()).not.toBe(session.nextGraphId());
  },
);
