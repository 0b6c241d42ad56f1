package org.openbravo.backup;

import java.util.Map;

/** A restore that goes on by itself, whatever becomes of this JVM. */
public final class RestoreJob extends Document {
  RestoreJob(Map<String, Object> fields) {
    super(fields);
  }

  /** Its id, for {@code obbackup status}. */
  public String job() {
    return text("job");
  }

  /** The page that shows how far it is while the application is down: a path on its own server. */
  public String statusPath() {
    return text("status_path");
  }

  /** The port that shows that page all through the restore, or null where none is configured. */
  public Long pagePort() {
    return numberOrNull("page_port");
  }

  /** What opens the details of that page, as {@code ?token=}: for whoever asked for the restore. */
  public String token() {
    return text("token");
  }
}
