// Messages on a TCP connection between two ranks, each after a header with the lengths of what follows:
//   magic u32, parts u32, bytes of the body u64, bytes of each part u64 ...; body; parts
// Sent one after the other in pieces, and no faster than the other side takes them; read as they come.
import type { Socket } from "node:net";
import { InternalError } from "../../compiler/diagnostics.ts";
import { decodeMessage, type EncodedMessage, encodeMessage } from "./messageCodec.ts";

const MAGIC = 0x6d74_7463;
const HEAD_BYTES = 16;
const LENGTH_BYTES = 8;
const PIECE_BYTES = 1 << 20;
/** More than any message of ours: of these numbers nothing is allocated. */
const MAX_PARTS = 1 << 20;
const MAX_BYTES = 2 ** 36;

/** What a connection tells. */
export interface MessageListener {
  /** A message, in the order in which they were sent. */
  readonly onMessage: (message: unknown) => void;
  /** The connection is at its end: "has ended", or what is wrong with it. Once. */
  readonly onEnd: (how: string) => void;
}

/** A connection that is known to be of the run. */
export class MessageSocket {
  readonly #socket: Socket;
  readonly #listener: MessageListener;
  readonly #reader = new MessageReader();
  #sending: Promise<void> = Promise.resolve();
  #ended = false;

  constructor(socket: Socket, listener: MessageListener) {
    this.#socket = socket;
    this.#listener = listener;
    socket.setNoDelay(true);
    socket.on("data", (chunk) => this.#take(chunk));
    // The close that follows an error says it: a killed process resets some connections and closes others.
    socket.on("error", () => undefined);
    socket.on("end", () => this.#end("has ended"));
    socket.on("close", () => this.#end("has ended"));
    // The handshake read it piece by piece.
    socket.resume();
    if (socket.destroyed) queueMicrotask(() => this.#end("has ended"));
  }

  /**
   * Sends a message after those before it; resolves when the system has taken all of it, and also where the
   * connection ends, which is told to the listener. InternalError for what cannot be sent.
   */
  async send(message: unknown): Promise<void> {
    // Now and not when its turn comes: but for large arrays the message may change after this call.
    await this.sendEncoded(encodeMessage(message));
  }

  /** The same of a message that goes to several. */
  sendEncoded(encoded: EncodedMessage): Promise<void> {
    this.#sending = this.#sending.then(() => this.#write(encoded));
    return this.#sending;
  }

  /** Resolves when the connection is closed on both sides. */
  get closed(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.destroyed) resolve();
      else this.#socket.once("close", () => resolve());
    });
  }

  /** Says that nothing more is sent; what was sent still arrives. */
  finish(): void {
    this.#socket.end();
  }

  /** Cuts the connection; the listener hears nothing more. */
  destroy(): void {
    this.#ended = true;
    this.#socket.destroy();
  }

  async #write({ body, parts }: EncodedMessage): Promise<void> {
    const head = Buffer.alloc(HEAD_BYTES + LENGTH_BYTES * parts.length);
    head.writeUInt32LE(MAGIC, 0);
    head.writeUInt32LE(parts.length, 4);
    for (const [i, { length }] of [body, ...parts].entries())
      head.writeBigUInt64LE(BigInt(length), 8 + LENGTH_BYTES * i);
    // One small message is one packet.
    if (body.length <= PIECE_BYTES) await this.#put(Buffer.concat([head, body]));
    else for (const bytes of [head, body]) await this.#put(bytes);
    for (const part of parts) await this.#put(part);
  }

  async #put(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#socket.destroyed; at += PIECE_BYTES) {
      const piece = bytes.subarray(at, at + PIECE_BYTES);
      await new Promise<void>((resolve) => this.#socket.write(piece, () => resolve()));
    }
  }

  #take(chunk: Uint8Array): void {
    try {
      for (const encoded of this.#reader.push(chunk)) {
        if (this.#ended) return;
        this.#listener.onMessage(decodeMessage(encoded));
      }
    } catch (error) {
      this.#end(`sends what cannot be read (${error instanceof Error ? error.message : String(error)})`);
      this.#socket.destroy();
    }
  }

  #end(why: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#listener.onEnd(why);
  }
}

/** Cuts what arrives into messages; each array has memory of its own. */
class MessageReader {
  /** What is being read: the head, the lengths, and then body and parts. */
  #wanted = new Uint8Array(HEAD_BYTES);
  #filled = 0;
  #lengths: number[] | undefined;
  #parts = 0;
  #bodyBytes = 0;
  #read: Uint8Array[] = [];

  /** Messages that are whole with this chunk. InternalError where it is none of ours. */
  push(chunk: Uint8Array): EncodedMessage[] {
    const whole: EncodedMessage[] = [];
    let at = 0;
    for (;;) {
      const taken = chunk.subarray(at, at + this.#wanted.length - this.#filled);
      this.#wanted.set(taken, this.#filled);
      this.#filled += taken.length;
      at += taken.length;
      if (this.#filled < this.#wanted.length) return whole;
      const message = this.#advance(this.#wanted);
      if (message) whole.push(message);
    }
  }

  #advance(bytes: Uint8Array): EncodedMessage | undefined {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    if (this.#lengths !== undefined) this.#read.push(bytes);
    else if (this.#bodyBytes === 0) {
      this.#parts = view.readUInt32LE(4);
      this.#bodyBytes = Number(view.readBigUInt64LE(8));
      if (view.readUInt32LE(0) !== MAGIC || this.#parts > MAX_PARTS || this.#bodyBytes === 0)
        throw new InternalError("no message of a rank");
      this.#want(LENGTH_BYTES * this.#parts);
      return undefined;
    } else {
      const lengths = Array.from({ length: this.#parts }, (_, i) =>
        Number(view.readBigUInt64LE(LENGTH_BYTES * i)),
      );
      this.#lengths = [this.#bodyBytes, ...lengths];
      const total = this.#lengths.reduce((sum, length) => sum + length, 0);
      if (total > MAX_BYTES) throw new InternalError(`a message of ${total} bytes`);
    }
    const next = this.#lengths[this.#read.length];
    if (next !== undefined) {
      this.#want(next);
      return undefined;
    }
    const [body, ...parts] = this.#read;
    this.#lengths = undefined;
    this.#bodyBytes = 0;
    this.#read = [];
    this.#want(HEAD_BYTES);
    return body && { body, parts };
  }

  #want(bytes: number): void {
    this.#wanted = new Uint8Array(bytes);
    this.#filled = 0;
  }
}
