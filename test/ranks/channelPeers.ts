// Rank 0 and its followers in one process, for tests of what they say to each other.

import type { ChannelOptions } from "../../runtime/ranks/channelProtocol.ts";
import { RankHub } from "../../runtime/ranks/rankHub.ts";
import { RankLink } from "../../runtime/ranks/rankLink.ts";

export interface Peers extends AsyncDisposable {
  readonly hub: RankHub;
  /** Of ranks 1 to size - 1. */
  readonly links: readonly RankLink[];
}

/** A hub and the links of all its followers, connected. */
export async function connectedPeers(size: number, options: Partial<ChannelOptions> = {}): Promise<Peers> {
  const hub = await RankHub.open(options);
  const links = Array.from({ length: size - 1 }, () => new RankLink(options));
  const connections = links.map((link, i) => link.connect(hub.address, { rank: i + 1, size }));
  await Promise.all([hub.accepted(size), ...connections]);
  const close = async (): Promise<void> => {
    await Promise.all([hub.close(), ...links.map((link) => link.close())]);
  };
  return { hub, links, [Symbol.asyncDispose]: close };
}
