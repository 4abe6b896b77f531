// A process that is rank 0 or a follower of a channel, for tests that kill, stop and cut: it does what its
// parent says and tells it what it notices.
import { isRaised } from "../../runtime/ranks/abortFlag.ts";
import type { ChannelOptions } from "../../runtime/ranks/channelProtocol.ts";
import { RankHub } from "../../runtime/ranks/rankHub.ts";
import { RankLink } from "../../runtime/ranks/rankLink.ts";

/** From the parent. */
export type ChildOrder =
  | { readonly kind: "open"; readonly size: number; readonly options: Partial<ChannelOptions> }
  | {
      readonly kind: "connect";
      readonly address: string;
      readonly rank: number;
      readonly size: number;
      readonly options: Partial<ChannelOptions>;
    }
  /** Computes without a break. */
  | { readonly kind: "compute"; readonly ms: number }
  /** Is within steps, or not any more. */
  | { readonly kind: "march"; readonly isOn: boolean }
  /** Blocks the main thread for ever. */
  | { readonly kind: "hang" }
  | { readonly kind: "request" }
  /** Rank 0 saves, or no more. */
  | { readonly kind: "hold"; readonly isHeld: boolean }
  /** Ends by itself; `close` and `exit` as a whole. */
  | { readonly kind: "close" };

/** To the parent. */
export type ChildNews =
  | { readonly kind: "address"; readonly address: string }
  | { readonly kind: "ready" | "computed" | "holding" }
  | { readonly kind: "replies"; readonly replies: readonly unknown[] }
  | { readonly kind: "failed"; readonly message: string; readonly isRaised: boolean }
  | { readonly kind: "ended"; readonly how: string };

function tell(news: ChildNews): void {
  process.send?.(news);
}

function fail(error: unknown, abort: SharedArrayBuffer): void {
  tell({ kind: "failed", message: String(error), isRaised: isRaised(abort) });
}

async function openHub(size: number, options: Partial<ChannelOptions>): Promise<RankHub> {
  const hub = await RankHub.open(options);
  hub.failed.addEventListener("abort", () => fail(hub.failed.reason, hub.abort));
  tell({ kind: "address", address: hub.address });
  await hub.accepted(size);
  tell({ kind: "ready" });
  return hub;
}

async function openLink({ address, options, ...who }: ChildOrder & { kind: "connect" }): Promise<RankLink> {
  const link = new RankLink(options);
  await link.connect(address, who);
  void link
    .serve(() => who.rank)
    .then(
      ({ kind }) => tell({ kind: "ended", how: kind }),
      (error) => fail(error, link.abort),
    );
  // A follower that is told by another way sees its flag.
  const look = setInterval(() => {
    if (!isRaised(link.abort)) return;
    tell({ kind: "failed", message: "flag", isRaised: true });
    clearInterval(look);
  }, 20).unref();
  tell({ kind: "ready" });
  return link;
}

let hub: RankHub | undefined;
let link: RankLink | undefined;
process.on("message", async (order: ChildOrder) => {
  if (order.kind === "open") hub = await openHub(order.size, order.options);
  else if (order.kind === "connect") link = await openLink(order);
  else if (order.kind === "march") (hub ?? link)?.march(order.isOn ? "step" : undefined);
  else if (order.kind === "compute") {
    const until = performance.now() + order.ms;
    while (performance.now() < until);
    tell({ kind: "computed" });
  } else if (order.kind === "hold") {
    hub?.hold(order.isHeld);
    tell({ kind: "holding" });
  } else if (order.kind === "hang") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  else if (order.kind === "request") tell({ kind: "replies", replies: (await hub?.request("go")) ?? [] });
  else {
    await hub?.close();
    await link?.close();
    process.disconnect();
  }
});
