package org.openbravo.backup.erp;

import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;
import org.openbravo.backup.Progress;
import org.openbravo.backup.RestoreStatus;

/** How far the running work is, and what the last came to; asked each second while work is running. */
public class StatusHandler extends SystemAdministratorHandler {
  @Override
  JSONObject answer(JSONObject request) throws JSONException {
    return status();
  }

  static JSONObject status() throws JSONException {
    Backups backups = Backups.get();
    boolean working = backups.isRunning();
    RestoreStatus restore = backups.open().restoreStatus();
    boolean restoring = restore != null && restore.isRunning();
    JSONObject status = new JSONObject().put("running", working || restoring)
        .put("finished", backups.finished());
    if (restoring) {
      describe(status, restore);
    } else if (working) {
      describe(status, backups.progress());
    }
    if (backups.outcome() != null) {
      status.put("outcome", backups.outcome().json());
    }
    if (restore != null && !restoring) {
      status.put("restored", Replacement.outcome(restore, false).json());
    }
    return status;
  }

  private static void describe(JSONObject status, RestoreStatus restore) throws JSONException {
    String text = Texts.word("Stage", restore.stage());
    status.put("isRestore", true)
        .put("percent", restore.percent())
        .put("text", text + left(restore.secondsLeft()));
  }

  private static void describe(JSONObject status, Progress progress) throws JSONException {
    if (progress.isCancelling()) {
      status.put("text", Texts.text("Cancelling"));
      return;
    }
    StringBuilder text = new StringBuilder(stage(progress.stage()));
    Long total = progress.totalBytes();
    if (total != null && total > 0) {
      long percent = Math.min(100, progress.doneBytes() * 100 / total);
      status.put("percent", percent);
      text.append(": ").append(percent).append(" %");
    } else if (progress.doneBytes() > 0) {
      // The first backup does not know how much there is.
      text.append(": ").append(Sizes.of(progress.doneBytes()));
    }
    if (progress.bytesPerSecond() > 0) {
      text.append(", ").append(Sizes.of(progress.bytesPerSecond())).append("/s");
    }
    status.put("text", text.append(left(progress.secondsLeft())).toString());
  }

  private static String stage(String name) {
    if (name == null) {
      return Texts.text("Working");
    }
    String part = Texts.word("Part", name);
    return part.equals(name) ? Texts.sentence(Texts.word("Stage", name)) : part;
  }

  private static String left(Long seconds) {
    return seconds == null || seconds == 0 ? "" : ", " + Texts.text("SecondsLeft", seconds);
  }
}
