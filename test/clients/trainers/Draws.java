// What the trainer of examples/clients/java draws for the cases of drawCases.ts, as JSON.
import com.fasterxml.jackson.databind.JsonNode;
import java.io.File;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import mttc.Json;
import mttc.train.DropoutMask;
import mttc.train.EpochOrder;
import mttc.train.Operation;
import mttc.train.RandomStream;
import mttc.train.Schedule;
import mttc.train.TaskFactors;
import mttc.train.TaskOrders;

class Draws {
  public static void main(String[] arguments) throws Exception {
    var cases = Json.MAPPER.readTree(new File(arguments[0]));
    var drawn = Json.MAPPER.createObjectNode();
    drawn.set("streams", each(cases.get("streams"), Draws::stream));
    drawn.set("augment", each(cases.get("augment"), Draws::rows));
    drawn.set("schedules", each(cases.get("schedules"), Draws::rates));
    drawn.set("masks", each(cases.get("masks"), Draws::mask));
    drawn.set("orders", each(cases.get("orders"), Draws::order));
    drawn.set("taskOrders", each(cases.get("taskOrders"), Draws::taskOrders));
    drawn.set("averages", each(cases.get("averages"), Draws::averages));
    drawn.set("randomFactors", each(cases.get("randomFactors"), Draws::randomFactors));
    System.out.println(drawn);
  }

  private static JsonNode each(JsonNode cases, Function<JsonNode, Object> draw) {
    var list = new ArrayList<Object>();
    cases.forEach(entry -> list.add(draw.apply(entry)));
    return Json.MAPPER.valueToTree(list);
  }

  private static Object stream(JsonNode entry) {
    var words = open(entry);
    var numbers = open(entry);
    var drawn = Json.MAPPER.createObjectNode();
    drawn.putPOJO("words", LongStream.generate(words::nextWord).limit(entry.get("words").asInt()).toArray());
    int count = entry.get("numbers").asInt();
    drawn.putPOJO("numbers", IntStream.range(0, count).mapToDouble(i -> numbers.nextUniform()).toArray());
    return drawn;
  }

  private static RandomStream open(JsonNode entry) {
    return new RandomStream(
        entry.get("seed").asLong(),
        entry.get("purpose").asText(),
        entry.get("time").asLong(),
        entry.get("index").asLong());
  }

  private static Object rows(JsonNode entry) {
    var operation =
        new Operation(
            entry.get("name").asText(), entry.get("strength").asDouble(), entry.get("stream").asText());
    List<Float> numbers = new ArrayList<>();
    for (int i = 0; i < entry.get("samples").asInt(); i++)
      for (double number :
          operation.draw(
              entry.get("seed").asLong(),
              entry.get("epoch").asInt(),
              entry.get("first").asInt() + i,
              entry.get("height").asInt(),
              entry.get("width").asInt())) numbers.add((float) number);
    return inFull(numbers);
  }

  private static Object rates(JsonNode entry) {
    var schedule = Schedule.of(Json.object(entry.get("value").toString(), "value", "E_BUNDLE"));
    return IntStream.range(0, entry.get("steps").asInt())
        .mapToDouble(step -> schedule.at(step, entry.get("run").asLong()))
        .toArray();
  }

  private static Object mask(JsonNode entry) {
    int count = 1;
    for (var side : entry.get("shape")) count *= side.asInt();
    var mask = new DropoutMask(entry.get("stream").asText(), entry.get("rate").asDouble());
    List<Float> numbers = new ArrayList<>();
    for (float number : mask.draw(entry.get("seed").asLong(), entry.get("step").asLong(), count))
      numbers.add(number);
    return inFull(numbers);
  }

  /** Numbers of float32 as the float64 that they are. */
  private static double[] inFull(List<Float> numbers) {
    return numbers.stream().mapToDouble(Float::doubleValue).toArray();
  }

  private static Object order(JsonNode entry) {
    List<int[]> groups = new ArrayList<>();
    entry.get("groups").forEach(column -> groups.add(Json.MAPPER.convertValue(column, int[].class)));
    boolean isBalanced = entry.get("balance_probs").asBoolean();
    boolean byClass = entry.get("balance_classes").asBoolean();
    int batch = entry.get("batchSize").asInt();
    int places = (groups.get(0).length + batch - 1) / batch * batch;
    var order = new EpochOrder(entry.get("seed").asLong(), groups, isBalanced, byClass);
    return order.of(entry.get("epoch").asInt(), places);
  }

  private static Object taskOrders(JsonNode entry) {
    var orders = new TaskOrders(entry.get("stream").asText());
    return orders.draw(
        entry.get("seed").asLong(), entry.get("step").asLong(), entry.get("tasks").asInt());
  }

  private static Object averages(JsonNode entry) {
    var losses = entry.get("losses");
    double temperature = entry.get("temperature").asDouble();
    return TaskFactors.averages(lossesOf(losses, 0), lossesOf(losses, 1), temperature);
  }

  private static double[] lossesOf(JsonNode pairs, int which) {
    return IntStream.range(0, pairs.size())
        .mapToDouble(t -> pairs.get(t).get(which).asDouble(Double.NaN))
        .toArray();
  }

  private static Object randomFactors(JsonNode entry) {
    boolean[] present = new boolean[entry.get("present").size()];
    for (int t = 0; t < present.length; t++) present[t] = entry.get("present").get(t).asBoolean();
    return TaskFactors.random(
        entry.get("seed").asLong(), entry.get("stream").asText(), entry.get("step").asLong(), present);
  }
}
