package org.openbravo.backup.erp;

import java.time.Instant;
import java.util.Date;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import org.openbravo.erpCommon.utility.OBDateUtils;
import org.openbravo.erpCommon.utility.OBMessageUtils;

/** What people read, in the language of the session; so a thread without one has to be given it. */
final class Texts {
  private static final String PREFIX = "OBBKP_";
  // The window makes repositories, but takes none over.
  private static final Pattern COMMAND = Pattern
      .compile("(?:^|`|: )obbackup (\\w+(?: --(?:share|take-over))?)");
  private static final Pattern NO_NAME = Pattern.compile("\\W+");
  private static final Pattern FIRST_WORD = Pattern.compile("[a-z]+\\b(?![./])");

  private Texts() {
  }

  /** The message with this name, with the values in the places of its %0, %1 and so on. */
  static String text(String name, Object... values) {
    String[] texts = new String[values.length];
    for (int i = 0; i < values.length; i++) {
      texts[i] = String.valueOf(values[i]);
    }
    return OBMessageUtils.getI18NMessage(PREFIX + name, texts);
  }

  /** The message of a word of the native library, or the word itself where none is known. */
  static String word(String kind, String word) {
    String name = kind + '_' + NO_NAME.matcher(word).replaceAll("_");
    String text = text(name);
    return text.equals(PREFIX + name) ? word : text;
  }

  /** The native library's advice; a command has its button in the window, or is for the server. */
  static String advice(String hint) {
    Matcher command = COMMAND.matcher(hint);
    if (!command.find()) {
      return hint;
    }
    String button = word("Hint", command.group(1));
    return button.equals(command.group(1)) ? text("OnServer", hint) : button;
  }

  /** What the native library says, as a sentence of its own; a name at its beginning stays as it is. */
  static String sentence(String said) {
    return FIRST_WORD.matcher(said).lookingAt()
        ? said.substring(0, 1).toUpperCase(Locale.ROOT) + said.substring(1)
        : said;
  }

  static String time(Instant instant) {
    return OBDateUtils.formatDateTime(Date.from(instant));
  }
}
