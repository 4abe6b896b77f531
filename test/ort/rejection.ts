// The error that an asynchronous action must end with.
import { MttcError } from "../../compiler/diagnostics.ts";

/** The MttcError that `action` rejects with; fails if it succeeds, rethrows an error of another kind. */
export async function rejection(action: Promise<unknown>): Promise<MttcError> {
  try {
    await action;
  } catch (error) {
    if (error instanceof MttcError) return error;
    throw error;
  }
  throw new RangeError("expected an MttcError, but the action succeeded");
}
