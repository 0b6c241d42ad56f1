package org.openbravo.backup;

import java.util.Map;

/** What a copy into another repository would move. */
public final class CopyPlan extends Document {
  CopyPlan(Map<String, Object> fields) {
    super(fields);
  }

  /** Where it goes. */
  public String to() {
    return text("to");
  }

  /** Whether it is there already. */
  public boolean isThere() {
    return flag("is_there");
  }

  /** Stored bytes that are missing there. */
  public long missingBytes() {
    return number("missing_bytes");
  }
}
