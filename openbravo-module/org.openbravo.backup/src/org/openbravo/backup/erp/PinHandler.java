package org.openbravo.backup.erp;

import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;
import org.openbravo.backup.Backup;

/** Pins one backup, so that retention keeps it, or takes the pin away. */
public class PinHandler extends SystemAdministratorHandler {
  @Override
  JSONObject answer(JSONObject request) throws JSONException {
    Backup backup = Backups.get().open();
    backup.pin(Mirror.backup(request.getString("row")), request.getBoolean("pinned"));
    Mirror.refresh(backup);
    return StatusHandler.status().put("isChanged", true);
  }
}
