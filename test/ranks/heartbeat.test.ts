// Who is noticed to be lost, by whom, how soon, and who is not: real processes that are killed, stopped, kept
// busy, or hang.
import { afterEach, expect, it } from "vitest";
import type { ChannelOptions } from "../../runtime/ranks/channelProtocol.ts";
import { ChannelRank } from "./channelRank.ts";
import { RankNetwork } from "./rankNetwork.ts";

const TIMES = { heartbeatMs: 50, limitMs: 700, endMs: 900, acceptMs: 20_000 };

const started: ChannelRank[] = [];
afterEach(async () => {
  for (const { child } of started) child.kill("SIGKILL");
  for (const rank of started.splice(0)) await rank.exit();
});

/** Ranks that are connected, rank 0 first. */
async function job(
  size: number,
  options: Partial<ChannelOptions> = TIMES,
  on: (rank: number) => readonly string[] = () => [],
): Promise<ChannelRank[]> {
  const ranks = Array.from({ length: size }, (_, rank) => new ChannelRank(on(rank)));
  started.push(...ranks);
  ranks[0]!.order({ kind: "open", size, options });
  const { address } = await ranks[0]!.hears("address");
  for (const [rank, each] of ranks.entries())
    if (rank > 0) each.order({ kind: "connect", address, rank, size, options });
  for (const rank of ranks) await rank.hears("ready");
  return ranks;
}

it("computing without a break is not taken for being dead, and what was asked meanwhile is answered", async () => {
  const ranks = await job(2);
  for (const rank of ranks) rank.order({ kind: "compute", ms: 4 * TIMES.limitMs });
  ranks[0]!.order({ kind: "request" });
  for (const rank of ranks) await rank.hears("computed");
  expect((await ranks[0]!.hears("replies")).replies).toEqual([1]);
  expect(ranks.flatMap(({ news }) => news.map(({ kind }) => kind))).not.toContain("failed");
  ranks[0]!.order({ kind: "close" });
  expect(await ranks[1]!.hears("ended")).toEqual({ kind: "ended", how: "done" });
  ranks[1]!.order({ kind: "close" });
  for (const rank of ranks) expect(await rank.exit()).toBe(0);
});

it.each([
  ["a follower that waits for ever", 1, { kind: "hang" }],
  ["a follower in an endless loop", 1, { kind: "compute", ms: 60_000 }],
  ["rank 0 in an endless loop", 0, { kind: "compute", ms: 60_000 }],
] as const)("within steps: %s is named, and ended", async (_what, which, order) => {
  const ranks = await job(3, { ...TIMES, stallMs: 700 });
  const hanging = ranks[which]!;
  hanging.order({ kind: "march", isOn: true });
  hanging.order(order);
  const { message, isRaised } = await ranks[1 - which]!.hears("failed");
  expect(message).toMatch(
    which === 0
      ? /rank 0 on \S+ hangs: its main thread has stood still for 0\.\d+ s \[E_RANK_LOST\]|^flag$/
      : /rank 1 on \S+ hangs: its main thread has stood still for 0\.\d+ s \[E_RANK_LOST\]/,
  );
  expect(isRaised).toBe(true);
  expect(await hanging.exit()).toBe(2);
});

it("steps that are over, and a main thread that was busy for less, are no hang", async () => {
  const [hub, follower] = await job(2, { ...TIMES, stallMs: 700 });
  follower!.order({ kind: "march", isOn: true });
  follower!.order({ kind: "compute", ms: 400 });
  await follower!.hears("computed");
  follower!.order({ kind: "march", isOn: false });
  follower!.order({ kind: "compute", ms: 1500 });
  hub!.order({ kind: "request" });
  expect((await hub!.hears("replies")).replies).toEqual([1]);
  hub!.order({ kind: "close" });
  follower!.order({ kind: "close" });
  for (const rank of [hub!, follower!]) expect(await rank.exit()).toBe(0);
});

it("a killed follower is named at once on rank 0, and others' collectives are freed", async () => {
  const [hub, killed, other] = await job(3);
  killed!.child.kill("SIGKILL");
  const { message, isRaised } = await hub!.hears("failed");
  expect(message).toMatch(/rank 1 on \S+ has ended \[E_RANK_LOST\]/);
  expect(isRaised).toBe(true);
  await other!.hears("failed");
});

it("a stopped follower is named after the limit, though the others compute", async () => {
  const [hub, stopped, other] = await job(3);
  const began = performance.now();
  other!.order({ kind: "compute", ms: 2 * TIMES.limitMs });
  stopped!.child.kill("SIGSTOP");
  const { message } = await hub!.hears("failed");
  expect(message).toMatch(/rank 1 on \S+ does not answer since 0.7 s \[E_RANK_LOST\]/);
  expect(performance.now() - began).toBeGreaterThan(TIMES.limitMs / 2);
  await other!.hears("failed");
  // Once it goes on it sees that it was given up.
  stopped!.child.kill("SIGCONT");
  await stopped!.hears("failed");
});

