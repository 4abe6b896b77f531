// The learning rate range test: what it proposes of a curve, and the command on the tiny data set.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { proposedRate } from "../../runtime/train/rateTest.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData } from "../cli/tinyData.ts";

/** A loss that is flat up to 1e-4, falls to its least at 1e-1, and rises behind it. */
function curve(): { rate: number; smooth: number }[] {
  return Array.from({ length: 121 }, (_, i) => {
    const power = -6 + i / 20;
    const smooth = power < -4 ? 2 + 0.0001 * (i % 2) : power < -1 ? 2 - (power + 4) / 3 : 1 + (power + 1);
    return { rate: 10 ** power, smooth };
  });
}

describe("the proposed rate", () => {
  it("lies in the middle of the descent; beside it a tenth of the rate of the least loss", () => {
    const proposal = proposedRate(curve());
    expect(Math.log10(proposal?.rate ?? 0)).toBeGreaterThan(-3.2);
    expect(Math.log10(proposal?.rate ?? 0)).toBeLessThan(-1.8);
    expect(proposal?.tenthOfLeast).toBe(0.01);
  });

  it("is none where the loss never falls, or there is nothing to look at", () => {
    const rising = curve().map(({ rate }, i) => ({ rate, smooth: i }));
    expect([proposedRate(rising), proposedRate([])]).toEqual([undefined, undefined]);
  });
});

describe("mttc train --find-lr", () => {
  it("draws the loss, proposes a rate, and keeps no run", async () => {
    await using data = await makeTinyData();
    const { code, stdout, stderr } = await runCli(data.folder, [
      "train",
      "spec.yml",
      "--find-lr",
      "--threads",
      "1",
    ]);
    expect([code, stderr]).toEqual([0, expect.stringContaining("step 20 of 120")]);
    expect(stdout).toMatch(/lr: [\de.-]+\n|no rate is proposed/);
    expect(readFileSync(join(data.folder, "find-lr.png")).subarray(1, 4).toString()).toBe("PNG");
    expect(existsSync(join(data.folder, "run"))).toBe(false);
    expect(readdirSync(data.folder).toSorted()).toContain("find-lr.png");
  });

  it("is the same test each time, and --json has its steps", async () => {
    await using data = await makeTinyData({ accumulate: "2" });
    const run = () => runCli(data.folder, ["train", "spec.yml", "--find-lr", "--json", "--threads", "1"]);
    const [first, second] = [await run(), await run()];
    expect(first.stdout).toBe(second.stdout);
    expect(JSON.parse(first.stdout).points.length).toBeGreaterThan(20);
  });
});
