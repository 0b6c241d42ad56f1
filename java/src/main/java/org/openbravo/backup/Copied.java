package org.openbravo.backup;

import java.util.Map;

/** A copy of a backup in another repository. */
public final class Copied extends Document {
  Copied(Map<String, Object> fields) {
    super(fields);
  }

  /** The backup's id, which is the same there. */
  public String id() {
    return text("id");
  }

  /** Where it is. */
  public String to() {
    return text("to");
  }

  /** Whether it was there already, so that nothing was copied. */
  public boolean wasThere() {
    return flag("is_there");
  }

  /** Bytes written there. */
  public long storedBytes() {
    return number("stored_bytes");
  }
}
