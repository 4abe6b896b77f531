// Runs what must be refused and returns the faults; shared by the tests of input checking.
import { type Fault, formatFault, MttcError } from "../../compiler/diagnostics.ts";

/** The faults that `run` throws; fails when it throws nothing or anything but an MttcError. */
export function faultsOf(run: () => unknown): readonly Fault[] {
  try {
    run();
  } catch (error) {
    if (error instanceof MttcError) return error.faults;
    throw error;
  }
  throw new Error("expected an MttcError, nothing was thrown");
}

/** The same for a promise. */
export async function faultsOfAsync(run: () => Promise<unknown>): Promise<readonly Fault[]> {
  try {
    await run();
  } catch (error) {
    if (error instanceof MttcError) return error.faults;
    throw error;
  }
  throw new Error("expected an MttcError, nothing was thrown");
}

/** The faults as they are printed, one string each. */
export function printedFaults(run: () => unknown): string[] {
  return faultsOf(run).map(formatFault);
}
