package org.openbravo.backup;

import java.util.Map;

/** Which native library is loaded. */
public final class LibraryVersion extends Document {
  LibraryVersion(Map<String, Object> fields) {
    super(fields);
  }

  /** Its version; always that of the jar. */
  public String version() {
    return text("version");
  }

  /** The commit that it was built from. */
  public String revision() {
    return text("revision");
  }
}
