package org.openbravo.backup.erp;

import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;
import org.openbravo.backup.BackupException;

/** How something ended, as the message bar of the window shows it. */
final class Outcome {
  private final String type;
  private final String title;
  private final String text;
  private final String hint;

  private Outcome(String type, String title, String text, String hint) {
    this.type = type;
    this.title = title;
    this.text = text;
    this.hint = hint;
  }

  static Outcome success(String title, String text) {
    return new Outcome("success", title, text, null);
  }

  static Outcome warning(String title, String text) {
    return new Outcome("warning", title, text, null);
  }

  /** What went wrong in the words of the native library, and what to do about it. */
  static Outcome of(BackupException failure) {
    boolean cancelled = failure.code() == BackupException.Code.CANCELLED;
    return new Outcome(cancelled ? "warning" : "error", Texts.sentence(failure.getMessage()), "",
        failure.hint());
  }

  /**
   * The same for whom must load without the library's jar, and so cannot catch what is in it. Any other
   * failure is thrown on.
   */
  static Outcome of(RuntimeException failure) {
    if (failure instanceof BackupException) {
      return of((BackupException) failure);
    }
    throw failure;
  }

  /** Without that jar its classes are missing where they are used. */
  static Outcome of(LinkageError failure) {
    return error(Texts.text("NoLibrary", failure.getMessage()), Texts.text("NoLibraryHelp"));
  }

  static Outcome error(String title, String text) {
    return new Outcome("error", title, text, null);
  }

  String title() {
    return title;
  }

  /** Translated only when it is asked for: what fails may do so on a thread without a session. */
  String text() {
    return hint == null ? text : Texts.advice(hint);
  }

  JSONObject json() throws JSONException {
    return new JSONObject().put("type", type).put("title", title).put("text", text());
  }
}
