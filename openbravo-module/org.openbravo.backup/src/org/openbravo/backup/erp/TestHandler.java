package org.openbravo.backup.erp;

import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;
import org.openbravo.backup.Diagnosis;

/** Checks that backups and restores can work here, and changes nothing. */
public class TestHandler extends SystemAdministratorHandler {
  @Override
  JSONObject answer(JSONObject request) throws JSONException {
    Diagnosis diagnosis = Backups.get().open().doctor();
    StringBuilder found = new StringBuilder();
    for (Diagnosis.Check check : diagnosis.checks()) {
      if ("ok".equals(check.result())) {
        continue;
      }
      found.append(Texts.sentence(check.name())).append(": ").append(check.found()).append('\n');
      if (check.remedy() != null) {
        found.append(Texts.advice(check.remedy())).append('\n');
      }
    }
    Outcome outcome;
    if (!diagnosis.isHealthy()) {
      outcome = Outcome.error(Texts.text("TestFailed"), found.toString());
    } else if (found.length() > 0) {
      outcome = Outcome.warning(Texts.text("TestWarned"), found.toString());
    } else {
      outcome = Outcome.success(Texts.text("TestPassed"), "");
    }
    return StatusHandler.status().put("answer", outcome.json());
  }
}
