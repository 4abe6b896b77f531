// A follower's way to rank 0: all hosts of the address are tried at once, since a machine has many and only
// some of them are to be reached from here (another network, a container's bridge that this machine has,
// too). The first one that proves to be the run's rank 0 is kept.
import { connect, type Socket } from "node:net";
import type { MttcError } from "../../compiler/diagnostics.ts";
import {
  authenticateHub,
  completeHandshake,
  type RankIdentity,
  StrangerError,
  VERDICT,
} from "./handshake.ts";
import type { HubAddress } from "./hubAddress.ts";
import { patientTimer } from "./patientTimer.ts";
import { rankStartFault } from "./rankFaults.ts";

/**
 * A connection to rank 0 on which both sides have proven themselves, within `waitMs`. E_RANKS where no host
 * is rank 0 (with what each said), or where another process is the same rank already.
 */
export async function dialHub(
  { hosts, key }: Pick<HubAddress, "hosts" | "key">,
  port: number,
  who: RankIdentity,
  waitMs: number,
): Promise<Socket> {
  const sockets: Socket[] = [];
  const failures: string[] = [];
  const tries = hosts.map(async (host) => {
    const socket = connect({ host, port, noDelay: true, autoSelectFamily: true });
    // Whoever waits for it hears of it; one that nobody waits for any more may fail in silence.
    socket.on("error", () => undefined);
    sockets.push(socket);
    try {
      await connected(socket);
      return { socket, proven: await authenticateHub(socket, key, who) };
    } catch (error) {
      failures.push(`${host} (${reasonOf(error)})`);
      throw error;
    }
  });
  const stop = patientTimer(waitMs, () => {
    for (const socket of sockets) socket.destroy();
  });
  let kept: Socket | undefined;
  try {
    const { socket, proven } = await Promise.any(tries).catch(() => {
      throw unreached(port, failures);
    });
    const verdict = await completeHandshake(socket, proven).catch(() => undefined);
    if (verdict === VERDICT.rankTaken)
      throw rankStartFault(`two processes are rank ${who.rank}`, LAUNCH_HINT);
    if (verdict !== VERDICT.accepted) throw unreached(port, [`${socket.remoteAddress} (it hangs up)`]);
    kept = socket;
    return socket;
  } finally {
    stop();
    for (const socket of sockets) if (socket !== kept) socket.destroy();
  }
}

const LAUNCH_HINT = "start all of them by one launcher: `mttc train SPEC --ranks N`";

function unreached(port: number, failures: readonly string[]): MttcError {
  const tried = failures.join(", ");
  return rankStartFault(
    `rank 0 is not to be reached at port ${port} of any of its addresses: ${tried}`,
    "ranks talk over TCP between all machines: a firewall between them must let them",
  );
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
    socket.once("close", () => reject(new StrangerError("no answer")));
  });
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}
