package org.openbravo.erpCommon.utility;

public class OBMessageUtils {
  public static String messageBD(String key) {
    throw new UnsupportedOperationException();
  }

  public static String getI18NMessage(String key, String[] parameters) {
    throw new UnsupportedOperationException();
  }
}
