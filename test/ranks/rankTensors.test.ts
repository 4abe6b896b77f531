// Tensors on a device that the engine does not reach: copies in the host's memory go to the other ranks, and
// come back to the device. The device is a table of bytes here.
import { expect, test } from "vitest";
import type { DeviceMemory } from "../../runtime/ort/deviceMemory.ts";
import { RankTensors } from "../../runtime/ort/rankTensors.ts";
import type { OrtTensor } from "../../runtime/ort/tensor.ts";

interface FakeTensor {
  readonly name: string;
  readonly address: bigint;
  readonly sizeBytes: number;
  readonly device: DeviceMemory | null;
  readonly cpuView: Float32Array;
}

/** Tensors of a device whose memory is `held`, by name, and what was asked of it. */
function fakeDevice(held: Map<string, Uint8Array>): { device: DeviceMemory; asked: string[] } {
  const asked: string[] = [];
  const copies = {
    begin: (writes: readonly (readonly [FakeTensor, Uint8Array])[]) => {
      for (const [{ name }, bytes] of writes) held.set(name, bytes.slice());
      asked.push(`begin ${writes.length}`);
    },
    finish: () => asked.push("finish"),
    download: (reads: readonly (readonly [FakeTensor, Uint8Array])[]) => {
      for (const [{ name }, target] of reads) target.set(held.get(name) ?? []);
      asked.push(`download ${reads.length}`);
    },
  };
  return { device: { allocator: 0n, copies } as unknown as DeviceMemory, asked };
}

function fakeTensor(name: string, floats: readonly number[], device: DeviceMemory | null): OrtTensor {
  const cpuView = Float32Array.from(floats);
  const tensor: FakeTensor = { name, address: 7n, sizeBytes: cpuView.byteLength, device, cpuView };
  return tensor as unknown as OrtTensor;
}

/** What an engine does that doubles all it is given. */
function double(memory: Uint8Array | null): void {
  if (memory === null) throw new RangeError("memory of a device");
  const floats = new Float32Array(memory.buffer, memory.byteOffset, memory.length / 4);
  for (let i = 0; i < floats.length; i++) floats[i] = (floats[i] ?? 0) * 2;
}

const bytesOf = (floats: readonly number[]) => new Uint8Array(Float32Array.from(floats).buffer);

test("what lies on a device goes through the host in one go each way, and the host's own where it lies", () => {
  const held = new Map([
    ["a", bytesOf([1, 2, 3])],
    ["c", bytesOf([5])],
  ]);
  const { device, asked } = fakeDevice(held);
  const own = fakeTensor("b", [4], null);
  const tensors = [fakeTensor("a", [0, 0, 0], device), own, fakeTensor("c", [0], device)];
  using shared = new RankTensors();
  for (const factor of [2, 4]) {
    shared.share(tensors, false, (parts) => {
      expect(parts.map(({ name, sizeBytes }) => [name, sizeBytes])).toEqual([
        ["a", 12],
        ["b", 4],
        ["c", 4],
      ]);
      for (const { memory } of parts) double(memory);
    });
    expect(held.get("a")).toEqual(bytesOf([factor, 2 * factor, 3 * factor]));
    expect(held.get("c")).toEqual(bytesOf([5 * factor]));
    expect([...(own.cpuView as Float32Array)]).toEqual([4 * factor]);
  }
  expect(asked.slice(0, 3)).toEqual(["download 2", "begin 2", "finish"]);
});

test("an engine that reaches devices is given their addresses, and nothing is copied", () => {
  const { device, asked } = fakeDevice(new Map());
  using shared = new RankTensors();
  shared.share([fakeTensor("a", [1], device)], true, (parts) =>
    expect(parts).toEqual([{ name: "a", address: 7n, sizeBytes: 4, memory: null }]),
  );
  expect(asked).toEqual([]);
});
