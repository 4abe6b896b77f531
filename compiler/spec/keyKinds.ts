// What keys of a spec are made of: numbers, texts and flags, each with the phrase that completes the sentence
// "expected ...". The schemas of the sections are put together of them.
import { z } from "zod";

/** How a refusal of something that later work will bring begins; the parser prints such a phrase as it is. */
export const NOT_YET = "not available yet: ";

/** What zod prints where a value is not as it should be. */
export function phrase(expected: string) {
  return { error: expected };
}

/** An integer from `from` to `to`, both included. */
export function integer(from: number, to: number, expected = `an integer from ${from} to ${to}`) {
  return z.int(phrase(expected)).min(from, phrase(expected)).max(to, phrase(expected));
}

/** A finite number that is not negative. */
export function atLeastZero(expected: string) {
  return z.number(phrase(expected)).min(0, phrase(expected)).max(1e30, phrase(expected));
}

/** True or false. */
export const flag = z.boolean(phrase("true or false"));

/** Text that is not empty, such as a path or a name. */
export function text(what: string) {
  return z
    .string(phrase(what))
    .min(1, phrase(what))
    .max(4_096, phrase(what))
    .refine((value) => !value.includes("\0"), phrase(`${what}, without NUL characters`));
}

/** A key whose work comes later: `off` is all it may be, anything else is refused by name. */
export function later<const T extends string | number | boolean | null>(name: string, off: T) {
  return z.literal(off, phrase(`${NOT_YET}${name}`)).default(off as never);
}
