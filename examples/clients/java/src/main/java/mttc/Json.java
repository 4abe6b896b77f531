package mttc;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;

/** JSON of strangers: bounded in depth and size, and read with a look at every type. */
public final class Json {
  private static final int DEEPEST = 64;
  private static final int LONGEST = 32 << 20;
  private static final StreamReadConstraints BOUNDS =
      StreamReadConstraints.builder().maxNestingDepth(DEEPEST).maxDocumentLength(LONGEST).build();
  public static final JsonMapper MAPPER =
      JsonMapper.builder(JsonFactory.builder().streamReadConstraints(BOUNDS).build())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private final JsonNode node;
  private final String place;
  private final String code;

  private Json(JsonNode node, String place, String code) {
    this.node = node;
    this.place = place;
    this.code = code;
  }

  /** An object. What it lacks, and any other JSON, is refused by `code`, with its place behind `name`. */
  public static Json object(String text, String name, String code) {
    try {
      return new Json(MAPPER.readTree(text), name, code).object();
    } catch (JsonProcessingException error) {
      throw new Refusal(code, name + " is not JSON: " + error.getOriginalMessage(), error);
    }
  }

  private Json object() {
    if (!node.isObject()) throw wrong("an object");
    return this;
  }

  public Refusal wrong(String expected) {
    return new Refusal(code, place + ": expected " + expected + ", found " + found());
  }

  private String found() {
    if (node.isMissingNode()) return "nothing";
    if (node.isContainerNode()) return node.isArray() ? "a list" : "an object";
    var text = node.toString();
    return text.length() > 60 ? text.substring(0, 60) + "..." : text;
  }

  public JsonNode node() {
    return node;
  }

  /** The member of a name, perhaps missing. */
  public Json at(String key) {
    return new Json(node.path(key), place + "." + key, code);
  }

  public boolean has(String key) {
    return !node.path(key).isMissingNode();
  }

  public Json objectAt(String key) {
    return at(key).object();
  }

  public String text() {
    if (!node.isTextual()) throw wrong("a text");
    return node.textValue();
  }

  public String oneOf(List<String> known) {
    if (!node.isTextual() || !known.contains(node.textValue())) throw wrong("one of " + known);
    return node.textValue();
  }

  public int whole(int least, int most) {
    boolean isWhole = node.isNumber() && node.doubleValue() == Math.rint(node.doubleValue());
    if (!isWhole || node.doubleValue() < least || node.doubleValue() > most)
      throw wrong("a whole number from " + least + " to " + most);
    return (int) node.doubleValue();
  }

  public double number() {
    if (!node.isNumber() || !Double.isFinite(node.doubleValue())) throw wrong("a number");
    return node.doubleValue();
  }

  public double above(double bound) {
    if (number() <= bound) throw wrong("a number above " + (long) bound);
    return number();
  }

  public double share() {
    if (number() < 0 || number() > 1) throw wrong("a number from 0 to 1");
    return number();
  }

  public boolean flag() {
    if (!node.isBoolean()) throw wrong("true or false");
    return node.booleanValue();
  }

  /** The members of a list of 1 to `most`. */
  public List<Json> list(int most) {
    if (!node.isArray() || node.isEmpty() || node.size() > most) throw wrong("a list of 1 to " + most);
    var members = new ArrayList<Json>();
    for (int i = 0; i < node.size(); i++) members.add(new Json(node.get(i), place + "[" + i + "]", code));
    return members;
  }

  /** A list of different texts, none of them empty. */
  public List<String> names(int most) {
    var names = list(most).stream().map(Json::text).toList();
    if (new HashSet<>(names).size() != names.size() || names.contains(""))
      throw wrong("different texts, none of them empty");
    return names;
  }
}
