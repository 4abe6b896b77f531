package mttc.train;

/** Orders of the other tasks, of each task: CONTRACT.md, "Task orders". */
public record TaskOrders(String stream) {
  /** Of each of T tasks the places of the others, [T,T-1] row-major. */
  public double[] draw(long seed, long step, int tasks) {
    var numbers = new RandomStream(seed, stream, step, 0);
    double[] orders = new double[tasks * (tasks - 1)];
    for (int task = 0; task < tasks; task++) {
      int first = task * (tasks - 1);
      for (int i = 0; i < tasks - 1; i++) orders[first + i] = i < task ? i : i + 1;
      for (int last = tasks - 2; last > 0; last--) {
        int chosen = (int) Math.floor(numbers.nextUniform() * (last + 1));
        double kept = orders[first + last];
        orders[first + last] = orders[first + chosen];
        orders[first + chosen] = kept;
      }
    }
    return orders;
  }
}
