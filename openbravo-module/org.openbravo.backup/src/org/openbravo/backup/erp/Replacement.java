package org.openbravo.backup.erp;

import java.time.Duration;

import org.openbravo.backup.RestoreStatus;

/** What came of the last restore or undo. */
final class Replacement {
  private Replacement() {
  }

  /** With the word that the state before is kept, where it is. */
  static Outcome outcome(RestoreStatus restore, boolean isKept) {
    String state = restore.isUndo() ? Texts.text("StateBefore", Texts.time(restore.takenAt()))
        : Texts.text("StateOfBackup", restore.backup().substring(0, Mirror.SHORT_ID),
            Texts.time(restore.takenAt()));
    RestoreStatus.Outcome outcome = restore.outcome();
    if (outcome.isRestored()) {
      long seconds = Duration.between(restore.startedAt(), restore.finishedAt()).toSeconds();
      String since = Texts.text("InPlaceSince", Texts.time(restore.finishedAt()), seconds);
      return Outcome.success(Texts.text("InPlace", state),
          isKept ? since + ' ' + Texts.text("OldKept") : since);
    }
    String message = Texts.sentence(outcome.message());
    return Outcome.error(Texts.word("Verdict", outcome.verdict()),
        outcome.hint() == null ? message : message + "\n" + Texts.advice(outcome.hint()));
  }
}
