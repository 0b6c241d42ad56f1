package org.openbravo.backup.erp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import org.codehaus.jettison.json.JSONObject;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.openbravo.backup.data.MirroredBackup;
import org.openbravo.dal.service.OBDal;

/** Whom the handlers answer, and what the window gets from them. */
class HandlersTest {
  private static final int FORBIDDEN = 403;
  private static final int OK = 200;

  @TempDir
  Path directory;
  private Application application;

  @BeforeEach
  void start() throws Exception {
    World.directory();
    application = new Application(directory);
  }

  @AfterEach
  void stop() throws Exception {
    application.close();
  }

  @Test
  void nobodyButTheSystemAdministratorIsAnswered() throws Exception {
    Application.User administrator = application.new User(World.SYSTEM_ADMINISTRATOR);
    Application.User client = application.new User("1000000");
    Application.User anonymous = application.new User(null);
    for (String handler : handlers()) {
      String token = "DEADBEEF";
      assertEquals(FORBIDDEN, anonymous.call(handler, token).statusCode(), handler);
      assertEquals(FORBIDDEN, anonymous.get(handler).statusCode(), handler);
      assertTrue(client.get(handler).body().contains("System Administrator"), handler);
      // A token of their own helps no other role.
      assertEquals(FORBIDDEN, client.call(handler, client.token()).statusCode(), handler);
      assertEquals(FORBIDDEN, administrator.get(handler).statusCode(), handler);
      assertEquals(FORBIDDEN, administrator.call(handler, token).statusCode(), handler);
      assertEquals(FORBIDDEN, administrator.call(handler, "").statusCode(), handler);
    }
    assertEquals(OK, administrator.call("StatusHandler", administrator.token()).statusCode());
  }

  @Test
  void aBackupIsTakenPinnedVerifiedAndDeleted() throws Exception {
    Application.User administrator = application.new User(World.SYSTEM_ADMINISTRATOR);
    World.repository(administrator);
    JSONObject begun = administrator.ask("BackupHandler", "label", "the first");
    assertTrue(begun.getBoolean("running"), begun.toString());
    // A second click only shows the one that runs.
    assertTrue(administrator.ask("BackupHandler", "label", "again").getBoolean("running"));
    assertEquals("success", World.outcome(administrator).getString("type"));

    MirroredBackup row = row("the first");
    assertEquals(0, rows("again"));
    administrator.ask("PinHandler", "row", (String) row.getId(), "pinned", "true");
    assertEquals(Boolean.TRUE, row("the first").get("pinned"));
    administrator.ask("PinHandler", "row", (String) row.getId(), "pinned", "false");
    assertEquals(Boolean.FALSE, row("the first").get("pinned"));
    administrator.ask("VerifyHandler", "row", (String) row.getId());
    JSONObject verified = World.outcome(administrator);
    assertEquals("success", verified.getString("type"), verified.toString());

    JSONObject plan = administrator
        .ask("RestoreHandler", "row", (String) row.getId(), "isPlan", "true")
        .getJSONObject("plan");
    assertEquals("openbravo", plan.getString("instance"));
    assertTrue(plan.getJSONArray("parts").length() >= 4, plan.toString());
    assertTrue(plan.getJSONArray("room").length() >= 1, plan.toString());

    administrator.ask("DeleteHandler", "row", (String) row.getId());
    assertEquals("success", World.outcome(administrator).getString("type"));
    assertEquals(0, rows("the first"));
  }

  @Test
  void withoutARepositoryNothingIsListed() throws Exception {
    Application.User administrator = application.new User(World.SYSTEM_ADMINISTRATOR);
    World.repository(administrator);
    administrator.ask("BackupHandler", "label", "of the repository");
    World.outcome(administrator);
    assertEquals(1, rows("of the repository"));
    Path configuration = World.directory().resolve("openbravo/config/obbackup.toml");
    Path away = configuration.resolveSibling("away");
    Files.move(configuration, away);
    try {
      JSONObject repository = administrator.ask("RefreshHandler").getJSONObject("repository");
      assertFalse(repository.getBoolean("isNamed"), repository.toString());
      assertEquals(0, rows("of the repository"));
    } finally {
      Files.move(away, configuration);
    }
    administrator.ask("RefreshHandler");
    assertEquals(1, rows("of the repository"));
  }

  @Test
  void whatFailsIsSaid() throws Exception {
    Application.User administrator = application.new User(World.SYSTEM_ADMINISTRATOR);
    JSONObject answer = administrator.ask("RepositoryHandler", "repository", "/proc/backups");
    JSONObject problem = answer.getJSONObject("problem");
    assertEquals("error", problem.getString("type"));
    assertTrue(problem.getString("title").contains("/proc/backups"), problem.toString());

    for (String handler : List.of("PinHandler", "VerifyHandler", "DeleteHandler")) {
      problem = administrator.ask(handler, "row", "gone", "pinned", "true").getJSONObject("problem");
      assertEquals("This backup is not there any more.", problem.getString("title"), handler);
      assertFalse(problem.getString("text").isEmpty(), handler);
    }

    String there = World.repository(administrator).toString();
    problem = administrator.ask("RepositoryHandler", "repository", there).getJSONObject("problem");
    assertTrue(problem.getString("title").contains("already"), problem.toString());
    String advice = problem.getString("text");
    assertTrue(advice.startsWith("On the server: ") && advice.contains("--take-over"), advice);
  }

  private static MirroredBackup row(String label) {
    return OBDal.getInstance()
        .createCriteria(MirroredBackup.class)
        .list()
        .stream()
        .filter(row -> label.equals(row.get("backupLabel")))
        .findAny()
        .orElseThrow();
  }

  private static long rows(String label) {
    return OBDal.getInstance()
        .createCriteria(MirroredBackup.class)
        .list()
        .stream()
        .filter(row -> label.equals(row.get("backupLabel")))
        .count();
  }

  private static List<String> handlers() throws IOException {
    Path sources = Path.of("org.openbravo.backup/src/org/openbravo/backup/erp");
    try (Stream<Path> files = Files.list(sources)) {
      return files.map(file -> file.getFileName().toString().replace(".java", ""))
          .filter(name -> name.endsWith("Handler") && !name.startsWith("SystemAdministrator"))
          .collect(Collectors.toList());
    }
  }
}
