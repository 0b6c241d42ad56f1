package org.openbravo.backup;

import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * An answer of the native library: an immutable JSON object. Subclasses name what is usually
 * needed; {@link #json()} has all of it, also what a newer library says that this class does not
 * know.
 */
public abstract class Document {
  private final Map<String, Object> fields;

  Document(Map<String, Object> fields) {
    this.fields = fields;
  }

  /** The fields of an answer, without what only its envelope says. */
  static Map<String, Object> fields(String answer) {
    Map<String, Object> fields = new LinkedHashMap<>(Json.readObject(answer));
    fields.remove("schema");
    return Collections.unmodifiableMap(fields);
  }

  /** The whole object as JSON text. */
  public final String json() {
    return Json.write(fields);
  }

  /** The whole object: immutable maps, lists, strings, longs, doubles and booleans. */
  public final Map<String, Object> fields() {
    return fields;
  }

  @Override
  public final String toString() {
    return json();
  }

  @Override
  public final boolean equals(Object other) {
    return other != null && other.getClass() == getClass()
        && ((Document) other).fields.equals(fields);
  }

  @Override
  public final int hashCode() {
    return fields.hashCode();
  }

  final String text(String name) {
    Object value = fields.get(name);
    return value == null ? null : value.toString();
  }

  final long number(String name) {
    Object value = fields.get(name);
    return value instanceof Number ? ((Number) value).longValue() : 0;
  }

  /** A number that may be absent. */
  final Long numberOrNull(String name) {
    Object value = fields.get(name);
    return value instanceof Number ? Long.valueOf(((Number) value).longValue()) : null;
  }

  final boolean flag(String name) {
    return Boolean.TRUE.equals(fields.get(name));
  }

  final Instant time(String name) {
    String text = text(name);
    return text == null ? null : Instant.parse(text);
  }

  final List<String> texts(String name) {
    return items(name, String::valueOf);
  }

  @SuppressWarnings("unchecked")
  final <T> List<T> documents(String name, Function<Map<String, Object>, T> make) {
    return items(name, item -> make.apply((Map<String, Object>) item));
  }

  @SuppressWarnings("unchecked")
  final <T> T document(String name, Function<Map<String, Object>, T> make) {
    Object value = fields.get(name);
    return value instanceof Map ? make.apply((Map<String, Object>) value) : null;
  }

  /** An object within that has no class of its own, or null. */
  final Document inner(String name) {
    return document(name, Inner::new);
  }

  private <T> List<T> items(String name, Function<Object, T> make) {
    List<T> items = new ArrayList<>();
    Object value = fields.get(name);
    if (value instanceof List) {
      ((List<?>) value).forEach(item -> items.add(make.apply(item)));
    }
    return Collections.unmodifiableList(items);
  }

  private static final class Inner extends Document {
    private Inner(Map<String, Object> fields) {
      super(fields);
    }
  }
}
