package org.openbravo.backup.erp;

import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;
import org.openbravo.backup.Backup;
import org.openbravo.backup.BackupException;
import org.openbravo.backup.StorageUse;
import org.openbravo.erpCommon.utility.OBMessageUtils;

/** Reads the repository anew: its backups into the table, and its room. */
public class RefreshHandler extends SystemAdministratorHandler {
  @Override
  JSONObject answer(JSONObject request) throws JSONException {
    JSONObject answer = StatusHandler.status();
    Backup backup = Backups.get().open();
    if (backup.settings().value("repository") == null) {
      return answer.put("unconfigured", true);
    }
    try {
      int count = Mirror.refresh(backup);
      return answer.put("summary", summary(backup.storage(), count));
    } catch (BackupException e) {
      return answer.put("problem", Outcome.of(e).json());
    }
  }

  private static String summary(StorageUse use, int backups) {
    String stored = Sizes.of(use.repositoryBytes());
    if (use.freeBytes() == null) {
      return OBMessageUtils.getI18NMessage("OBBKP_Repository",
          new String[] { use.location(), String.valueOf(backups), stored });
    }
    return OBMessageUtils.getI18NMessage("OBBKP_RepositoryOnDevice", new String[] { use.location(),
        String.valueOf(backups), stored, Sizes.of(use.usedBytes()), Sizes.of(use.freeBytes()) });
  }
}
