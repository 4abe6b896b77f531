// Whose a file or folder is that a process makes for itself alone, as a part of its name: later processes
// tell by it whether its owner is gone, and remove what that has left.
import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { systemCode } from "./fileSystem.ts";

/** This process, as a part of a name: <machine>-<pid>-<start>, /[0-9a-f]{8}-\d+-[0-9a-f]{8}/. */
export function ownerName(): string {
  return `${thisMachine()}-${process.pid}-${startOf(process.pid)}`;
}

/** Whether the process of that name has ended; undefined where it is of another machine: nobody can ask. */
export function isOwnerGone(owner: string): boolean | undefined {
  const [machine, pid, start] = owner.split("-");
  if (machine !== thisMachine()) return undefined;
  return !(isProcessAlive(Number(pid)) && startOf(Number(pid)) === start);
}

/** Whether a process of this machine runs under `pid`, whoever owns it. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === "EPERM";
  }
}

/** Eight hexadecimal digits that stand for a text. */
export function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}

/** The boot and the space of process numbers that a pid belongs to: containers of a host differ. */
function thisMachine(): string {
  const boot = orEmpty(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8"));
  return shortHash(`${boot} ${orEmpty(() => readlinkSync("/proc/self/ns/pid"))} ${hostname()}`);
}

/**
 * Tells a process from a later one of the same number: a hash of the clock tick at which it began (Linux,
 * proc(5), stat field 22). Where there is no /proc all processes of one number look the same.
 */
function startOf(pid: number): string {
  const stat = orEmpty(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  // The second field is the command in parentheses and may hold spaces; count from behind it.
  return shortHash(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "");
}

function orEmpty(read: () => string): string {
  try {
    return read();
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return "";
  }
}
