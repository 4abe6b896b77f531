// What goes wrong between the processes of one run, as typed errors: a fault that came from another rank says
// of which one, and a rank that is gone has a code of its own.
import { type Fault, InternalError, MttcError } from "../../compiler/diagnostics.ts";

/** A rank and the machine that it runs on. */
export interface RankSeat {
  readonly rank: number;
  readonly host: string;
}

/** "rank 2 on node7". */
export function seatText({ rank, host }: RankSeat): string {
  return `rank ${rank} on ${host}`;
}

/** E_RANK_LOST: `seat` ended, or does not answer; `how` begins with a verb, `more` goes on with the hint. */
export function lostRank(seat: RankSeat, how: string, more = ""): MttcError {
  return new MttcError({
    code: "E_RANK_LOST",
    message: `${seatText(seat)} ${how}`,
    hint: `what was saved stands: go on with --resume, with any number of ranks${more}`,
  });
}

/** E_RANKS: the processes of a run do not come together. */
export function rankStartFault(message: string, hint = ""): MttcError {
  return new MttcError({ code: "E_RANKS", message, ...(hint === "" ? {} : { hint }) });
}

/** The same error, which says on which rank it was; its stack is kept. */
export function faultOfRank(error: MttcError | InternalError, seat: RankSeat): MttcError | InternalError {
  const said = (message: string): string => `${seatText(seat)}: ${message}`;
  const told =
    error instanceof MttcError
      ? new MttcError(error.faults.map((fault): Fault => ({ ...fault, message: said(fault.message) })))
      : new InternalError(said(error.message));
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  told.stack = [`${told.name}: ${told.message}`, ...frames].join("\n");
  return told;
}
