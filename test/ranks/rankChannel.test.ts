// Messages between rank 0 and its followers: what arrives, in which order, from whom, and what becomes of
// faults, strangers, and ranks that do not come.
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { hostname } from "node:os";
import { describe, expect, it } from "vitest";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { isRaised } from "../../runtime/ranks/abortFlag.ts";
import { LOOPBACK } from "../../runtime/ranks/channelProtocol.ts";
import { addressText, freshKey, ownHosts, parseAddress } from "../../runtime/ranks/hubAddress.ts";
import { RankHub } from "../../runtime/ranks/rankHub.ts";
import { RankLink } from "../../runtime/ranks/rankLink.ts";
import { connectedPeers } from "./channelPeers.ts";

const SHORT = { acceptMs: 20_000, endMs: 400 };
/** Where somebody is waited for who does not come. */
const HASTY = { ...SHORT, acceptMs: 300 };

/** The error that a promise rejects with. */
async function rejection(work: Promise<unknown>): Promise<MttcError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(MttcError);
  return error as MttcError;
}

describe("where rank 0 listens", () => {
  it("at the loopback alone, where all ranks are on one host: nobody else gets in", async () => {
    await using peers = await connectedPeers(2, { host: LOOPBACK });
    const { hosts, port, heartbeatPort } = parseAddress(peers.hub.address);
    expect(hosts).toEqual([LOOPBACK]);
    // Another address of the same machine.
    for (const each of [port, heartbeatPort]) {
      const socket = connect({ host: "127.0.0.2", port: each });
      const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
      expect(error.code).toBe("ECONNREFUSED");
    }
  });
});

describe("messages", () => {
  it("go to all, in order, and replies come in the order of the ranks", async () => {
    await using peers = await connectedPeers(4);
    const { hub, links } = peers;
    const heard = links.map((): unknown[] => []);
    const ends = links.map((link, i) =>
      link.serve(async (message) => {
        heard[i]!.push(message);
        // The last rank answers first.
        await new Promise((resolve) => setTimeout(resolve, 30 * (3 - i)));
        return { rank: i + 1, message };
      }),
    );
    await hub.send("first");
    const replies = await hub.request("second");
    expect(replies).toEqual([1, 2, 3].map((rank) => ({ rank, message: "second" })));
    expect(heard).toEqual(links.map(() => ["first", "second"]));
    void hub.close({ kind: "interrupted" });
    expect(await Promise.all(ends)).toEqual(links.map(() => ({ kind: "interrupted" })));
  });

  it("hold what structured clone holds, large arrays, and views of a part of a buffer", async () => {
    await using peers = await connectedPeers(2);
    const { hub, links } = peers;
    void links[0]!.serve((message) => message);
    const large = Float32Array.from({ length: 1_000_000 }, (_, i) => i / 7);
    const message = {
      map: new Map([["a", { count: 2n ** 60n, when: new Date(5), list: [undefined, null, -0] }]]),
      set: new Set([1, "x"]),
      large,
      same: large.subarray(3, 900_001),
      small: Float64Array.of(1, Number.NaN),
      odd: new Uint8Array(70_001).fill(7),
      bits: new BigInt64Array(9000).fill(-3n),
      view: new DataView(Uint8Array.of(1, 2, 3).buffer, 1),
      none: new Float32Array(0),
      text: "é\u0000".repeat(100_000),
    };
    const [back] = await hub.request<typeof message>(message);
    // Element by element an assertion of this many takes seconds.
    const bytesOf = (part: Float32Array | undefined) =>
      Buffer.from(part!.buffer, part!.byteOffset, part!.byteLength);
    for (const key of ["large", "same"] as const)
      expect(bytesOf(back?.[key]).equals(bytesOf(message[key])), key).toBe(true);
    const rest = { large: 0, same: 0 };
    expect({ ...back, ...rest }).toEqual({ ...message, ...rest });
    // Of a part only the part travels.
    expect(back?.same.buffer.byteLength).toBe(message.same.byteLength);
    expect(back?.large).toBeInstanceOf(Float32Array);
  });

  it("of many megabytes go beside small ones to a slow reader, without loss", async () => {
    await using peers = await connectedPeers(3);
    const { hub, links } = peers;
    for (const link of links) void link.serve((message) => (message as { tag: number }).tag);
    const bytes = new Uint8Array(48 << 20).fill(9);
    const replies = [0, 1, 2].map((tag) => hub.request({ tag, bytes: tag === 1 ? bytes : undefined }));
    expect(await Promise.all(replies)).toEqual([0, 1, 2].map((tag) => [tag, tag]));
  });

  it("that cannot be sent are a fault of ours, and the next ones go on", async () => {
    await using peers = await connectedPeers(2);
    const { hub, links } = peers;
    void links[0]!.serve((message) => message);
    await expect(hub.request({ call: () => 1 })).rejects.toThrow(InternalError);
    await expect(hub.request(3)).resolves.toEqual([3]);
  });

  it("that come before a follower serves are not lost", async () => {
    await using peers = await connectedPeers(2);
    const { hub, links } = peers;
    const reply = hub.request("early");
    await new Promise((resolve) => setTimeout(resolve, 30));
    void links[0]!.serve((message) => message);
    expect(await reply).toEqual(["early"]);
  });
});

