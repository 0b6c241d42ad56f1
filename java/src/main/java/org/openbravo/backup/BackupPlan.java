package org.openbravo.backup;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** What a backup would do. */
public final class BackupPlan extends Document {
  BackupPlan(Map<String, Object> fields) {
    super(fields);
  }

  /** Where the backup goes. */
  public String repository() {
    return text("repository");
  }

  /** What can still be written there in bytes, or null where that is not known. */
  public Long freeBytes() {
    return numberOrNull("free_bytes");
  }

  /** The id of the backup that unchanged files are taken over from, or null. */
  public String parent() {
    return text("parent");
  }

  /** The parts of the instance that it would hold: database, sources and so on. */
  public List<String> parts() {
    List<String> parts = new ArrayList<>();
    if (fields().get("database") != null) {
      parts.add("database");
    }
    parts.addAll(documents("files", directory -> String.valueOf(directory.get("part"))));
    return parts;
  }

  /** What a person should know before. */
  public List<String> warnings() {
    return texts("warnings");
  }
}
