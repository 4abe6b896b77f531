// Work of rank 0 that no collective call ends when another rank is lost: images that are looked at, features
// that are probed, a state that is hashed.
import { MttcError } from "../../compiler/diagnostics.ts";
import { patientTimer } from "../ranks/patientTimer.ts";

/** For work that hears of it to come to its end, before it is left to itself. */
const END_MS = 2000;

/**
 * What `work` gives. Its signal is `signal`, and aborts once `failed` does, too; then this rejects with why
 * that was, at the latest after a moment.
 */
export async function untilLost<T>(
  failed: AbortSignal | undefined,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  if (!failed) return await work(signal);
  failed.throwIfAborted();
  const doing = work(signal ? AbortSignal.any([signal, failed]) : failed);
  let stop = (): void => undefined;
  let onLost = (): void => undefined;
  const lost = new Promise<never>((_, reject) => {
    onLost = () => {
      stop = patientTimer(END_MS, () => reject(failed.reason));
    };
    failed.addEventListener("abort", onLost);
  });
  try {
    const found = await Promise.race([doing, lost]);
    failed.throwIfAborted();
    return found;
  } catch (error) {
    const isOurs = error instanceof MttcError && error.code === "E_INTERRUPTED" && !signal?.aborted;
    throw failed.aborted && isOurs ? failed.reason : error;
  } finally {
    failed.removeEventListener("abort", onLost);
    stop();
  }
}
