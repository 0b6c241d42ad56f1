package org.openbravo.backup.erp;

import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;
import org.openbravo.backup.Backup;
import org.openbravo.backup.RestoreJob;
import org.openbravo.backup.RestoreOptions;
import org.openbravo.backup.UndoOptions;
import org.openbravo.dal.service.OBDal;

/**
 * Brings back a backup, or the state before the last restore: first says what that would do, and
 * begins it when the instance's name was typed. What begins is a process of its own, which stops this
 * application.
 */
public class RestoreHandler extends SystemAdministratorHandler {
  @Override
  JSONObject answer(JSONObject request) throws JSONException {
    boolean isUndo = request.optBoolean("isUndo");
    String id = isUndo ? null : Mirror.backup(request.getString("row"));
    // Looking at everything takes some seconds, in which no connection to the database is needed here.
    OBDal.getInstance().commitAndClose();
    Backup backup = Backups.get().open();
    String instance = Backups.get().instanceName();
    if (request.getBoolean("isPlan")) {
      JSONObject plan = isUndo ? ReplacementPlan.of(instance, backup.planUndo())
          : ReplacementPlan.of(instance, backup.planRestore(RestoreOptions.of(id)));
      return new JSONObject().put("plan", plan);
    }
    if (!instance.equals(request.getString("instance"))) {
      throw new IllegalArgumentException("The instance's name is another one");
    }
    RestoreJob job = isUndo ? backup.undo(UndoOptions.last())
        : backup.restore(RestoreOptions.of(id));
    return StatusHandler.status().put("page", job.statusPath() + "?token=" + job.token());
  }
}
