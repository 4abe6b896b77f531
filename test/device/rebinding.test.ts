// The trap that runtime/ort keeps its callers out of, shown on ONNX Runtime itself: a host tensor that is
// bound to an input on a device is copied when it is bound, and never again.
import { expect, test } from "vitest";
import { OrtDevice } from "../../runtime/ort/device.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { OrtSession } from "../../runtime/ort/session.ts";
import { OrtTensor } from "../../runtime/ort/tensor.ts";
import { addModel } from "../ort/tinyModel.ts";
import { HAS_STAND_IN, standInLibrary, useSwiftShader } from "./swiftShader.ts";

test.runIf(HAS_STAND_IN)("a bound host buffer that is filled again is not seen by the device", () => {
  const held = useSwiftShader();
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
  expect(held).toBeDefined();
});
