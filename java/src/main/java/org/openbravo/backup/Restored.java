package org.openbravo.backup;

import java.util.List;
import java.util.Map;

/** What came of a restore beside what is live. */
public final class Restored extends Document {
  Restored(Map<String, Object> fields) {
    super(fields);
  }

  /** The backup. */
  public BackupSummary backup() {
    return document("backup", BackupSummary::new);
  }

  /** The database that was made, or null. */
  public String database() {
    return text("database");
  }

  /** Rows loaded. */
  public long rows() {
    return number("rows");
  }

  /** Directories that were filled. */
  public List<String> directories() {
    return texts("directories");
  }

  /** Regular files written. */
  public long files() {
    return number("files");
  }

  /** Their bytes. */
  public long filesBytes() {
    return number("files_bytes");
  }

  /** What was changed to make the copy harmless; empty where that was not asked for. */
  public List<Change> neutralized() {
    Document neutralized = inner("neutralized");
    return neutralized == null ? List.of() : neutralized.documents("changes", Change::new);
  }

  /** What could not be made as it was. */
  public List<String> warnings() {
    return texts("warnings");
  }

  /** A change that makes a copy harmless. */
  public static final class Change extends Document {
    private Change(Map<String, Object> fields) {
      super(fields);
    }

    /** The table, or the file. */
    public String table() {
      return text("table");
    }

    /** Rows changed. */
    public long rows() {
      return number("rows");
    }

    /** What happened to it. */
    public String what() {
      return text("what");
    }
  }
}
