package org.openbravo.erpCommon.utility;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

import javax.servlet.http.HttpServletRequest;

import org.openbravo.base.exception.OBSecurityException;

public class CsrfUtil {
  private static final Pattern TOKEN = Pattern.compile("\"csrfToken\":\"([A-Z0-9]+)\"");

  public static String getCsrfTokenFromRequestContent(String content) {
    Matcher matcher = TOKEN.matcher(content);
    return matcher.find() ? matcher.group(1) : "";
  }

  public static void checkCsrfToken(String token, HttpServletRequest request) {
    if (token.isEmpty() || !token.equals(request.getSession(false).getAttribute("#CSRF_TOKEN"))) {
      throw new OBSecurityException("InvalidCSRFToken");
    }
  }
}
