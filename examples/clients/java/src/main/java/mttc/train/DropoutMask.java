package mttc.train;

/**
 * Which channels are dropped: CONTRACT.md, "Dropout", `scaled_bernoulli`.
 *
 * @param rate share of the channels that are dropped
 */
public record DropoutMask(String stream, double rate) {
  /** The mask of a whole logical batch, `count` elements. */
  public float[] draw(long seed, long step, int count) {
    var words = new RandomStream(seed, stream, step, 0);
    float kept = (float) (1 / (1 - rate));
    float[] mask = new float[count];
    for (int i = 0; i < count; i++) mask[i] = words.nextWord() < rate * 0x1p32 ? 0 : kept;
    return mask;
  }
}
