package org.openbravo.backup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class JsonTest {
  @Test
  void whatIsWrittenIsReadAgain() {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("text", "\" \\ / \b\f\n\r\t \u0000 \u001f \u00e9 \u20ac \ud83d\ude00");
    all.put("", Arrays.asList(0L, -1L, Long.MAX_VALUE, Long.MIN_VALUE, 0.5, -1.25e300));
    all.put("words", Arrays.asList(true, false, null));
    all.put("empty", Arrays.asList(Collections.emptyMap(), Collections.emptyList(), ""));
    assertEquals(all, Json.readObject(Json.write(all)));
  }

  @Test
  void everyWayToWriteItIsRead() {
    assertEquals(List.of("/\u00e9\ud83d\ude00\ud800"),
        Json.read(" [ \"\\/\\u00E9\\uD83d\\ude00\\ud800\" ]\n"));
    assertEquals(List.of(1.0E2, 2.0, 1e20, 12345678901234567890.0),
        Json.read("[1e2, 2.0, 1E+20,12345678901234567890]"));
  }

  @Test
  void nothingElseIsRead() {
    for (String text : new String[] {"", " ", "{", "[", "\"", "\"\\", "\"\\u12", "\"\\u12g4\"",
        "\"\\x\"", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "[1,]", "[1 2]", "[]]", "01", "+1",
        "1.", ".5", "-", "1e", "tru", "nul", "NaN", "'a'", "\"\n\"", "{\"a\":1}x",
        "[".repeat(100_000), "\"\\u\u0661234\""}) {
      assertThrows(IllegalArgumentException.class, () -> Json.read(text), text);
    }
    assertThrows(IllegalArgumentException.class, () -> Json.readObject("[]"));
  }

  @Test
  void nothingElseIsWritten() {
    for (Object value : new Object[] {new Object(), Double.NaN, Double.POSITIVE_INFINITY, 'c'}) {
      assertThrows(IllegalArgumentException.class, () -> Json.write(value));
    }
  }

  @Test
  void answersCannotBeChanged() {
    Map<String, Object> read = Json.readObject("{\"a\":[1]}");
    assertThrows(UnsupportedOperationException.class, () -> read.put("b", 1));
    assertThrows(UnsupportedOperationException.class, () -> ((List<?>) read.get("a")).clear());
  }

  @Test
  void optionsAreImmutable() {
    BackupOptions all = BackupOptions.all();
    BackupOptions some = all.only("database").only("sources").label("x");
    assertEquals("{\"dry_run\":false}", all.json(false));
    assertEquals(
        "{\"only\":[\"database\",\"sources\"],\"label\":\"x\",\"dry_run\":true}", some.json(true));
  }
}
