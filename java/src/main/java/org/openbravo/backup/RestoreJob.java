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

  /** The page that shows how far it is, also while the application is down; or null. */
  public String statusUrl() {
    return text("status_url");
  }

  /** What opens the details of that page, for whoever asked for the restore alone; or null. */
  public String token() {
    return text("token");
  }
}
