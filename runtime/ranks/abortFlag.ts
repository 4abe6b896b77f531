// A flag that all threads of a process see without a message: raised where a rank is lost or has failed, so
// that a collective, which waits for that rank on the ONNX Runtime thread, ends.

/** 4 bytes; Int32 [0] is 0 while all goes well. */
export function freshAbortFlag(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

export function raiseFlag(flag: SharedArrayBuffer): void {
  const word = new Int32Array(flag);
  Atomics.store(word, 0, 1);
  Atomics.notify(word, 0);
}

export function isRaised(flag: SharedArrayBuffer): boolean {
  return Atomics.load(new Int32Array(flag), 0) !== 0;
}
