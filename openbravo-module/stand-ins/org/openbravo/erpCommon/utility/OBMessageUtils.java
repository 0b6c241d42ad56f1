package org.openbravo.erpCommon.utility;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The module's own messages, in its own language. */
public class OBMessageUtils {
  private static final Path FILE = Path
      .of("org.openbravo.backup/src-db/database/sourcedata/AD_MESSAGE.xml");
  private static final Pattern MESSAGE = Pattern.compile(
      "<VALUE><!\\[CDATA\\[(.*?)]]></VALUE>.*?<MSGTEXT><!\\[CDATA\\[(.*?)]]></MSGTEXT>",
      Pattern.DOTALL);
  private static final Map<String, String> MESSAGES = messages();

  public static String getI18NMessage(String key, String[] parameters) {
    String text = MESSAGES.getOrDefault(key, key);
    for (int i = 0; i < parameters.length; i++) {
      text = text.replace("%" + i, parameters[i]);
    }
    return text;
  }

  private static Map<String, String> messages() {
    Map<String, String> messages = new HashMap<>();
    try {
      Matcher matcher = MESSAGE.matcher(Files.readString(FILE));
      while (matcher.find()) {
        messages.put(matcher.group(1), matcher.group(2));
      }
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
    return messages;
  }
}
