package org.openbravo.backup.erp;

import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;
import org.openbravo.backup.Backup;
import org.openbravo.backup.Verification;

/** Begins to read and prove every byte of one backup. */
public class VerifyHandler extends SystemAdministratorHandler {
  @Override
  JSONObject answer(JSONObject request) throws JSONException {
    String id = Mirror.backup(request.getString("row"));
    String sound = Texts.text("VerifySound");
    String damaged = Texts.text("VerifyDamaged");
    Backups.get().begin("verify", backup -> verify(backup, id, sound, damaged));
    return StatusHandler.status();
  }

  private static Outcome verify(Backup backup, String id, String sound, String damaged) {
    Verification verification = backup.verify(id, true);
    if (verification.isSound()) {
      return Outcome.success(String.format(sound, Sizes.of(verification.readBytes())), "");
    }
    StringBuilder found = new StringBuilder();
    for (Verification.Finding finding : verification.findings()) {
      found.append(finding.object()).append(": ").append(finding.problem()).append('\n');
    }
    return Outcome.error(damaged, found.toString());
  }
}
