// Progress of work on many images, as lines that nobody has to read: one now and then.

/** Milliseconds between two lines, and before the first. */
const BETWEEN_MS = 10_000;

/** Passes on the first of the calls that come after each ten seconds, and drops the others. */
export function sparsely<Args extends readonly unknown[]>(
  report: (...args: Args) => void,
): (...args: Args) => void {
  let shownAt = performance.now();
  return (...args) => {
    if (performance.now() - shownAt < BETWEEN_MS) return;
    shownAt = performance.now();
    report(...args);
  };
}
