// Matrices of float32 as NumPy's files: the format's version 1.0 (numpy/lib/format.py), little-endian and
// row-major. The head has one size for any number of rows, so that it can be written again at the end.

const HEAD_BYTES = 128;
const MAGIC = Buffer.from("\x93NUMPY\x01\x00", "latin1");

/** The head of a file of [rows, width] numbers. */
export function npyHead(rows: number, width: number): Uint8Array {
  const facts = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${width}), }`;
  const head = Buffer.alloc(HEAD_BYTES, " ");
  MAGIC.copy(head);
  head.writeUInt16LE(HEAD_BYTES - MAGIC.length - 2, MAGIC.length);
  head.write(facts, MAGIC.length + 2, "latin1");
  head.write("\n", HEAD_BYTES - 1);
  return head;
}

/** Bytes of the numbers, little-endian as every machine that mttc runs on has them. */
export function npyBody(vectors: Float32Array): Uint8Array {
  return new Uint8Array(vectors.buffer, vectors.byteOffset, vectors.byteLength);
}

/** A whole file. */
export function npyFile(vectors: Float32Array, width: number): Uint8Array {
  return Buffer.concat([npyHead(vectors.length / width, width), npyBody(vectors)]);
}
