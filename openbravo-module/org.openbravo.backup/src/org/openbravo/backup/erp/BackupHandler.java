package org.openbravo.backup.erp;

import java.util.ArrayList;
import java.util.List;

import org.codehaus.jettison.json.JSONArray;
import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;
import org.openbravo.backup.Backup;
import org.openbravo.backup.BackupOptions;
import org.openbravo.backup.BackupPlan;
import org.openbravo.backup.BackupSummary;

/**
 * Says which parts a backup can hold, or begins one and answers at once; a second call while one is
 * running only shows that one.
 */
public class BackupHandler extends SystemAdministratorHandler {
  @Override
  JSONObject answer(JSONObject request) throws JSONException {
    BackupOptions options = BackupOptions.all();
    if (request.optBoolean("isPlan")) {
      BackupPlan plan = Backups.get().open().planBackup(options);
      return new JSONObject().put("parts", new JSONArray(plan.parts()));
    }
    String label = request.optString("label").trim();
    if (!label.isEmpty()) {
      options = options.label(label);
    }
    for (String part : strings(request.optJSONArray("parts"))) {
      options = options.only(part);
    }
    BackupOptions complete = options;
    // The thread has no session, so it cannot translate.
    String good = Texts.text("BackupGood");
    String sizes = Texts.text("BackupSizes");
    String partial = Texts.text("BackupPartial");
    Backups.get().begin("backup", backup -> take(backup, complete, good, sizes, partial));
    return StatusHandler.status();
  }

  private static Outcome take(Backup backup, BackupOptions options, String good, String sizes,
      String partial) {
    BackupSummary taken = backup.backup(options);
    Mirror.refresh(backup);
    if (taken.isGood()) {
      String data = Sizes.of(taken.databaseBytes() + taken.filesBytes());
      return Outcome.success(good, String.format(sizes, data, Sizes.of(taken.storedBytes())));
    }
    return Outcome.warning(partial, String.join("\n", taken.warnings()));
  }

  private static List<String> strings(JSONArray array) throws JSONException {
    List<String> strings = new ArrayList<>();
    for (int i = 0; array != null && i < array.length(); i++) {
      strings.add(array.getString(i));
    }
    return strings;
  }
}
