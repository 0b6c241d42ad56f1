package org.openbravo.backup;

import java.util.Map;

/** A restore or an undo that goes on by itself, whatever becomes of this JVM. */
public final class RestoreJob extends Document {
  RestoreJob(Map<String, Object> fields) {
    super(fields);
  }

  /** Its id, for {@link Backup#restoreStatus(String)}. */
  public String job() {
    return text("job");
  }

  /** The page that shows how far it is while the application is down: a path on its own server. */
  public String statusPath() {
    return text("status_path");
  }

  /**
   * The port of its own that the page is on, as far as that is known at the beginning; null where
   * it is on the application's.
   */
  public Long pagePort() {
    return numberOrNull("page_port");
  }

  /** The file of its status, which {@code obbackup status} reads. */
  public String statusFile() {
    return text("status_file");
  }

  /** The file of its log. */
  public String logFile() {
    return text("log_file");
  }

  /** The systemd service that runs it, or null where it runs by itself. */
  public String unit() {
    return text("unit");
  }

  /** What opens the details of that page, as {@code ?token=}: for whoever asked for the restore. */
  public String token() {
    return text("token");
  }
}
