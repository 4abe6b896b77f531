package mttc.train;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.dataformat.csv.CsvMapper;
import com.fasterxml.jackson.dataformat.csv.CsvParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import mttc.PlainFile;
import mttc.Refusal;

/** A label table in CSV: cells as text, without outer blanks. */
record LabelTable(Path file, List<String> head, List<String[]> rows) {
  private static final String BYTE_ORDER_MARK = "\ufeff";

  /** Reads a table. E_FILE, E_CSV_SHAPE (no rows, or rows of another length than the head). */
  static LabelTable read(Path file) {
    try {
      var text = Files.readString(PlainFile.of(file));
      var plain = text.startsWith(BYTE_ORDER_MARK) ? text.substring(1) : text;
      var reader =
          CsvMapper.builder()
              .enable(CsvParser.Feature.WRAP_AS_ARRAY)
              .enable(CsvParser.Feature.SKIP_EMPTY_LINES)
              .enable(CsvParser.Feature.TRIM_SPACES)
              .build()
              .readerFor(String[].class);
      try (MappingIterator<String[]> lines = reader.readValues(plain)) {
        return of(file, lines.readAll());
      }
    } catch (JsonProcessingException error) {
      throw new Refusal("E_CSV_SHAPE", file + ": " + error.getOriginalMessage(), error);
    } catch (IOException error) {
      throw new Refusal("E_FILE", file + ": cannot be read: " + error.getMessage(), error);
    }
  }

  private static LabelTable of(Path file, List<String[]> lines) {
    if (lines.size() < 2) throw new Refusal("E_CSV_SHAPE", file + ": it has no rows");
    int width = lines.get(0).length;
    for (int line = 1; line < lines.size(); line++)
      if (lines.get(line).length != width)
        throw new Refusal(
            "E_CSV_SHAPE",
            file + ": row " + line + " has " + lines.get(line).length + " cells, the head " + width);
    return new LabelTable(file, List.of(lines.get(0)), lines.subList(1, lines.size()));
  }

  /** The cells of a column. E_CSV_HEADER where there is none of that name. */
  String[] column(String name) {
    int place = head.indexOf(name);
    if (place < 0)
      throw new Refusal("E_CSV_HEADER", file + ": it has no column \"" + name + "\", but " + head);
    return rows.stream().map(row -> row[place].strip()).toArray(String[]::new);
  }

  /** Where a row stands, for messages. */
  String place(int row) {
    return file + ": row " + (row + 1) + " " + Arrays.toString(rows.get(row));
  }
}
