package org.openbravo.backup.erp;

import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;
import org.openbravo.backup.Backup;

/** Begins to delete one backup, which the window has asked to confirm. */
public class DeleteHandler extends SystemAdministratorHandler {
  @Override
  JSONObject answer(JSONObject request) throws JSONException {
    String id = Mirror.backup(request.getString("row"));
    String deleted = Texts.text("Deleted");
    Backups.get().begin("delete", backup -> delete(backup, id, deleted));
    return StatusHandler.status();
  }

  private static Outcome delete(Backup backup, String id, String deleted) {
    long freed = backup.delete(id).freedBytes();
    Mirror.refresh(backup);
    return Outcome.success(String.format(deleted, Sizes.of(freed)), "");
  }
}
