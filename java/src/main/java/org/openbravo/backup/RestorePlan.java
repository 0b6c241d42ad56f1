package org.openbravo.backup;

import java.util.List;
import java.util.Map;

/** What a restore would do. */
public final class RestorePlan extends Document {
  RestorePlan(Map<String, Object> fields) {
    super(fields);
  }

  /** The backup. */
  public BackupSummary backup() {
    return document("backup", BackupSummary::new);
  }

  /** Whether the instance is replaced. */
  public boolean isInPlace() {
    return flag("in_place");
  }

  /** Whether the old state is kept, so that it can be brought back by {@link Backup#undo}. */
  public boolean keepsOld() {
    return flag("keeps_old");
  }

  /** Whether nothing that was looked at stands in its way. */
  public boolean isPossible() {
    return checks().stream().noneMatch(check -> "failure".equals(check.result()));
  }

  /**
   * What was looked at for a restore in place of the instance; a {@code failure} stands in its way.
   */
  public List<Diagnosis.Check> checks() {
    return documents("checks", Diagnosis.Check::new);
  }

  /** The database that will be there afterwards, or null where it is left out. */
  public Database database() {
    return document("database", Database::new);
  }

  /** The directories. */
  public List<Files> files() {
    return documents("files", Files::new);
  }

  /** The room that it needs, by file system, as far as it can be seen. */
  public List<Room> room() {
    return documents("room", Room::new);
  }

  /** What people have done since the backup, and would lose from what is live. */
  public List<Newer> newer() {
    return documents("newer", Newer::new);
  }

  /** What the restore would not bring back, or changes on the way, each with the reason. */
  public List<String> notes() {
    return texts("notes");
  }

  /** The database of a plan. */
  public static final class Database extends Document {
    private Database(Map<String, Object> fields) {
      super(fields);
    }

    /** Its name afterwards. */
    public String name() {
      return text("name");
    }

    /** Its server, as host and port. */
    public String server() {
      return text("server");
    }

    /** Tables to load. */
    public long tables() {
      return number("tables");
    }

    /** Rows to load. */
    public long rows() {
      return number("rows");
    }

    /** Bytes to load. */
    public long bytes() {
      return number("bytes");
    }

    /** The database that is live now and is replaced, or null. */
    public String replaces() {
      return text("replaces");
    }
  }

  /** A directory of a plan. */
  public static final class Files extends Document {
    private Files(Map<String, Object> fields) {
      super(fields);
    }

    /** Which part of the backup: {@code sources}, {@code attachments} and so on. */
    public String part() {
      return text("part");
    }

    /** Where it goes. */
    public String to() {
      return text("to");
    }

    /** Regular files of the part. */
    public long files() {
      return number("files");
    }

    /** Their bytes. */
    public long bytes() {
      return number("bytes");
    }
  }

  /** A file system that the restore writes to. */
  public static final class Room extends Document {
    private Room(Map<String, Object> fields) {
      super(fields);
    }

    /** A directory on it. */
    public String place() {
      return text("place");
    }

    /** About so many bytes come there, beside what is there. */
    public long neededBytes() {
      return number("needed_bytes");
    }

    /** So many can be written. */
    public long freeBytes() {
      return number("free_bytes");
    }
  }

  /** Rows that are newer than the backup. */
  public static final class Newer extends Document {
    private Newer(Map<String, Object> fields) {
      super(fields);
    }

    /** The table. */
    public String table() {
      return text("table");
    }

    /** How many, or null where counting them would take too long. */
    public Long rows() {
      return numberOrNull("rows");
    }
  }
}
