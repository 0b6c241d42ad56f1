package org.openbravo.backup.erp;

import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;
import org.openbravo.backup.BackupException;

/** How something ended, as the message bar of the window shows it. */
final class Outcome {
  private final String type;
  private final String title;
  private final String text;

  private Outcome(String type, String title, String text) {
    this.type = type;
    this.title = title;
    this.text = text;
  }

  static Outcome success(String title, String text) {
    return new Outcome("success", title, text);
  }

  static Outcome warning(String title, String text) {
    return new Outcome("warning", title, text);
  }

  /** What went wrong in the words of the native library, and what to do about it. */
  static Outcome of(BackupException failure) {
    boolean cancelled = failure.code() == BackupException.Code.CANCELLED;
    String hint = failure.hint() == null ? "" : failure.hint();
    return new Outcome(cancelled ? "warning" : "error", Texts.sentence(failure.getMessage()), hint);
  }

  static Outcome error(String title, String text) {
    return new Outcome("error", title, text);
  }

  String title() {
    return title;
  }

  String text() {
    return text;
  }

  JSONObject json() throws JSONException {
    return new JSONObject().put("type", type).put("title", title).put("text", text);
  }
}