describe("a fault of a handler", () => {
  const broken = { code: "E_IMG_TRUNCATED", message: "it is cut short", at: { file: "a.png" } } as const;

  it("rejects the request with the rank, and ends the collectives of all", async () => {
    await using peers = await connectedPeers(3);
    const { hub, links } = peers;
    void links[0]!.serve(() => new Promise(() => undefined)).catch(() => undefined);
    void links[1]!.serve(() => {
      throw new MttcError(broken);
    });
    const error = await rejection(hub.request("read"));
    expect(error.faults).toEqual([{ ...broken, message: `rank 2 on ${hostname()}: it is cut short` }]);
    expect(error.exitCode).toBe(2);
    expect(hub.failed.reason).toBe(error);
    await expect.poll(() => [hub, ...links].map(({ abort }) => isRaised(abort))).toEqual([true, true, true]);
    expect(await rejection(hub.request("more"))).toBe(error);
  });

  it("after a message without reply is told by the hub's signal", async () => {
    await using peers = await connectedPeers(2);
    const { hub, links } = peers;
    void links[0]!.serve(() => {
      throw new MttcError(broken);
    });
    await hub.send("read");
    if (!hub.failed.aborted) await once(hub.failed, "abort");
    expect(hub.failed.reason).toMatchObject({ code: "E_IMG_TRUNCATED" });
    expect(await rejection(hub.send("more"))).toBe(hub.failed.reason);
  });

  it("of ours keeps its stack and stays one of ours", async () => {
    await using peers = await connectedPeers(2);
    const { hub, links } = peers;
    void links[0]!.serve(function unlucky() {
      throw new TypeError("x is no function");
    });
    const error: unknown = await hub.request("go").catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(InternalError);
    expect((error as Error).message).toMatch(/^rank 1 on .*x is no function$/);
    expect((error as Error).stack).toMatch(/^InternalError: rank 1 on .*\n.*unlucky/);
  });
});

describe("the end", () => {
  it("carries why rank 0 failed, and frees a follower's collective", async () => {
    await using peers = await connectedPeers(2);
    const { hub, links } = peers;
    const end = links[0]!.serve(() => undefined);
    const closing = hub.close({ kind: "failed", error: new MttcError({ code: "E_DISK", message: "full" }) });
    expect(await end).toMatchObject({ kind: "failed", error: { code: "E_DISK" } });
    expect(isRaised(links[0]!.abort)).toBe(true);
    await links[0]!.close();
    await closing;
  });

  it("waits until a follower's work is done, and for nobody for ever", async () => {
    await using peers = await connectedPeers(2, { endMs: 300 });
    const { hub, links } = peers;
    let done = false;
    const end = links[0]!.serve(async () => {
      await new Promise((resolve) => setTimeout(resolve, 60));
      done = true;
    });
    await hub.send("work");
    const closing = hub.close();
    await end;
    expect(done).toBe(true);
    // The link stays open: the hub cuts it.
    await closing;
  });

  it("that comes unsaid is a lost rank, on both sides", async () => {
    const { hub, links } = await connectedPeers(3);
    const serving = links[0]!.serve(() => undefined);
    const asked = rejection(hub.request("go"));
    await links[1]!.close();
    const lost = await asked;
    expect(lost.code).toBe("E_RANK_LOST");
    expect(lost.message).toContain(`rank 2 on ${hostname()} has ended`);
    await expect.poll(() => isRaised(links[0]!.abort)).toBe(true);
    const closing = hub.close({ kind: "failed", error: lost });
    expect(await serving).toMatchObject({ kind: "failed", error: { code: "E_RANK_LOST" } });
    await links[0]!.close();
    await closing;
  });
});

