// Half precision, all of it: every bit pattern comes back, and numbers between two halves go to the nearer
// one, ties to the even one.
import { expect, test } from "vitest";
import { halfToNumber, numberToHalf } from "../../compiler/codec/halfPrecision.ts";

const INFINITE = 0x7c00;

test("every half is the half of its number, signs of zero and infinities included", () => {
  for (let bits = 0; bits < 0x10000; bits++) {
    const value = halfToNumber(bits);
    if (Number.isNaN(value)) expect(Number.isNaN(halfToNumber(numberToHalf(value)))).toBe(true);
    else if (numberToHalf(value) !== bits) expect(numberToHalf(value), `${value}`).toBe(bits);
  }
});

test("a number between two halves becomes the nearer one, half way the even one", () => {
  const failed: number[] = [];
  for (let bits = 0; bits < INFINITE - 1; bits++) {
    const [low, high] = [halfToNumber(bits), halfToNumber(bits + 1)];
    const middle = (low + high) / 2;
    const even = bits % 2 === 0 ? bits : bits + 1;
    const gap = (high - low) / 64;
    const right =
      numberToHalf(middle) === even &&
      numberToHalf(middle - gap) === bits &&
      numberToHalf(middle + gap) === bits + 1 &&
      numberToHalf(-middle) === (even | 0x8000);
    if (!right) failed.push(bits);
  }
  expect(failed).toEqual([]);
});

test("known values: 1, 65504, the least subnormal, overflow", () => {
  expect([1, 65_504, 2 ** -24, 65_519.9, 65_520, 2 ** -25].map(numberToHalf)).toEqual([
    0x3c00,
    0x7bff,
    1,
    0x7bff,
    INFINITE,
    0,
  ]);
  expect(numberToHalf(Number.NEGATIVE_INFINITY)).toBe(0xfc00);
});
