package mttc.train;

import java.nio.charset.StandardCharsets;

/**
 * A stream of random numbers, named by what it is for: Philox4x32-10 (Salmon et al., SC 2011) as CONTRACT.md,
 * "Random streams", has it.
 */
public final class RandomStream {
  private static final int ROUNDS = 10;
  private static final long WORD = 0xffffffffL;
  private static final long[] MULTIPLIERS = {0xD2511F53L, 0xCD9E8D57L};
  private static final int[] INCREMENTS = {0x9E3779B9, 0xBB67AE85};

  private final int[] key;
  private final int[] counter;
  private int[] block = {};
  private int at;

  /**
   * @param seed below 2^53
   * @param time epoch or step, 32 bits
   * @param index 32 bits
   */
  public RandomStream(long seed, String purpose, long time, long index) {
    key = new int[] {(int) seed, (int) (seed >>> 32)};
    counter = new int[] {0, (int) index, (int) time, fnv1a(purpose)};
  }

  /** The 32-bit FNV-1a hash of a text in UTF-16, little-endian. */
  private static int fnv1a(String text) {
    int hash = 0x811C9DC5;
    for (byte part : text.getBytes(StandardCharsets.UTF_16LE)) hash = (hash ^ (part & 255)) * 0x01000193;
    return hash;
  }

  /** The next word of 32 bits. */
  public long nextWord() {
    if (at == block.length) {
      block = philox(counter, key);
      counter[0]++;
      at = 0;
    }
    return block[at++] & WORD;
  }

  /** The next number in [0, 1), of two words: 53 bits. */
  public double nextUniform() {
    long high = nextWord() >>> 5;
    long low = nextWord() >>> 6;
    return (high * 0x1p26 + low) / 0x1p53;
  }

  /** The next normal number, of two uniform ones. */
  public double nextNormal() {
    double u = nextUniform();
    double v = nextUniform();
    return Math.sqrt(-2 * Math.log(1 - u)) * Math.cos(2 * Math.PI * v);
  }

  private static int[] philox(int[] counter, int[] key) {
    int[] c = counter.clone();
    int[] k = key.clone();
    for (int round = 0; round < ROUNDS; round++) {
      long left = (c[0] & WORD) * MULTIPLIERS[0];
      long right = (c[2] & WORD) * MULTIPLIERS[1];
      c = new int[] {
        (int) (right >>> 32) ^ c[1] ^ k[0], (int) right, (int) (left >>> 32) ^ c[3] ^ k[1], (int) left
      };
      for (int i = 0; i < 2; i++) k[i] += INCREMENTS[i];
    }
    return c;
  }
}
