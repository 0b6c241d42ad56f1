package org.openbravo.backup;

import java.util.Collections;
import java.util.Map;
import java.util.Objects;

/** Which backup to take; everything, as a manual one, by default. */
public final class BackupOptions extends Request {
  private BackupOptions(Map<String, Object> options) {
    super(options);
  }

  /** The whole instance. */
  public static BackupOptions all() {
    return new BackupOptions(Collections.emptyMap());
  }

  /** Why it is taken: {@code manual} (default), {@code scheduled} or {@code automated}. */
  public BackupOptions type(String type) {
    return new BackupOptions(with("type", Objects.requireNonNull(type)));
  }

  /** A text to know it by; null for none. */
  public BackupOptions label(String label) {
    return new BackupOptions(with("label", label));
  }

  /** Keep it until it is unpinned, whatever the retention says. */
  public BackupOptions pin() {
    return new BackupOptions(with("pin", true));
  }

  /**
   * Only this part, and others that are added the same way: {@code database}, {@code sources},
   * {@code deploy}, {@code attachments}, {@code configuration}.
   */
  public BackupOptions only(String part) {
    return new BackupOptions(withMore("only", part));
  }

  /** Read every file, also where size and times say that it did not change. */
  public BackupOptions fullRead() {
    return new BackupOptions(with("full_read", true));
  }

  /** Copy it to this repository of the configuration too, besides those of {@code copy_to}. */
  public BackupOptions copyTo(String repository) {
    return new BackupOptions(withMore("copy_to", repository));
  }
}
