package org.openbravo.backup.erp;

import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;

/** Makes the repository and names it in the instance's configuration. */
public class RepositoryHandler extends SystemAdministratorHandler {
  @Override
  JSONObject answer(JSONObject request) throws JSONException {
    Backups.get().open().init(request.getString("repository").trim());
    return StatusHandler.status();
  }
}
