package org.openbravo.erpCommon.utility;

import java.text.SimpleDateFormat;
import java.util.Date;

public class OBDateUtils {
  public static String formatDateTime(Date date) {
    return new SimpleDateFormat("dd-MM-yyyy HH:mm:ss").format(date);
  }
}
