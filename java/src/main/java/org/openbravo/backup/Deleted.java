package org.openbravo.backup;

import java.util.Map;

/** A backup that was deleted. */
public final class Deleted extends Document {
  Deleted(Map<String, Object> fields) {
    super(fields);
  }

  /** Its id. */
  public String id() {
    return text("id");
  }

  /** Bytes given back. */
  public long freedBytes() {
    return number("freed_bytes");
  }
}
