// The record of a sitting while it lasts: where and by what a run is trained, and what is said meanwhile.
import { MttcError } from "../../compiler/diagnostics.ts";
import type { OrtHost } from "../ort/ortHost.ts";
import { providerTraits } from "../ort/provider.ts";
import { machineFacts, readSittings, type Sitting, writeSittings } from "../runs/sittings.ts";
import type { EventHub } from "./events.ts";

/** Of a session: its folder and what runs its graphs. */
interface SittingPlace {
  readonly directory: string;
  readonly host: Pick<OrtHost, "version" | "provider">;
  /** Where it leads several processes: how many they are, itself among them. */
  readonly leader?: { readonly size: number } | undefined;
}

export class SittingLog {
  readonly #events: EventHub;
  readonly #lines: string[] = [];
  readonly #stop: () => void;
  #begun: { readonly directory: string; readonly sittings: readonly Sitting[] } | undefined;
  #written = 0;

  /** Listens from now on. */
  constructor(events: EventHub) {
    this.#events = events;
    this.#stop = events.record((message) => this.#lines.push(message));
  }

  /** Adds this sitting, whose first epoch is `epoch`, to those of the run. E_FILE, E_DISK. */
  async begin({ directory, host, leader }: SittingPlace, epoch: number): Promise<void> {
    const { title } = providerTraits(host.provider);
    const ranks = leader?.size ?? 1;
    const machine = machineFacts({ version: host.version, provider: title, ranks });
    const sitting = { ...machine, epoch, started: new Date().toISOString(), lines: [] };
    this.#begun = { directory, sittings: [...(await readSittings(directory)), sitting] };
    await this.#write();
  }

  /** Stops listening, and keeps what was said since; a disk that is full is told, and changes nothing. */
  async end(): Promise<void> {
    this.#stop();
    try {
      if (this.#lines.length > this.#written) await this.#write();
    } catch (error) {
      if (!(error instanceof MttcError)) throw error;
      this.#events.emit("log", { message: `what was said is not kept: ${error.message}` });
    }
  }

  async #write(): Promise<void> {
    if (!this.#begun) return;
    const { directory, sittings } = this.#begun;
    const lines = [...this.#lines];
    const last = sittings.at(-1);
    await writeSittings(directory, [...sittings.slice(0, -1), ...(last ? [{ ...last, lines }] : [])]);
    this.#written = lines.length;
  }
}
