package org.openbravo.backup.erp;

import org.codehaus.jettison.json.JSONArray;
import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;
import org.openbravo.backup.BackupSummary;
import org.openbravo.backup.Diagnosis;
import org.openbravo.backup.RestorePlan;
import org.openbravo.backup.UndoPlan;

/** What would take the place of what is live, as the dialog that asks for confirmation shows it. */
final class ReplacementPlan {
  private final JSONArray facts = new JSONArray();
  private final JSONArray parts = new JSONArray();
  private final JSONArray room = new JSONArray();
  private final JSONArray problems = new JSONArray();
  private final JSONArray lost = new JSONArray();
  private final JSONArray notes = new JSONArray();
  private final JSONObject json = new JSONObject();

  private ReplacementPlan(String instance, String title, String button) throws JSONException {
    json.put("instance", instance)
        .put("title", title)
        .put("button", Texts.text(button))
        .put("confirmation", Texts.text("TypeInstance", instance))
        .put("facts", facts)
        .put("parts", parts)
        .put("room", room)
        .put("problems", problems)
        .put("lost", lost)
        .put("notes", notes);
  }

  static JSONObject of(String instance, RestorePlan plan) throws JSONException {
    BackupSummary backup = plan.backup();
    ReplacementPlan shown = new ReplacementPlan(instance,
        Texts.text("RestoreTitle", Mirror.shortNumber(backup)), "Restore");
    shown.fact("PlanTaken", Texts.time(backup.finishedAt()));
    shown.fact("PlanLabel", backup.label());
    shown.fact("PlanOpenbravo", backup.openbravoVersion());
    shown.fact("PlanPostgresql", backup.postgresqlVersion());
    if (plan.database() != null) {
      RestorePlan.Database database = plan.database();
      shown.part("database", database.bytes(), "PlanRows", database.rows(), database.name());
    }
    for (RestorePlan.Files files : plan.files()) {
      shown.part(files.part(), files.bytes(), "PlanFiles", files.files(), files.to());
    }
    for (RestorePlan.Newer newer : plan.newer()) {
      shown.newer(newer);
    }
    for (RestorePlan.Room place : plan.room()) {
      shown.room.put(row(place.place(), Texts.text("PlanNeeded", Sizes.of(place.neededBytes())),
          Texts.text("PlanFree", Sizes.of(place.freeBytes()))));
    }
    for (Diagnosis.Check check : plan.checks()) {
      shown.check(check);
    }
    for (String note : plan.notes()) {
      shown.notes.put(Texts.sentence(note));
    }
    return shown.json.put("explanation", Texts.text("RestoreExplained"));
  }

  static JSONObject of(String instance, UndoPlan plan) throws JSONException {
    ReplacementPlan shown = new ReplacementPlan(instance, Texts.text("UndoTitle"), "Undo");
    UndoPlan.KeptState state = plan.state();
    shown.fact("PlanReplaced", Texts.time(state.at()));
    shown.fact("PlanDatabase", state.database());
    for (String directory : state.directories()) {
      shown.fact("PlanDirectory", directory);
    }
    for (String note : plan.notes()) {
      shown.notes.put(Texts.sentence(note));
    }
    return shown.json.put("explanation", Texts.text("UndoExplained"));
  }

  private void fact(String name, String value) {
    if (value != null) {
      facts.put(row(Texts.text(name), value));
    }
  }

  private void part(String part, long bytes, String counted, long count, String to) {
    parts.put(row(Texts.word("Part", part), Sizes.of(bytes),
        Texts.text(counted, String.format("%,d", count)), to));
  }

  private void newer(RestorePlan.Newer newer) {
    String name = Texts.word("Table", newer.table());
    if (newer.rows() == null) {
      lost.put(Texts.text("PlanLostSome", name));
    } else if (newer.rows() > 0) {
      lost.put(Texts.text("PlanLostRows", name, newer.rows().toString()));
    }
  }

  private void check(Diagnosis.Check check) {
    if ("ok".equals(check.result())) {
      return;
    }
    String found = Texts.sentence(check.found());
    String said = check.remedy() == null ? found : found + "\n" + Texts.advice(check.remedy());
    ("failure".equals(check.result()) ? problems : notes).put(said);
  }

  private static JSONArray row(String... cells) {
    JSONArray row = new JSONArray();
    for (String cell : cells) {
      row.put(cell);
    }
    return row;
  }
}
