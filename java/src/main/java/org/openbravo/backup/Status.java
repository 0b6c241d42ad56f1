package org.openbravo.backup;

import java.time.Instant;
import java.util.List;
import java.util.Map;

/** What is going on with an instance and its repository. */
public final class Status extends Document {
  Status(Map<String, Object> fields) {
    super(fields);
  }

  /** Where the repository is. */
  public String repository() {
    return text("repository");
  }

  /** Who works on the repository now, in this process or any other. */
  public List<Lease> leases() {
    return documents("leases", Lease::new);
  }

  /** The instance's newest backup, or null. */
  public BackupSummary lastBackup() {
    return document("last_backup", BackupSummary::new);
  }

  /** The instance's newest good backup, or null. */
  public BackupSummary lastGoodBackup() {
    return document("last_good_backup", BackupSummary::new);
  }

  /** Somebody's right to work on the repository. */
  public static final class Lease extends Document {
    private Lease(Map<String, Object> fields) {
      super(fields);
    }

    /** What they are doing. */
    public String purpose() {
      return text("purpose");
    }

    /** The user. */
    public String user() {
      return text("user");
    }

    /** The host. */
    public String host() {
      return text("host");
    }

    /** The process on that host. */
    public long pid() {
      return number("pid");
    }

    /** Since when. */
    public Instant acquiredAt() {
      return time("acquired_at");
    }
  }
}
