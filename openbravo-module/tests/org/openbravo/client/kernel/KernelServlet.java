package org.openbravo.client.kernel;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

import javax.servlet.http.HttpServlet;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;

import org.codehaus.jettison.json.JSONObject;
import org.openbravo.base.exception.OBSecurityException;

/** Calls action handlers as Openbravo's own servlet does: everybody's, with the content of POST alone. */
public class KernelServlet extends HttpServlet {
  private static final long serialVersionUID = 1L;

  @Override
  protected void service(HttpServletRequest request, HttpServletResponse response)
      throws IOException {
    Map<String, Object> parameters = new HashMap<>(request.getParameterMap());
    parameters.put(KernelConstants.HTTP_REQUEST, request);
    String content = request.getMethod().equals("POST")
        ? new String(request.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
        : null;
    try {
      ClassLoader application = Thread.currentThread().getContextClassLoader();
      Class<?> type = Class.forName(request.getParameter("_action"), true, application);
      // Openbravo has beans made of them, and only where all that they name is there.
      type.getDeclaredMethods();
      BaseActionHandler handler = (BaseActionHandler) type.getDeclaredConstructor().newInstance();
      JSONObject answer = handler.execute(parameters, content);
      response.setContentType("application/json; charset=UTF-8");
      response.getWriter().write(answer.toString());
    } catch (OBSecurityException e) {
      response.sendError(HttpServletResponse.SC_FORBIDDEN, e.getMessage());
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }
}
