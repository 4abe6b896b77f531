// Messages between ranks as bytes: V8's structured clone, with large arrays beside it as parts, which the
// sender need not copy. Only what has proven to hold the run's key is read so.
import { DefaultDeserializer, DefaultSerializer } from "node:v8";
import { InternalError } from "../../compiler/diagnostics.ts";

/** A message: its structure, and the arrays that it refers to by number. */
export interface EncodedMessage {
  readonly body: Uint8Array;
  readonly parts: readonly Uint8Array[];
}

/** Arrays of fewer bytes are copied into the body. */
const PART_BYTES = 64 * 1024;
/** In place of a part's number. */
const INLINE = 0xffff_ffff;

type ViewKind = new (buffer: ArrayBuffer, byteOffset: number, length: number) => ArrayBufferView;

/** Kinds of views by number; a Buffer arrives as a Uint8Array. */
const KINDS: readonly (readonly [ViewKind, bytesPerElement: number])[] = [
  [Uint8Array, 1],
  [Int8Array, 1],
  [Uint8ClampedArray, 1],
  [Uint16Array, 2],
  [Int16Array, 2],
  [Uint32Array, 4],
  [Int32Array, 4],
  [Float32Array, 4],
  [Float64Array, 8],
  [BigInt64Array, 8],
  [BigUint64Array, 8],
  [DataView, 1],
];

class MessageSerializer extends DefaultSerializer {
  readonly parts: Uint8Array[] = [];

  /** V8 asks for this at every view. Only the bytes that it shows are sent, not the buffer behind it. */
  _writeHostObject(view: ArrayBufferView): void {
    const kind = KINDS.findIndex(([Kind]) => view instanceof Kind);
    if (kind === -1) throw new InternalError(`a ${view.constructor.name} cannot be sent to a rank`);
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    this.writeUint32(kind);
    this.writeUint32(bytes.length < PART_BYTES ? INLINE : this.parts.length);
    if (bytes.length >= PART_BYTES) this.parts.push(bytes);
    else {
      this.writeUint32(bytes.length);
      this.writeRawBytes(bytes);
    }
  }
}

class MessageDeserializer extends DefaultDeserializer {
  readonly #parts: readonly Uint8Array[];

  constructor({ body, parts }: EncodedMessage) {
    super(Buffer.from(body.buffer, body.byteOffset, body.byteLength));
    this.#parts = parts;
  }

  _readHostObject(): ArrayBufferView {
    const [Kind, width] = KINDS[this.readUint32()] ?? [undefined, 1];
    const place = this.readUint32();
    // A copy: what lies in the body is aligned to nothing.
    const bytes = place === INLINE ? this.#readInline() : this.#parts[place];
    if (!Kind || !bytes || bytes.length % width !== 0)
      throw new InternalError("an array in a message of a rank cannot be read");
    return new Kind(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length / width);
  }

  #readInline(): Uint8Array {
    return Uint8Array.from(this.readRawBytes(this.readUint32()));
  }
}

/**
 * The bytes of a message. Parts are views of the message's own arrays: they must stay as they are until they
 * are sent. InternalError for what cannot be sent (a function, a class's instance loses its class).
 */
export function encodeMessage(message: unknown): EncodedMessage {
  const serializer = new MessageSerializer();
  try {
    serializer.writeHeader();
    serializer.writeValue(message);
  } catch (error) {
    if (error instanceof InternalError) throw error;
    throw new InternalError(`a message to a rank cannot be sent: ${String(error)}`, { cause: error });
  }
  return { body: serializer.releaseBuffer(), parts: serializer.parts };
}

/**
 * The message behind the bytes; InternalError where they are none. Parts become its arrays without a copy.
 */
export function decodeMessage(encoded: EncodedMessage): unknown {
  try {
    const deserializer = new MessageDeserializer(encoded);
    deserializer.readHeader();
    return deserializer.readValue();
  } catch (error) {
    throw new InternalError(`a message of a rank cannot be read: ${String(error)}`, { cause: error });
  }
}
