// What keys of a spec are made of: numbers, texts and flags, each with the phrase that completes the sentence
// "expected ...". The schemas of the sections are put together of them.
import { z } from "zod";

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

/**
 * What of a key's value decides what training computes, said by the key itself in its meta(). One that says
 * nothing decides with its whole value, so that a new key is not forgotten.
 * - nothing: where things lie, how fast it goes, what is told
 * - settings: all but `path`, since a model file decides by its content, whose hash stands beside the spec
 * - draws: of cached features the number of augmented forms; those of images as they are change no number
 */
export type Decides = "nothing" | "settings" | "draws";

/** Meta of a key that says so. */
export function decides(what: Decides) {
  return { decides: what };
}

/** Text that is not empty, such as a path or a name. */
export function text(what: string) {
  return z
    .string(phrase(what))
    .min(1, phrase(what))
    .max(4_096, phrase(what))
    .refine((value) => !value.includes("\0"), phrase(`${what}, without NUL characters`));
}
