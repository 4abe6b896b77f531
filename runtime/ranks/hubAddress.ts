// Where rank 0 listens, as a text that travels by another way (MPI's broadcast): every name that its machine
// may be known by, its ports, and a key that only the run's own processes have.
import { randomBytes } from "node:crypto";
import { hostname, networkInterfaces } from "node:os";
import { InternalError } from "../../compiler/diagnostics.ts";

/** Bytes of the key. */
const KEY_BYTES = 32;

/** Where rank 0 is to be reached; hosts are addresses and names, all of which may be tried at once. */
export interface HubAddress {
  readonly hosts: readonly string[];
  /** TCP ports of messages and of the heartbeat. */
  readonly port: number;
  readonly heartbeatPort: number;
  /** [32] bytes. */
  readonly key: Uint8Array;
}

/** A key for one run. */
export function freshKey(): Uint8Array {
  return Uint8Array.from(randomBytes(KEY_BYTES));
}

/**
 * Addresses and names of this machine: those of its interfaces, IPv4 first, its host name (what a container's
 * network resolves where its address is another one outside) and its loopback, for ranks beside rank 0.
 */
export function ownHosts(): readonly string[] {
  const found = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const inner = found.filter(({ internal }) => internal);
  // An IPv6 address of one link (fe80::) means nothing without the name of the other side's interface.
  const outer = found.filter(({ internal, address }) => !internal && !/^fe[89ab]/i.test(address));
  const ordered = [...outer, ...inner].sort(
    (a, b) => Number(a.family === "IPv6") - Number(b.family === "IPv6"),
  );
  return [...new Set([...ordered.map(({ address }) => address), hostname()])];
}

/** The text that followers are given. */
export function addressText({ hosts, port, heartbeatPort, key }: HubAddress): string {
  return JSON.stringify({ hosts, port, heartbeatPort, key: Buffer.from(key).toString("hex") });
}

/** The address behind the text, which our own broadcast brought: InternalError for anything else. */
export function parseAddress(text: string): HubAddress {
  try {
    const { hosts, port, heartbeatPort, key } = JSON.parse(text) as Record<string, unknown>;
    const bytes = Uint8Array.from(Buffer.from(String(key), "hex"));
    const isHosts = Array.isArray(hosts) && hosts.every((host) => typeof host === "string");
    if (isHosts && isPort(port) && isPort(heartbeatPort) && bytes.length === KEY_BYTES)
      return { hosts, port, heartbeatPort, key: bytes };
  } catch {
    // Said below.
  }
  throw new InternalError("the address of rank 0 cannot be read");
}

function isPort(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536;
}
