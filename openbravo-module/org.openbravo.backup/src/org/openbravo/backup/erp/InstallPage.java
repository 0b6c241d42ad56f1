package org.openbravo.backup.erp;

import java.io.IOException;
import java.util.Map;

import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;

import org.apache.commons.lang.StringEscapeUtils;

/**
 * The page that stands in for Module Management's while the backup is taken. It holds the parameters
 * of the request in a form, and its script sends that when the backup is good.
 */
final class InstallPage {
  private static final String TOKEN = "#CSRF_TOKEN";

  private final HttpServletRequest request;
  private final String title;
  private final StringBuilder html = new StringBuilder();

  InstallPage(HttpServletRequest request, String title) {
    this.request = request;
    this.title = title;
  }

  /** Writes the page; with a failure it only says that. */
  void write(HttpServletResponse response, Outcome failure) throws IOException {
    // What has failed may be the library, which this needs.
    int finished = failure == null ? Backups.get().finished() : 0;
    String root = request.getContextPath();
    String web = root + "/web/org.openbravo.backup/";
    line("<!DOCTYPE html>");
    line("<html><head><meta charset='utf-8'><title>" + escaped(title) + "</title>");
    line("<link rel='stylesheet' href='" + web + "css/install.css'></head>");
    line("<body data-status='" + root + "/org.openbravo.client.kernel?_action="
        + StatusHandler.class.getName() + "' data-token='"
        + escaped(request.getSession().getAttribute(TOKEN)) + "' data-finished='"
        + finished + "' data-failed='" + (failure != null) + "'>");
    line("<h1>" + text("InstallTitle") + "</h1>");
    line("<p>" + escaped(title) + "</p>");
    line("<progress id='bar' max='100'></progress>");
    line("<p id='stage'>" + text("Working") + "</p>");
    line("<div id='failure' hidden><h2>" + text("InstallStopped") + "</h2>");
    line("<p id='reason'>" + (failure == null ? "" : escaped(failure.title())) + "</p>");
    line("<p id='hint'>" + (failure == null ? "" : escaped(failure.text())) + "</p>");
    line("<p>" + text("InstallStoppedHelp") + "</p>");
    line("<button id='again'>" + text("TryAgain") + "</button></div>");
    line("<form id='request' method='post' action='" + escaped(request.getRequestURI()) + "'>");
    for (Map.Entry<String, String[]> parameter : request.getParameterMap().entrySet()) {
      for (String value : parameter.getValue()) {
        line("<input type='hidden' name='" + escaped(parameter.getKey()) + "' value='"
            + escaped(value) + "'>");
      }
    }
    line("</form><script src='" + web + "js/install.js'></script></body></html>");
    response.setContentType("text/html; charset=UTF-8");
    response.setHeader("Cache-Control", "no-store");
    response.getWriter().write(html.toString());
  }

  private void line(String text) {
    html.append(text).append('\n');
  }

  private static String text(String message) {
    return escaped(Texts.text(message));
  }

  private static String escaped(Object text) {
    return StringEscapeUtils.escapeHtml(String.valueOf(text)).replace("'", "&#39;");
  }
}
