// What a rank of a test finds, for the test that started it by runRanks (mpiPrograms.ts), and the numbers
// that ranks sum to find it.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";

/** Says what a rank found. */
export function report(rank: number, found: unknown): void {
  writeFileSync(join(process.env.MTTC_TEST_REPORTS ?? ".", `${rank}.json`), JSON.stringify(found));
}

/** The code of a typed error; any other one as text. */
export function codeOf(error: unknown): string {
  return error instanceof MttcError ? error.code : String(error);
}

/** Element `i` of rank `rank`'s tensor: small whole numbers, whose sums float32 holds exactly. */
export function element(rank: number, i: number): number {
  return ((i * 7 + rank * 13) % 1001) - 500;
}

/** How many elements are not the sum over `size` ranks. */
export function wrongSums(found: ArrayLike<number>, size: number): number {
  let wrong = 0;
  for (let i = 0; i < found.length; i++) {
    let sum = 0;
    for (let rank = 0; rank < size; rank++) sum += element(rank, i);
    if (found[i] !== sum) wrong++;
  }
  return wrong;
}

/** How many elements are not rank 0's. */
export function wrongCopies(found: ArrayLike<number>): number {
  let wrong = 0;
  for (let i = 0; i < found.length; i++) if (found[i] !== element(0, i)) wrong++;
  return wrong;
}
