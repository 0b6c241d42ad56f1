package org.openbravo.backup.erp;

import java.io.IOException;
import java.util.Arrays;
import java.util.Collection;
import java.util.Set;
import java.util.TreeSet;

import javax.servlet.Filter;
import javax.servlet.FilterChain;
import javax.servlet.FilterConfig;
import javax.servlet.ServletException;
import javax.servlet.ServletRequest;
import javax.servlet.ServletResponse;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import javax.servlet.http.HttpSession;

import org.openbravo.dal.core.OBContext;
import org.openbravo.erpCommon.modules.ImportModule;
import org.openbravo.service.centralrepository.Module;

/**
 * Takes a backup before Module Management installs, updates or uninstalls: its request is answered by
 * a page that shows the backup and sends the same request again when that is good. The backup lifts
 * the bar, for this session and these modules, and once; whoever only repeats the request gets
 * another backup. Where it fails, the request goes no further.
 */
public class InstallFilter implements Filter {
  private static final String INSTALL = "INSTALL3";
  private static final String UNINSTALL = "UNINSTALL";
  private static final String IMPORT = "INSTALLMODULE|IMPORTMODULE";
  private static final String NODES = "inpNodes";
  private static final int LABEL_LENGTH = 255;

  @Override
  public void init(FilterConfig configuration) {
    // There is nothing to configure.
  }

  @Override
  public void doFilter(ServletRequest request, ServletResponse response, FilterChain chain)
      throws IOException, ServletException {
    Change change = change((HttpServletRequest) request);
    if (change == null || InstallBackup.get().takeClearance(change.key)) {
      chain.doFilter(request, response);
      return;
    }
    InstallPage page = new InstallPage((HttpServletRequest) request, change.label);
    page.write((HttpServletResponse) response, InstallBackup.get().begin(change.key, change.label));
  }

  @Override
  public void destroy() {
    // There is nothing to give back.
  }

  /** What is about to be done, or null where that is nothing which a backup should precede. */
  private static Change change(HttpServletRequest request) {
    HttpSession session = request.getSession(false);
    String command = request.getParameter("Command");
    // Requests come here before Openbravo has looked whether somebody is logged in, and who.
    if (session == null || !isSystemAdministrator() || command == null) {
      return null;
    }
    if (command.equals(INSTALL) && session.getAttribute(IMPORT) instanceof ImportModule) {
      ImportModule modules = (ImportModule) session.getAttribute(IMPORT);
      Set<String> ids = new TreeSet<>();
      Set<String> names = new TreeSet<>();
      for (Module module : modules.getModulesToInstall()) {
        ids.add(module.getModuleID());
        names.add(module.getPackageName() + " " + module.getVersionNo());
      }
      String message = ids.isEmpty() ? "BeforeUpdate" : "BeforeInstall";
      for (Module module : modules.getModulesToUpdate()) {
        ids.add(module.getModuleID());
        names.add(Modules.name(module.getModuleID()) + " → " + module.getVersionNo());
      }
      return new Change(session, command, ids, message, names);
    }
    if (command.equals(UNINSTALL) && request.getParameterValues(NODES) != null) {
      Set<String> ids = new TreeSet<>(Arrays.asList(request.getParameterValues(NODES)));
      Set<String> names = new TreeSet<>();
      for (String id : ids) {
        names.add(Modules.name(id));
      }
      return new Change(session, command, ids, "BeforeUninstall", names);
    }
    return null;
  }

  private static boolean isSystemAdministrator() {
    OBContext context = OBContext.getOBContext();
    return context != null && context.getRole() != null
        && SystemAdministratorHandler.SYSTEM_ADMINISTRATOR.equals(context.getRole().getId());
  }

  /** A change of modules in one session. */
  private static final class Change {
    private final String key;
    private final String label;

    private Change(HttpSession session, String command, Collection<String> ids, String message,
        Collection<String> names) {
      key = session.getId() + ' ' + command + ' ' + String.join(",", ids);
      String text = Texts.text(message, String.join(", ", names));
      label = text.length() > LABEL_LENGTH ? text.substring(0, LABEL_LENGTH - 1) + "…" : text;
    }
  }
}
