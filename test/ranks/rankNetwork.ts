// Machines on one network, as far as the kernel can tell: network namespaces, joined by a bridge, each with a
// link that can be cut. Needs root, `ip` and the right to make namespaces.
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

function ip(...words: readonly string[]): void {
  execFileSync("ip", words, { stdio: ["ignore", "ignore", "pipe"] });
}

export class RankNetwork implements Disposable {
  readonly #tag: string;
  readonly #folder = mkdtempSync(join(tmpdir(), "mttc-network-"));
  readonly #spaces: string[] = [];
  /** Third number of the addresses: no two networks at the same time share it. */
  readonly #net = 1 + (process.pid % 250);

  private constructor() {
    // Names of interfaces are short.
    this.#tag = (process.pid % 100_000).toString(36);
  }

  /** So many machines; why there are none, where they cannot be made. */
  static of(size: number): RankNetwork | string {
    if (process.platform !== "linux" || process.getuid?.() !== 0)
      return "network namespaces need Linux and root";
    const network = new RankNetwork();
    try {
      network.#make(size);
      return network;
    } catch (error) {
      network[Symbol.dispose]();
      return `network namespaces cannot be made here: ${String(error).split("\n")[0]}`;
    }
  }

  #make(size: number): void {
    const bridge = `mb${this.#tag}`;
    ip("link", "add", bridge, "type", "bridge");
    ip("link", "set", bridge, "up");
    for (let i = 0; i < size; i++) {
      const space = `mttc-${this.#tag}-${i}`;
      ip("netns", "add", space);
      this.#spaces.push(space);
      ip("link", "add", this.#link(i), "type", "veth", "peer", "name", "eth0", "netns", space);
      ip("link", "set", this.#link(i), "master", bridge, "up");
      ip("-n", space, "addr", "add", `${this.host(i)}/24`, "dev", "eth0");
      for (const each of ["eth0", "lo"]) ip("-n", space, "link", "set", each, "up");
    }
  }

  /** Address of machine `i`. */
  host(i: number): string {
    return `10.77.${this.#net}.${i + 1}`;
  }

  /** The words before a command that is to run on machine `i`. */
  on(i: number): readonly string[] {
    return ["ip", "netns", "exec", this.#spaces[i] ?? ""];
  }

  /** Cuts the link of machine `i`: what is sent to it and from it is lost without a word. */
  cut(i: number): void {
    ip("link", "set", this.#link(i), "down");
  }

  /** What mpiexec calls in place of ssh: SHELL [-x] HOST COMMAND. */
  shell(): string {
    const file = join(this.#folder, "shell");
    const lines = [
      "#!/bin/sh",
      "case $1 in -*) shift ;; esac",
      "host=$1; shift",
      `place=$(expr $(echo $host | cut -d . -f 4) - 1)`,
      `exec ip netns exec mttc-${this.#tag}-$place sh -c "$*"`,
    ];
    writeFileSync(file, `${lines.join("\n")}\n`);
    chmodSync(file, 0o755);
    return file;
  }

  [Symbol.dispose](): void {
    const quietly = (...words: readonly string[]): void => {
      try {
        ip(...words);
      } catch {
        // Not made, or gone already.
      }
    };
    for (const [i, space] of this.#spaces.entries()) {
      quietly("link", "del", this.#link(i));
      quietly("netns", "del", space);
    }
    quietly("link", "del", `mb${this.#tag}`);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #link(i: number): string {
    return `mv${this.#tag}-${i}`;
  }
}