it("a killed and a stopped rank 0 are noticed by all followers", async () => {
  for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
    const [hub, ...followers] = await job(3);
    hub!.child.kill(signal);
    for (const follower of followers) {
      await follower.hears("failed");
      const told = (): string => follower.news.map((each) => JSON.stringify(each)).join("\n");
      const how = signal === "SIGKILL" ? "has ended" : "does not answer since 0.7 s";
      await expect.poll(told).toMatch(new RegExp(`rank 0 on \\S+ ${how}`));
    }
  }
});

it("processes that are all stopped and go on are not taken for dead", async () => {
  const ranks = await job(3);
  for (const { child } of ranks) child.kill("SIGSTOP");
  await new Promise((resolve) => setTimeout(resolve, 3 * TIMES.limitMs));
  for (const { child } of ranks) child.kill("SIGCONT");
  await new Promise((resolve) => setTimeout(resolve, 2 * TIMES.limitMs));
  ranks[0]!.order({ kind: "request" });
  expect((await ranks[0]!.hears("replies")).replies).toEqual([1, 2]);
  expect(ranks.flatMap(({ news }) => news.map(({ kind }) => kind))).not.toContain("failed");
});

it("a process whose main thread does not end is ended, with a line that says why", async () => {
  const [hub, killed, other] = await job(3);
  hub!.order({ kind: "hang" });
  other!.order({ kind: "hang" });
  await new Promise((resolve) => setTimeout(resolve, 100));
  killed!.child.kill("SIGKILL");
  expect(await hub!.exit()).toBe(2);
  expect(hub!.stderr).toMatch(
    /^error: rank 1 on \S+ has ended, and this process does not come to its end: .* \[E_RANK_LOST\]\n$/,
  );
  // Rank 0 is gone now: the other one's own heartbeat ends it.
  expect(await other!.exit()).toBe(2);
  expect(other!.stderr).toMatch(/^error: rank 0 on \S+ has ended, and/);
});

it("while rank 0 saves it is not ended, whoever is lost before or meanwhile, and then it is", async () => {
  const [hub, killed, other] = await job(3);
  hub!.order({ kind: "hold", isHeld: true });
  await hub!.hears("holding");
  hub!.order({ kind: "hold", isHeld: true });
  killed!.child.kill("SIGKILL");
  await hub!.hears("failed");
  hub!.order({ kind: "hold", isHeld: false });
  // Held once still: longer than it would have.
  await new Promise((resolve) => setTimeout(resolve, 4 * TIMES.endMs));
  expect(hub!.child.exitCode).toBeNull();
  hub!.order({ kind: "hold", isHeld: false });
  expect(await hub!.exit()).toBe(2);
  expect(await other!.hears("failed")).toBeDefined();
});

it("a follower that does not end when the run has ended is ended", async () => {
  const [hub, other] = await job(2);
  other!.order({ kind: "hang" });
  await new Promise((resolve) => setTimeout(resolve, 100));
  hub!.order({ kind: "close" });
  expect(await hub!.exit()).toBe(0);
  expect(await other!.exit()).toBe(2);
  expect(other!.stderr).toMatch(/^error: rank 0 on \S+ has ended.*, and this process .*\[E_RANK_LOST\]\n$/);
});

it("a cut link is noticed on both of its sides, within the real times, and all have ended within 30 s", async (test) => {
  const network = RankNetwork.of(4);
  if (typeof network === "string") return test.skip(network);
  using machines = network;
  const ranks = await job(4, {}, (rank) => machines.on(rank));
  const began = performance.now();
  machines.cut(2);
  // Nobody comes to an end by itself.
  for (const rank of ranks) rank.order({ kind: "hang" });
  const ends = await Promise.all(ranks.map((rank) => rank.exit()));
  expect(performance.now() - began).toBeLessThan(30_000);
  expect(ends).toEqual([2, 2, 2, 2]);
  const told = ranks.map(({ stderr }) =>
    /^error: (rank \d) on \S+ (.*), and this process/.exec(stderr)?.slice(1),
  );
  expect(told[0]).toEqual(["rank 2", "does not answer since 14 s"]);
  expect(told[2]).toEqual(["rank 0", "does not answer since 14 s"]);
  expect([told[1], told[3]]).toEqual([
    ["rank 0", "has ended"],
    ["rank 0", "has ended"],
  ]);
}, 60_000);
