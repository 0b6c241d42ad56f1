package org.openbravo.backup.erp;

import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;
import org.openbravo.backup.Progress;

/** How far the running work is, and what the last came to; asked each second while work is running. */
public class StatusHandler extends SystemAdministratorHandler {
  @Override
  JSONObject answer(JSONObject request) throws JSONException {
    return status();
  }

  static JSONObject status() throws JSONException {
    Backups backups = Backups.get();
    boolean running = backups.isRunning();
    JSONObject status = new JSONObject().put("running", running)
        .put("finished", backups.finished());
    if (running) {
      describe(status, backups.progress());
    }
    Outcome outcome = backups.outcome();
    if (outcome != null) {
      status.put("outcome", outcome.json());
    }
    return status;
  }

  private static void describe(JSONObject status, Progress progress) throws JSONException {
    StringBuilder text = new StringBuilder(
        progress.stage() == null ? text("OBBKP_Working") : progress.stage());
    Long total = progress.totalBytes();
    if (total != null && total > 0) {
      long percent = Math.min(100, progress.doneBytes() * 100 / total);
      status.put("percent", percent);
      text.append(": ").append(percent).append(" %");
    }
    if (progress.bytesPerSecond() > 0) {
      text.append(", ").append(Sizes.of(progress.bytesPerSecond())).append("/s");
    }
    if (progress.secondsLeft() != null) {
      text.append(", ").append(progress.secondsLeft()).append(" s ").append(text("OBBKP_Left"));
    }
    status.put("text", progress.isCancelling() ? text("OBBKP_Cancelling") : text.toString());
  }
}
