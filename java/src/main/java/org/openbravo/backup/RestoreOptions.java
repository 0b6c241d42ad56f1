package org.openbravo.backup;

import java.util.Collections;
import java.util.Map;
import java.util.Objects;

/** Which backup to restore, and where to. */
public final class RestoreOptions extends Request {
  private RestoreOptions(Map<String, Object> options) {
    super(options);
  }

  /** The backup with this id (its first digits, at least four), or {@code latest}. */
  public static RestoreOptions of(String id) {
    Objects.requireNonNull(id);
    return new RestoreOptions(Collections.singletonMap("id", id));
  }

  /** In place of the instance's database and directories; the old state is kept. */
  public RestoreOptions inPlace() {
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

  /** The files below this directory, which must be empty or new. */
  public RestoreOptions toDirectory(String directory) {
    return new RestoreOptions(with("to_directory", Objects.requireNonNull(directory)));
  }

  /** Only this part, and others that are added the same way; see {@link BackupOptions#only}. */
  public RestoreOptions only(String part) {
    return new RestoreOptions(withMore("only", part));
  }

  /** Of the files only this file or directory, like {@code sources/modules}, and others added. */
  public RestoreOptions path(String path) {
    return new RestoreOptions(withMore("paths", path));
  }

  String json(boolean dryRun) {
    return Json.write(with("dry_run", dryRun));
  }
}
