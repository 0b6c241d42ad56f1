package org.openbravo.backup.erp;

import java.time.Duration;
import java.time.Instant;

import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;
import org.openbravo.backup.Backup;
import org.openbravo.backup.BackupException;
import org.openbravo.backup.RestoreStatus;
import org.openbravo.backup.StorageUse;

/** What the window shows: the repository's backups, its room, and what came of the last restore. */
final class Overview {
  private static final Duration NEWS = Duration.ofDays(3);

  private Overview() {
  }

  /** Reads the repository anew. */
  static JSONObject refresh() throws JSONException {
    JSONObject answer = StatusHandler.status();
    Backup backup = Backups.get().open();
    if (backup.repositories().repositories().isEmpty()) {
      Mirror.clear();
      return answer.put("repository", new JSONObject().put("isNamed", false)
          .put("title", Texts.text("NoRepository"))
          .put("text", Texts.text("NoRepositoryHelp")));
    }
    try {
      int count = Mirror.refresh(backup);
      return answer.put("repository", described(backup.storage(), count))
          .put("lastRestore", lastRestore(backup));
    } catch (BackupException e) {
      return answer.put("problem", Outcome.of(e).json());
    }
  }

  /** What came of the last restore, as long as that is news or can be undone; else null. */
  private static JSONObject lastRestore(Backup backup) throws JSONException {
    RestoreStatus restore = backup.restoreStatus();
    if (restore == null || restore.isRunning()) {
      return null;
    }
    boolean canUndo = backup.canUndo();
    // Of one whose process was killed nobody has written down when it ended.
    Instant ended = restore.finishedAt() == null ? restore.startedAt() : restore.finishedAt();
    boolean isNews = ended.isAfter(Instant.now().minus(NEWS));
    return canUndo || isNews
        ? Replacement.outcome(restore, canUndo).json().put("canUndo", canUndo)
        : null;
  }

  private static JSONObject described(StorageUse use, int backups) throws JSONException {
    JSONObject repository = new JSONObject().put("title", use.location())
        .put("text", Texts.text(backups == 1 ? "RepositoryHoldsOne" : "RepositoryHolds", backups,
            Sizes.of(use.repositoryBytes())));
    if (use.freeBytes() != null && use.usedBytes() != null) {
      long all = use.usedBytes() + use.freeBytes();
      repository.put("usedPercent", all == 0 ? 0 : use.usedBytes() * 100 / all)
          .put("room", Texts.text("RepositoryRoom", Sizes.of(use.usedBytes()),
              Sizes.of(use.freeBytes())));
    }
    return repository;
  }
}
