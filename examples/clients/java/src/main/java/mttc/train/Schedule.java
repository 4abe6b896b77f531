package mttc.train;

import java.util.List;
import mttc.Json;

/**
 * A number as a function of the step: CONTRACT.md, "Schedules". What a formula does not have is 0.
 *
 * @param steps D of that page; 0: the whole run
 */
public record Schedule(
    String formula,
    double value,
    double warmup,
    double steps,
    double rate,
    double least,
    double growth,
    double rise,
    double start,
    double end) {
  private static final List<String> FORMULAS =
      List.of("constant", "warmup", "exponential", "staircase", "cosine", "cosine_restarts", "one_cycle");

  /** Reads and checks `value` of a scalar. E_BUNDLE for a formula that is not known, or lacks a number. */
  public static Schedule of(Json value) {
    var formula = value.at("formula").oneOf(FORMULAS);
    boolean takesSteps = FORMULAS.indexOf(formula) >= 2;
    boolean isRun = formula.equals("one_cycle") && value.at("steps").node().asText().equals("run");
    var read = new Schedule(
        formula,
        value.at("value").number(),
        value.has("warmup") ? value.at("warmup").number() : 0,
        !takesSteps || isRun ? 0 : value.at("steps").above(0),
        formula.equals("exponential") || formula.equals("staircase") ? value.at("rate").above(0) : 0,
        formula.equals("cosine") ? value.at("least").number() : 0,
        formula.equals("cosine_restarts") ? value.at("growth").number() : 0,
        formula.equals("one_cycle") ? value.at("rise").above(0) : 0,
        formula.equals("one_cycle") ? value.at("start").above(0) : 0,
        formula.equals("one_cycle") ? value.at("end").above(0) : 0);
    if (formula.equals("cosine_restarts") && read.growth < 1)
      throw value.at("growth").wrong("a number from 1 on");
    return read;
  }

  /** Its value at a step of the run, which has `run` steps in all. */
  public double at(long step, long run) {
    double t = step - warmup;
    return t < 0 ? value * step / warmup : value * share(t, steps == 0 ? run : steps);
  }

  private double share(double t, double d) {
    return switch (formula) {
      case "exponential" -> Math.pow(rate, t / d);
      case "staircase" -> Math.pow(rate, Math.floor(t / d));
      case "cosine" -> least + (1 - least) * half(Math.min(t / d, 1));
      case "cosine_restarts" -> {
        double rest = t;
        double period = d;
        while (rest >= period) {
          rest -= period;
          period *= growth;
        }
        yield half(rest / period);
      }
      case "one_cycle" -> {
        double low = 1 / start;
        double lowest = low / end;
        double peak = rise * d - 1;
        yield t <= peak
            ? 1 + (low - 1) * half(t / peak)
            : lowest + (1 - lowest) * half(Math.min((t - peak) / (d - 1 - peak), 1));
      }
      default -> 1;
    };
  }

  private static double half(double x) {
    return (1 + Math.cos(Math.PI * x)) / 2;
  }
}
