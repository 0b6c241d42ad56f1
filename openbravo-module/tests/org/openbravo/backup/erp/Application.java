package org.openbravo.backup.erp;

import java.io.IOException;
import java.net.CookieManager;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Collectors;

import javax.servlet.Filter;
import javax.servlet.FilterChain;
import javax.servlet.ServletException;
import javax.servlet.ServletRequest;
import javax.servlet.ServletResponse;
import javax.servlet.http.HttpFilter;
import javax.servlet.http.HttpServlet;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import javax.servlet.http.HttpSession;

import org.apache.catalina.Context;
import org.apache.catalina.LifecycleException;
import org.apache.catalina.servlets.DefaultServlet;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.util.descriptor.web.FilterDef;
import org.apache.tomcat.util.descriptor.web.FilterMap;
import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;
import org.openbravo.client.kernel.KernelServlet;
import org.openbravo.dal.core.OBContext;
import org.openbravo.erpCommon.modules.ImportModule;
import org.openbravo.service.centralrepository.Module;

/**
 * A Tomcat with what of the module answers HTTP, and around that as much of Openbravo as the module
 * sees: sessions with roles, the servlet of action handlers, Module Management.
 */
final class Application implements AutoCloseable {
  static final String MODULE_MANAGEMENT = "/ad_forms/ModuleManagement.html";
  private static final String KERNEL = "/org.openbravo.client.kernel";
  private static final String CONTEXT = "/openbravo";
  private static final String ROLE = "role";

  private final Tomcat tomcat = new Tomcat();
  /** What action handlers are asked waits for this. */
  private volatile CountDownLatch gate = new CountDownLatch(0);
  /** What Module Management was asked to do, request by request. */
  private final List<String> changes = Collections.synchronizedList(new ArrayList<>());

  Application(Path directory) throws Exception {
    this(directory, Application.class.getClassLoader());
  }

  /** With the module's classes from a class loader of its own. */
  Application(Path directory, ClassLoader module) throws Exception {
    tomcat.setBaseDir(directory.toString());
    tomcat.setPort(0);
    Context context = tomcat.addContext(CONTEXT,
        Path.of("org.openbravo.backup").toAbsolutePath().toString());
    context.setParentClassLoader(module);
    context.addMimeMapping("css", "text/css");
    context.addMimeMapping("js", "text/javascript");
    add(context, "/*", new SignedIn());
    add(context, KERNEL, new Gate());
    add(context, MODULE_MANAGEMENT, (Filter) module.loadClass(InstallFilter.class.getName())
        .getDeclaredConstructor()
        .newInstance());
    add(context, "/", new DefaultServlet());
    add(context, "/login", new Login());
    add(context, MODULE_MANAGEMENT, new ModuleManagement());
    add(context, KERNEL, new KernelServlet());
    // Asked for, it is there.
    tomcat.getConnector();
    tomcat.start();
  }

  private static void add(Context context, String path, HttpServlet servlet) {
    String name = servlet.getClass().getSimpleName();
    Tomcat.addServlet(context, name, servlet);
    context.addServletMappingDecoded(path, name);
  }

  private static void add(Context context, String path, Filter filter) {
    FilterDef definition = new FilterDef();
    definition.setFilterName(filter.getClass().getSimpleName());
    definition.setFilter(filter);
    context.addFilterDef(definition);
    FilterMap map = new FilterMap();
    map.setFilterName(definition.getFilterName());
    map.addURLPattern(path);
    context.addFilterMap(map);
  }

  String url(String path) {
    return "http://127.0.0.1:" + tomcat.getConnector().getLocalPort() + CONTEXT + path;
  }

  List<String> changes() {
    return changes;
  }

  /** Lets what action handlers are asked wait until {@link #openGate}. */
  void closeGate() {
    gate = new CountDownLatch(1);
  }

  void openGate() {
    gate.countDown();
  }

  @Override
  public void close() throws LifecycleException {
    openGate();
    tomcat.stop();
    tomcat.destroy();
  }

  /** Somebody with a session of their own. */
  final class User {
    private final HttpClient client = HttpClient.newBuilder()
        .cookieHandler(new CookieManager())
        .build();
    private String token = "";

    /** Signs in with a role; null for somebody who does not sign in. */
    User(String role) throws IOException, InterruptedException {
      if (role != null) {
        token = post("/login", "role=" + role).body();
      }
    }

    String token() {
      return token;
    }