describe("who comes", () => {
  it("missing ranks are named", async () => {
    await using hub = await RankHub.open(HASTY);
    await using link = new RankLink(SHORT);
    await link.connect(hub.address, { rank: 2, size: 4 });
    const error = await rejection(hub.accepted(4));
    expect(error.code).toBe("E_RANKS");
    expect(error.message).toContain("ranks 1, 3 of 4 did not come within 0 s");
    void hub.close();
  });

  it("two of one rank: the second is refused, the first goes on", async () => {
    await using peers = await connectedPeers(2);
    const { hub, links } = peers;
    void links[0]!.serve((message) => message);
    const second = await rejection(new RankLink(SHORT).connect(hub.address, { rank: 1, size: 2 }));
    expect(second).toMatchObject({ code: "E_RANKS" });
    expect(second.message).toContain("two processes are rank 1");
    expect(await hub.request(1)).toEqual([1]);
  });

  it("ranks of another count are refused", async () => {
    await using hub = await RankHub.open(SHORT);
    await using link = new RankLink(SHORT);
    await link.connect(hub.address, { rank: 1, size: 3 });
    expect((await rejection(hub.accepted(2))).message).toContain("rank 1 was started as one of 3");
    void hub.close();
  });

  it("strangers come to nothing: a wrong key, garbage, silence, a crowd", async () => {
    await using peers = await connectedPeers(2);
    const { hub, links } = peers;
    void links[0]!.serve((message) => message);
    const address = parseAddress(hub.address);
    const forged = addressText({ ...address, key: freshKey() });
    const refused = await rejection(new RankLink(SHORT).connect(forged, { rank: 1, size: 2 }));
    expect(refused.message).toMatch(/something else answers there/);
    const sockets = Array.from({ length: 40 }, (_, i) => {
      const socket = connect(address.port, "127.0.0.1").on("error", () => undefined);
      if (i % 2 === 0) socket.write(Buffer.alloc(100_000, i));
      return socket;
    });
    const loud = sockets.filter((_, i) => i % 2 === 0);
    await Promise.all(loud.map((socket) => new Promise((resolve) => socket.once("close", resolve))));
    expect(await hub.request(5)).toEqual([5]);
    for (const socket of sockets) socket.destroy();
  });

  it("a host that hears and says nothing does not hold up the others, nor for ever", async () => {
    await using hub = await RankHub.open(SHORT);
    const silent = createServer(() => undefined).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const address = parseAddress(hub.address);
    const { port } = silent.address() as { port: number };
    const all = ["localhost", ...address.hosts, "192.0.2.1", "no-such-host.invalid"];
    await using link = new RankLink(SHORT);
    await link.connect(addressText({ ...address, hosts: all }), { rank: 1, size: 2 });
    const stuck = addressText({ ...address, hosts: ["127.0.0.1"], port });
    const error = await rejection(new RankLink(HASTY).connect(stuck, { rank: 1, size: 2 }));
    expect(error.message).toMatch(/rank 0 is not to be reached at port \d+ .*127\.0\.0\.1/);
    silent.close();
    void hub.close();
  });

  it("an address has this machine's addresses and names, without those of one link alone", () => {
    const hosts = ownHosts();
    expect(hosts).toEqual(expect.arrayContaining(["127.0.0.1", hostname()]));
    expect(hosts.filter((host) => host.startsWith("fe80"))).toEqual([]);
    expect(() => parseAddress("{}")).toThrow(InternalError);
    expect(() => parseAddress("[")).toThrow(InternalError);
  });

  it("a port that is taken is refused by name", async () => {
    await using hub = await RankHub.open(SHORT);
    const { port } = parseAddress(hub.address);
    expect((await rejection(RankHub.open({ port }))).message).toContain(`cannot listen at port ${port}`);
  });
});
