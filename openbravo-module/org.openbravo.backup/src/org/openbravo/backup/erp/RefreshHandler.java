package org.openbravo.backup.erp;

import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;

/**
 * Reads the repository anew. The window asks this first: so it must load without the library's jar,
 * and names none of its classes.
 */
public class RefreshHandler extends SystemAdministratorHandler {
  @Override
  JSONObject answer(JSONObject request) throws JSONException {
    return Overview.refresh();
  }
}