    HttpResponse<String> post(String path, String form) throws IOException, InterruptedException {
      return send(HttpRequest.newBuilder(URI.create(url(path)))
          .header("Content-Type", "application/x-www-form-urlencoded")
          .POST(HttpRequest.BodyPublishers.ofString(form)));
    }

    /** Chooses modules, each a package and a version, for Module Management to install. */
    void choose(String... modules) throws IOException, InterruptedException {
      choose(modules, new String[0]);
    }

    /** The same where others are to be updated to these versions. */
    void choose(String[] toInstall, String[] toUpdate) throws IOException, InterruptedException {
      post("/login", "choose=" + joined(toInstall) + "&update=" + joined(toUpdate));
    }

    private String joined(String... modules) {
      return URLEncoder.encode(String.join(",", modules), StandardCharsets.UTF_8);
    }

    HttpResponse<String> call(String handler, String token, String... fields)
        throws IOException, InterruptedException, JSONException {
      JSONObject content = new JSONObject();
      for (int i = 0; i < fields.length; i += 2) {
        content.put(fields[i], fields[i + 1]);
      }
      content.put("csrfToken", token);
      return send(HttpRequest.newBuilder(action(handler))
          .POST(HttpRequest.BodyPublishers.ofString(content.toString())));
    }

    /** What a handler answers to a request of the window. */
    JSONObject ask(String handler, String... fields)
        throws IOException, InterruptedException, JSONException {
      return new JSONObject(call(handler, token, fields).body());
    }

    HttpResponse<String> get(String handler) throws IOException, InterruptedException {
      return send(HttpRequest.newBuilder(action(handler)));
    }

    private URI action(String handler) {
      return URI.create(url(KERNEL + "?_action=org.openbravo.backup.erp." + handler));
    }

    private HttpResponse<String> send(HttpRequest.Builder request)
        throws IOException, InterruptedException {
      return client.send(request.build(), HttpResponse.BodyHandlers.ofString());
    }
  }

  private final class Gate extends HttpFilter {
    private static final long serialVersionUID = 1L;

    @Override
    protected void doFilter(HttpServletRequest request, HttpServletResponse response,
        FilterChain chain) throws IOException, ServletException {
      try {
        gate.await();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
      chain.doFilter(request, response);
    }
  }

  /** As Openbravo's filter does: whoever has no session has no context. */
  private static final class SignedIn extends HttpFilter {
    private static final long serialVersionUID = 1L;

    @Override
    protected void doFilter(HttpServletRequest request, HttpServletResponse response,
        FilterChain chain) throws IOException, ServletException {
      HttpSession session = request.getSession(false);
      if (session == null || session.getAttribute(ROLE) == null) {
        OBContext.setOBContext(null);
      } else {
        OBContext.setOBContext("100", (String) session.getAttribute(ROLE), "0", "0");
      }
      chain.doFilter(request, response);
    }
  }

  private static final class Login extends HttpServlet {
    private static final long serialVersionUID = 1L;

    @Override
    protected void service(HttpServletRequest request, HttpServletResponse response)
        throws IOException {
      HttpSession session = request.getSession();
      if (request.getParameter(ROLE) != null) {
        String token = UUID.randomUUID().toString().replace("-", "").toUpperCase();
        session.setAttribute(ROLE, request.getParameter(ROLE));
        session.setAttribute("#CSRF_TOKEN", token);
        response.getWriter().write(token);
      }
      if (request.getParameter("choose") != null) {
        session.setAttribute("INSTALLMODULE|IMPORTMODULE", new ImportModule(
            modules(request.getParameter("choose")), modules(request.getParameter("update"))));
      }
    }

    private static Module[] modules(String named) {
      return Arrays.stream(Objects.requireNonNullElse(named, "").split(","))
          .filter(name -> !name.isEmpty())
          .map(name -> module(name.split(" ")))
          .toArray(Module[]::new);
    }

    private static Module module(String... named) {
      Module module = new Module();
      module.setModuleID(named[0].toUpperCase());
      module.setPackageName(named[0]);
      module.setVersionNo(named[1]);
      return module;
    }
  }

  private final class ModuleManagement extends HttpServlet {
    private static final long serialVersionUID = 1L;

    @Override
    public void service(ServletRequest request, ServletResponse response) throws IOException {
      changes.add(request.getParameterMap()
          .entrySet()
          .stream()
          .map(parameter -> parameter.getKey() + "=" + String.join(",", parameter.getValue()))
          .sorted()
          .collect(Collectors.joining(" ")));
      response.setContentType("text/html; charset=UTF-8");
      response.getWriter().write("<title>Module Management</title><h1>The modules are changed</h1>");
    }
  }
}
