package org.openbravo.backup.erp;

import org.openbravo.backup.Backup;
import org.openbravo.backup.BackupOptions;
import org.openbravo.backup.BackupSummary;

/**
 * The backup before a change of modules, and whether that change has it already. Without the library's
 * jar this must load, and say so.
 */
final class InstallBackup {
  private static final InstallBackup INSTANCE = new InstallBackup();

  /** Which change has its backup. */
  private String cleared;

  private InstallBackup() {
  }

  static InstallBackup get() {
    return INSTANCE;
  }

  /** Whether a change has its backup; true once. */
  synchronized boolean takeClearance(String key) {
    boolean isCleared = key.equals(cleared);
    if (isCleared) {
      cleared = null;
    }
    return isCleared;
  }

  private synchronized void clear(String key) {
    cleared = key;
  }

  /** Begins the backup; what comes of it if it cannot even begin, else null. */
  Outcome begin(String key, String label) {
    String good = Texts.text("BackupGood");
    String partial = Texts.text("BackupPartial");
    try {
      BackupOptions options = BackupOptions.all().type("automated").label(label);
      // Where other work is running, the page waits for its end and comes again.
      Backups.get().begin("backup before a change of modules",
          backup -> take(backup, options, key, good, partial));
      return null;
    } catch (LinkageError e) {
      return Outcome.of(e);
    } catch (RuntimeException e) {
      return Outcome.of(e);
    }
  }

  private Outcome take(Backup backup, BackupOptions options, String key, String good,
      String partial) {
    BackupSummary taken = backup.backup(options);
    if (!taken.isGood()) {
      return Outcome.error(partial, String.join("\n", taken.warnings()));
    }
    Mirror.refresh(backup);
    clear(key);
    return Outcome.success(good, "");
  }
}
