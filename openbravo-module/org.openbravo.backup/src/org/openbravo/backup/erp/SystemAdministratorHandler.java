package org.openbravo.backup.erp;

import java.util.Map;
import java.util.NoSuchElementException;

import javax.servlet.http.HttpServletRequest;

import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;
import org.openbravo.base.exception.OBSecurityException;
import org.openbravo.client.kernel.BaseActionHandler;
import org.openbravo.client.kernel.KernelConstants;
import org.openbravo.dal.core.OBContext;
import org.openbravo.erpCommon.utility.CsrfUtil;

/**
 * What the window asks the server for. Openbravo lets every role with automatic access call any
 * action handler, and checks the token against forged requests for POST alone and by a preference: so
 * the role is checked here, first, then the token, and nothing else than POST is answered. Without the
 * library's jar this must load, and say so.
 */
abstract class SystemAdministratorHandler extends BaseActionHandler {
  private static final Logger log = LogManager.getLogger();
  static final String SYSTEM_ADMINISTRATOR = "0";

  /** The answer to a request of somebody who may ask. */
  abstract JSONObject answer(JSONObject request) throws JSONException;

  @Override
  protected final JSONObject execute(Map<String, Object> parameters, String content) {
    checkRole(OBContext.getOBContext());
    if (content == null) {
      throw new OBSecurityException("Only POST is answered");
    }
    CsrfUtil.checkCsrfToken(CsrfUtil.getCsrfTokenFromRequestContent(content),
        (HttpServletRequest) parameters.get(KernelConstants.HTTP_REQUEST));
    try {
      return answerOrFailure(new JSONObject(content));
    } catch (JSONException e) {
      throw new IllegalArgumentException("Not a request of the window Backups", e);
    }
  }

  static void checkRole(OBContext context) {
    if (context == null || context.getRole() == null
        || !SYSTEM_ADMINISTRATOR.equals(context.getRole().getId())) {
      throw new OBSecurityException("Backups are for the System Administrator");
    }
  }

  private JSONObject answerOrFailure(JSONObject request) throws JSONException {
    Outcome problem;
    try {
      return answer(request);
    } catch (LinkageError e) {
      log.error(getClass().getSimpleName(), e);
      problem = Outcome.of(e);
    } catch (NoSuchElementException e) {
      problem = Outcome.error(Texts.text("Gone"), Texts.text("GoneHelp"));
    } catch (RuntimeException e) {
      problem = Outcome.of(e);
      log.warn("{}: {}", getClass().getSimpleName(), e);
    }
    return new JSONObject().put("problem", problem.json());
  }
}
