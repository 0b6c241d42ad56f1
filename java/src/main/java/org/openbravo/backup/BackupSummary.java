package org.openbravo.backup;

import java.time.Instant;
import java.util.List;
import java.util.Map;

/** One backup, as the list shows it. */
public final class BackupSummary extends Document {
  BackupSummary(Map<String, Object> fields) {
    super(fields);
  }

  /** All 64 digits. */
  public String id() {
    return text("id");
  }

  /** Why it was taken: {@code manual}, {@code scheduled} or {@code automated}. */
  public String type() {
    return text("type");
  }

  /** {@code good}, or {@code partial} where something that was there could not be captured. */
  public String status() {
    return text("status");
  }

  /** Whether all of it is there. */
  public boolean isGood() {
    return "good".equals(status());
  }

  /** Free text of whoever took it, or null. */
  public String label() {
    return text("label");
  }

  /** Whether retention must keep it. */
  public boolean isPinned() {
    return flag("pinned");
  }

  /** When it was begun. */
  public Instant startedAt() {
    return time("started_at");
  }

  /** When it was complete. */
  public Instant finishedAt() {
    return time("finished_at");
  }

  /** What it holds: {@code database}, {@code sources} and so on. */
  public List<String> contents() {
    return texts("contents");
  }

  /** Bytes of the database's rows. */
  public long databaseBytes() {
    return number("database_bytes");
  }

  /** Regular files. */
  public long files() {
    return number("files");
  }

  /** Bytes of the files. */
  public long filesBytes() {
    return number("files_bytes");
  }

  /** Plain bytes that were new to the repository. */
  public long newBytes() {
    return number("new_bytes");
  }

  /** Bytes that those take there. */
  public long storedBytes() {
    return number("stored_bytes");
  }

  /** The name of the instance that it was taken of. */
  public String instance() {
    return text("instance");
  }

  /** The version of Openbravo, or null. */
  public String openbravoVersion() {
    return text("openbravo_version");
  }

  /** The version of the PostgreSQL server, like 15.18, or null. */
  public String postgresqlVersion() {
    return text("postgresql_version");
  }

  /** What a person should know about it. */
  public List<String> warnings() {
    return texts("warnings");
  }

  /** The last time that it was restored for trial, or null. */
  public LastDrill lastDrill() {
    return document("drill", LastDrill::new);
  }

  /** Of a new backup, what became of its copies in other repositories; empty in a list. */
  public List<CopyOutcome> copies() {
    return documents("copies", CopyOutcome::new);
  }

  /** A test restore of a backup. */
  public static final class LastDrill extends Document {
    private LastDrill(Map<String, Object> fields) {
      super(fields);
    }

    /** When. */
    public Instant at() {
      return time("at");
    }

    /** By whom, as {@code user@host}. */
    public String by() {
      return text("by");
    }

    /** Whether it was restored and every check held. */
    public boolean isPassed() {
      return flag("passed");
    }

    /** What did not hold. */
    public List<String> failures() {
      return texts("failures");
    }
  }
}
