package org.openbravo.backup;

import java.util.List;
import java.util.Map;

/** The configuration file, with secrets shown as {@code ***}. */
public final class Settings extends Document {
  Settings(Map<String, Object> fields) {
    super(fields);
  }

  /** The file. */
  public String path() {
    return text("path");
  }

  /** Whether it is there. */
  public boolean exists() {
    return flag("exists");
  }

  /** What a person should know about the file. */
  public List<String> warnings() {
    return texts("warnings");
  }

  /**
   * The value of a key such as {@code backup.nice}: a string, long, double, boolean, list or map,
   * or null where it is not set.
   */
  public Object value(String key) {
    Object value = fields().get("configuration");
    for (String name : key.split("\\.")) {
      if (!(value instanceof Map)) {
        return null;
      }
      value = ((Map<?, ?>) value).get(name);
    }
    return value;
  }
}
