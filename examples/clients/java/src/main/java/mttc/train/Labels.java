package mttc.train;

import com.fasterxml.jackson.core.JsonProcessingException;
import java.math.BigDecimal;
import java.text.Normalizer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import mttc.Json;
import mttc.Refusal;

/**
 * The labels of a task as numbers: CONTRACT.md, "Labels".
 *
 * @param width numbers of a row
 * @param numbers [rows, width]: a class's number, flags of tags, or the numbers themselves
 * @param missing stands where there is none; perhaps NaN
 * @param groups of each row what balancing goes by: its class, 0 of other kinds; -1 without a label
 */
record Labels(int width, double[] numbers, double missing, int[] groups) {
  private static final Pattern DECIMAL = Pattern.compile("[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d{1,9})?");

  /** Reads the cells of a task's columns. E_CSV_HEADER, E_LABEL (a cell that is no label). */
  static Labels of(Bundle.Task task, LabelTable table, List<String> missingWords, double missing) {
    var columns = task.columns().stream().map(table::column).toList();
    boolean isSet = task.kind().equals("tags") && !task.isOfColumns();
    int width = isSet ? task.names().size() : columns.size();
    var absent = new HashSet<>(missingWords);
    absent.add("");
    var places = placesOf(task.names());
    double[] numbers = new double[table.rows().size() * width];
    for (int row = 0; row < table.rows().size(); row++)
      for (int column = 0; column < columns.size(); column++) {
        var cell = columns.get(column)[row];
        int at = row * width + column;
        boolean isClass = task.kind().equals("classes") && places.containsKey(key(cell));
        if (absent.contains(cell) && !isClass) Arrays.fill(numbers, at, at + (isSet ? width : 1), missing);
        else if (isSet) flags(task, cell, places, numbers, at, table.place(row));
        else numbers[at] = number(task, cell, places, table.place(row));
      }
    return new Labels(width, numbers, missing, groups(task, numbers, width, missing));
  }

  private static Map<String, Integer> placesOf(List<String> names) {
    var places = new HashMap<String, Integer>();
    for (int i = 0; i < names.size(); i++) places.put(key(names.get(i)), i);
    return places;
  }

  /** Two spellings with one key are one name: numbers by value, text by its letters in NFC. */
  private static String key(String text) {
    if (!DECIMAL.matcher(text).matches()) return Normalizer.normalize(text, Normalizer.Form.NFC);
    var number = new BigDecimal(text);
    return number.signum() == 0 ? "0" : number.stripTrailingZeros().toString();
  }

  private static double number(Bundle.Task task, String cell, Map<String, Integer> places, String place) {
    if (task.kind().equals("classes")) return placeOf(task, cell, places, place);
    boolean isFlag = task.kind().equals("tags");
    if (isFlag && cell.equalsIgnoreCase("true")) return 1;
    if (isFlag && cell.equalsIgnoreCase("false")) return 0;
    double number = DECIMAL.matcher(cell).matches() ? Double.parseDouble(cell) : Double.NaN;
    if (!Float.isFinite((float) number) || (isFlag && number != 0 && number != 1))
      throw refusal(place, cell, isFlag ? "0 or 1" : "a number");
    return number;
  }

  private static int placeOf(Bundle.Task task, String name, Map<String, Integer> places, String place) {
    var found = places.get(key(name));
    if (found == null) throw refusal(place, name, "one of " + task.names());
    return found;
  }

  private static void flags(
      Bundle.Task task, String cell, Map<String, Integer> places, double[] numbers, int at, String place) {
    for (var tag : tags(task, cell)) numbers[at + placeOf(task, tag, places, place)] = 1;
  }

  /** The tags that a cell names: a list of JSON, or with the separator between them. */
  private static Set<String> tags(Bundle.Task task, String cell) {
    if (cell.startsWith("[") && cell.endsWith("]")) {
      try {
        var tags = new HashSet<String>();
        Json.MAPPER.readTree(cell).forEach(tag -> tags.add(tag.asText().strip()));
        return tags;
      } catch (JsonProcessingException error) {
        // A tag in brackets, then.
      }
    }
    var separator = task.separator().isBlank() ? "\\s+" : "\\s*" + Pattern.quote(task.separator()) + "\\s*";
    return new HashSet<>(List.of(cell.split(separator, -1)));
  }

  private static Refusal refusal(String place, String cell, String expected) {
    return new Refusal("E_LABEL", place + ": expected " + expected + ", found \"" + cell + "\"");
  }

  private static int[] groups(Bundle.Task task, double[] numbers, int width, double missing) {
    int[] groups = new int[numbers.length / width];
    for (int row = 0; row < groups.length; row++) {
      boolean isLabelled = false;
      for (int i = 0; i < width; i++) isLabelled |= isThere(numbers[row * width + i], missing);
      groups[row] = !isLabelled ? -1 : task.kind().equals("classes") ? (int) numbers[row] : 0;
    }
    return groups;
  }

  private static boolean isThere(double number, double missing) {
    return !Double.isNaN(number) && number != missing;
  }
}
