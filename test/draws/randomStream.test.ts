// Counter-based random streams: known values, independence of names, and dropout masks.
import { describe, expect, it } from "vitest";
import { philox4x32 } from "../../compiler/codec/philox.ts";
import { drawDropoutMask } from "../../runtime/draws/dropoutMasks.ts";
import { RandomStream } from "../../runtime/draws/randomStream.ts";
import { DRAW_STANDARD_ERRORS } from "../tolerances.ts";

describe("Philox4x32-10", () => {
  // Known answers of the authors' Random123 library (kat_vectors).
  it.each([
    [[0, 0, 0, 0], [0, 0], "6627e8d5 e169c58d bc57ac4c 9b00dbd8"],
    [Array(4).fill(0xffffffff), Array(2).fill(0xffffffff), "408f276d 41c83b0e a20bc7c6 6d5451fd"],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      "d16cfe09 94fdcceb 5001e420 24126ea1",
    ],
  ])("counter %j under key %j gives %s", (counter, key, expected) => {
    const out = new Uint32Array(4);
    const [c0 = 0, c1 = 0, c2 = 0, c3 = 0] = counter;
    philox4x32(out, c0, c1, c2, c3, key[0] ?? 0, key[1] ?? 0);
    expect([...out].map((word) => word.toString(16).padStart(8, "0")).join(" ")).toBe(expected);
  });
});

describe("a random stream", () => {
  const draw = (...args: ConstructorParameters<typeof RandomStream>): number[] => {
    const stream = new RandomStream(...args);
    return Array.from({ length: 9 }, () => stream.nextUint32());
  };

  it("repeats itself, and differs by seed (low and high bits), purpose, time and index", () => {
    expect(draw(1, "a", 2, 3)).toEqual(draw(1, "a", 2, 3));
    const streams = [
      draw(1, "a", 2, 3),
      draw(2, "a", 2, 3),
      draw(1 + 2 ** 32, "a", 2, 3),
      draw(1, "b", 2, 3),
    ];
    streams.push(draw(1, "a", 3, 3), draw(1, "a", 2, 4));
    expect(new Set(streams.map(String)).size).toBe(streams.length);
    expect(new Set(streams.flat()).size).toBe(streams.length * 9);
  });

  it("draws uniforms in [0, 1) with the mean and the variance of the uniform law", () => {
    const stream = new RandomStream(7, "uniform", 0);
    const count = 100_000;
    const values = Array.from({ length: count }, () => stream.nextUniform());
    expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
    const mean = values.reduce((sum, value) => sum + value, 0) / count;
    const variance = values.reduce((sum, value) => sum + (value - 0.5) ** 2, 0) / count;
    // Standard errors: sqrt(1/12 / n) of the mean, sqrt(1/180 / n) of the squared deviation from 1/2.
    expect(Math.abs(mean - 0.5)).toBeLessThan(DRAW_STANDARD_ERRORS * Math.sqrt(1 / 12 / count));
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(DRAW_STANDARD_ERRORS * Math.sqrt(1 / 180 / count));
  });
});

describe("a dropout mask", () => {
  it("holds 0 and 1/(1-rate) alone, with the rate asked for", () => {
    const mask = drawDropoutMask(3, 5, [64, 500, 1, 1], { rate: 0.25, stream: "shared_layers[1]" });
    expect(mask).toHaveLength(32_000);
    expect(new Set(mask)).toEqual(new Set([0, Math.fround(1 / 0.75)]));
    const dropped = mask.filter((value) => value === 0).length / mask.length;
    const error = Math.sqrt((0.25 * 0.75) / mask.length);
    expect(Math.abs(dropped - 0.25)).toBeLessThan(DRAW_STANDARD_ERRORS * error);
  });

  it("is a function of seed, step and layer, and of nothing else", () => {
    const shape = [4, 32, 1, 1];
    const mask = drawDropoutMask(3, 5, shape, { rate: 0.5, stream: "a" });
    expect(drawDropoutMask(3, 5, shape, { rate: 0.5, stream: "a" })).toEqual(mask);
    expect(drawDropoutMask(4, 5, shape, { rate: 0.5, stream: "a" })).not.toEqual(mask);
    expect(drawDropoutMask(3, 6, shape, { rate: 0.5, stream: "a" })).not.toEqual(mask);
    expect(drawDropoutMask(3, 5, shape, { rate: 0.5, stream: "b" })).not.toEqual(mask);
  });

  it("of fewer rows is the beginning of the larger one, and of rate 0 all ones", () => {
    const whole = drawDropoutMask(3, 5, [8, 32, 1, 1], { rate: 0.5, stream: "a" });
    expect(drawDropoutMask(3, 5, [2, 32, 1, 1], { rate: 0.5, stream: "a" })).toEqual(whole.slice(0, 64));
    expect(new Set(drawDropoutMask(3, 5, [8, 32, 1, 1], { rate: 0, stream: "a" }))).toEqual(new Set([1]));
  });
});
