package org.openbravo.erpCommon.utility;

import javax.servlet.http.HttpServletRequest;

public class CsrfUtil {
  public static String getCsrfTokenFromRequestContent(String content) {
    throw new UnsupportedOperationException();
  }

  public static void checkCsrfToken(String token, HttpServletRequest request) {
    throw new UnsupportedOperationException();
  }
}
