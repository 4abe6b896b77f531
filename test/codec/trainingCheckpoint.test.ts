// Checkpoints of ONNX Runtime Training: round trips, and files that are cut, damaged or made to mislead.
import { describe, expect, test } from "vitest";
import { readTrainingCheckpoint } from "../../compiler/codec/readTrainingCheckpoint.ts";
import {
  encodeTrainingCheckpoint,
  type TrainingCheckpoint,
} from "../../compiler/codec/trainingCheckpoint.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { randomFrom } from "../ops/sampleGraph.ts";

const tensor = (name: string, shape: readonly number[]) => {
  const count = shape.reduce((product, size) => product * size, 1);
  return { name, shape, data: Float32Array.from({ length: count }, (_, i) => i / 7 - 1) };
};

const WHOLE: TrainingCheckpoint = {
  version: 2,
  trained: [tensor("tasks.größe 猫.dense.kernel", [3, 2]), tensor("s", []), tensor("empty", [0, 4])],
  frozen: [tensor("running_mean", [4])],
  optimizer: {
    step: 2 ** 40 + 3,
    states: [
      { parameter: "s", moments: [tensor("momentum0", []), tensor("momentum1", [])] },
      { parameter: "empty", moments: [] },
    ],
  },
  properties: new Map([
    ["producer", "mttc"],
    ["", ""],
    ["__proto__", "ß"],
  ]),
};

/** What reading gives; the code where it is refused. */
function outcome(bytes: Uint8Array): TrainingCheckpoint | string {
  try {
    return readTrainingCheckpoint(bytes, "some.ckpt");
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    expect(error.message).toContain("some.ckpt");
    return error.code;
  }
}

describe("a checkpoint", () => {
  test("comes back as it was written, and twice to the same bytes", () => {
    const bytes = encodeTrainingCheckpoint(WHOLE);
    expect(outcome(bytes)).toEqual(WHOLE);
    expect(Buffer.compare(encodeTrainingCheckpoint(WHOLE), bytes)).toBe(0);
    const plain = { ...WHOLE, optimizer: undefined, frozen: [], trained: [], properties: new Map() };
    expect(outcome(encodeTrainingCheckpoint(plain))).toEqual(plain);
  });

  test("is read from any place in memory", () => {
    const bytes = encodeTrainingCheckpoint(WHOLE);
    for (const shift of [1, 2, 3]) {
      const moved = new Uint8Array(bytes.length + shift);
      moved.set(bytes, shift);
      expect(outcome(moved.subarray(shift))).toEqual(WHOLE);
    }
  });

  test("that is cut anywhere is refused", () => {
    const bytes = encodeTrainingCheckpoint(WHOLE);
    for (let length = 0; length < bytes.length; length++) {
      const found = outcome(bytes.subarray(0, length));
      // The first bytes of a buffer hold what was written last: a cut may take what nobody reads.
      if (typeof found !== "string") expect(found).toEqual(WHOLE);
      else expect(found).toBe("E_CKPT_CORRUPT");
    }
    expect(outcome(bytes.subarray(0, bytes.length - 16))).toBe("E_CKPT_CORRUPT");
  });

  test("with any byte changed is refused or read, and takes neither long nor much memory", () => {
    const bytes = encodeTrainingCheckpoint(WHOLE);
    const random = randomFrom("damage");
    for (let at = 0; at < bytes.length; at++)
      for (const value of [0, 1, 0x7f, 0x80, 0xff, Math.floor(256 * random())]) {
        const damaged = bytes.slice();
        damaged[at] = value;
        const found = outcome(damaged);
        if (typeof found === "string") expect(found).toBe("E_CKPT_CORRUPT");
      }
  });

  test("whose offsets all lead to one place is refused, whatever they ask for", () => {
    const random = randomFrom("loops");
    const bytes = encodeTrainingCheckpoint(WHOLE);
    for (let round = 0; round < 2000; round++) {
      const damaged = bytes.slice();
      const view = new DataView(damaged.buffer);
      for (let i = 0; i < 4; i++)
        view.setUint32(
          4 * Math.floor(2 + (random() * (bytes.length - 12)) / 4),
          Math.floor(random() * bytes.length),
          true,
        );
      const found = outcome(damaged);
      if (typeof found === "string") expect(found).toBe("E_CKPT_CORRUPT");
    }
  });

  test("of other content is refused by name", () => {
    expect(() => readTrainingCheckpoint(new TextEncoder().encode("not a checkpoint"), "x")).toThrow(
      /x: does not begin as a checkpoint of ONNX Runtime Training \[E_CKPT_CORRUPT\]/,
    );
  });
});
