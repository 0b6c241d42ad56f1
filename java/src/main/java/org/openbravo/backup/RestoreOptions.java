package org.openbravo.backup;

import java.util.Collections;
import java.util.Map;
import java.util.Objects;

/**
 * Which backup to restore, and where to: in place of the instance, unless a database or a directory
 * beside it is named.
 */
public final class RestoreOptions extends Request {
  private RestoreOptions(Map<String, Object> options) {
    super(options);
  }

  /** The backup with this id (its first digits, at least four), or {@code latest}. */
  public static RestoreOptions of(String id) {
    Objects.requireNonNull(id);
    return new RestoreOptions(Collections.singletonMap("id", id));
  }

  /**
   * For want of room, deletes the old state before the new one is complete: from then on the backup
   * that is taken first is the only way back. Else the old state is kept, for {@link Backup#undo}.
   */
  public RestoreOptions withoutKeepingOld() {
    return new RestoreOptions(with("in_place", true));
  }

  /** Do not take a backup of the present state before it is replaced. */
  public RestoreOptions noSafetyBackup() {
    return new RestoreOptions(with("no_safety_backup", true));
  }

  /** The data into a new database of this name, on the instance's server. */
  public RestoreOptions toDatabase(String name) {
    return new RestoreOptions(with("to_database", Objects.requireNonNull(name)));
  }

  /** The files below this directory, which must be empty or new; an absolute path. */
  public RestoreOptions toDirectory(String directory) {
    return new RestoreOptions(with("to_directory", Objects.requireNonNull(directory)));
  }

  /**
   * Make the copy harmless before it ever starts: background processes, mail servers and calls to
   * other systems off, its purpose Testing, its clients named TEST …
   */
  public RestoreOptions neutralize() {
    return new RestoreOptions(with("neutralize", true));
  }

  /** Only this part, and others that are added the same way; see {@link BackupOptions#only}. */
  public RestoreOptions only(String part) {
    return new RestoreOptions(withMore("only", part));
  }

  /** Of the files only this file or directory, like {@code sources/modules}, and others added. */
  public RestoreOptions path(String path) {
    return new RestoreOptions(withMore("paths", path));
  }

  /** Whether nothing that is live is touched. */
  boolean isBeside() {
    return option("to_database") != null || option("to_directory") != null;
  }
}
