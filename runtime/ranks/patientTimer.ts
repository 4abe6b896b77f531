// A timer that counts its own ticks and reads no clock: a process that was stopped, a machine that slept, a
// thread that computed for a minute has one tick behind it and not a minute, so that nothing which lies in
// its sockets already is taken for missing. Clocks of two machines are never compared.

/** Calls `then` once after about `waitMs` in which this thread was free to look; returns what stops it. */
export function patientTimer(waitMs: number, then: () => void): () => void {
  const ticks = 20;
  let left = ticks;
  const timer = setInterval(() => {
    left--;
    if (left > 0) return;
    clearInterval(timer);
    // What came meanwhile is seen first.
    setImmediate(() => setImmediate(then));
  }, waitMs / ticks);
  return () => {
    left = Number.POSITIVE_INFINITY;
    clearInterval(timer);
  };
}
