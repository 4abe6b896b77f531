// How two processes of a run know each other over a TCP connection that anybody could have opened: both
// prove, by an HMAC over numbers that both drew, that they hold the run's key, which itself never travels
// here. All is of fixed size and nothing is parsed before that. In order:
//   follower -> hub: magic [8], rank u32, size u32, its number [16]
//   hub -> follower: its number [16], proof [32]; of several hosts the first proven one is kept
//   follower -> hub: proof [32]
//   hub -> follower: verdict u8
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Socket } from "node:net";
import { patientTimer } from "./patientTimer.ts";

const MAGIC = Buffer.from("mttc\u0001ran");
const NONCE_BYTES = 16;
const PROOF_BYTES = 32;
const HELLO_BYTES = MAGIC.length + 8 + NONCE_BYTES;

/** What the hub says to one that proved itself. */
export const VERDICT = { accepted: 1, rankTaken: 2 } as const;
export type Verdict = (typeof VERDICT)[keyof typeof VERDICT];

/** Who a follower says it is. */
export interface RankIdentity {
  readonly rank: number;
  readonly size: number;
}

/** The hub's side: who is there, once that is proven; undefined for anybody else. Never rejects. */
export async function authenticateFollower(
  socket: Socket,
  key: Uint8Array,
  waitMs: number,
): Promise<RankIdentity | undefined> {
  const stop = patientTimer(waitMs, () => socket.destroy());
  try {
    const hello = await readExactly(socket, HELLO_BYTES);
    if (!hello.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
    const nonce = randomBytes(NONCE_BYTES);
    socket.write(Buffer.concat([nonce, proof(key, "hub", hello, nonce)]));
    const proven = await readExactly(socket, PROOF_BYTES);
    if (!timingSafeEqual(proven, proof(key, "rank", hello, nonce))) return undefined;
    return { rank: hello.readUInt32LE(MAGIC.length), size: hello.readUInt32LE(MAGIC.length + 4) };
  } catch {
    // A stranger may hang up at any time.
    return undefined;
  } finally {
    stop();
  }
}

/** What the hub answers a follower that has proven itself. */
export function sendVerdict(socket: Socket, verdict: Verdict): void {
  socket.write(Uint8Array.of(verdict));
}

/** The follower's side up to the hub's proof; returns its own. Throws where it is not the run's hub. */
export async function authenticateHub(
  socket: Socket,
  key: Uint8Array,
  { rank, size }: RankIdentity,
): Promise<Uint8Array> {
  const hello = Buffer.alloc(HELLO_BYTES);
  MAGIC.copy(hello);
  hello.writeUInt32LE(rank, MAGIC.length);
  hello.writeUInt32LE(size, MAGIC.length + 4);
  randomBytes(NONCE_BYTES).copy(hello, MAGIC.length + 8);
  socket.write(hello);
  const answer = await readExactly(socket, NONCE_BYTES + PROOF_BYTES);
  const nonce = answer.subarray(0, NONCE_BYTES);
  if (!timingSafeEqual(answer.subarray(NONCE_BYTES), proof(key, "hub", hello, nonce)))
    throw new StrangerError("something else answers there");
  return proof(key, "rank", hello, nonce);
}

/** The rest of it on the connection that is kept. */
export async function completeHandshake(socket: Socket, proven: Uint8Array): Promise<Verdict | undefined> {
  socket.write(proven);
  const [verdict] = await readExactly(socket, 1);
  return Object.values(VERDICT).find((known) => known === verdict);
}

/** Why a connection came to nothing; caught where all tries are told together. */
export class StrangerError extends Error {
  override readonly name = "StrangerError";
}

function proof(key: Uint8Array, side: "hub" | "rank", hello: Uint8Array, nonce: Uint8Array): Buffer {
  return createHmac("sha256", key).update(side).update(hello).update(nonce).digest();
}

/**
 * The next `size` bytes and not one more: what follows them stays in the socket. Rejects where it ends
 * before.
 */
function readExactly(socket: Socket, size: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      socket.off("readable", look);
      socket.off("error", fail);
      socket.off("close", end);
      socket.off("end", end);
    };
    const look = (): void => {
      const bytes = socket.read(size) as Buffer | null;
      // At its end a socket gives less than was asked for.
      if (bytes === null || bytes.length < size) return;
      stop();
      resolve(bytes);
    };
    const fail = (error: Error): void => {
      stop();
      reject(error);
    };
    const end = (): void => fail(new StrangerError("it hangs up"));
    socket.on("readable", look);
    socket.on("error", fail);
    socket.on("close", end);
    socket.on("end", end);
    if (socket.destroyed) end();
    else look();
  });
}
