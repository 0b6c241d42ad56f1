package org.openbravo.backup.erp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import org.codehaus.jettison.json.JSONObject;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.openbravo.backup.data.MirroredBackup;
import org.openbravo.dal.service.OBDal;
import org.openbravo.model.ad.module.Module;

/** The backup before Module Management changes modules. */
class InstallFilterTest {
  private static final String INSTALL = "Command=INSTALL3&inpcRecordId=1&accepted=N";
  private static final String BACKUP_PAGE = "A backup is taken first";

  @TempDir
  Path directory;
  private Application application;
  private Application.User administrator;

  @BeforeEach
  void start() throws Exception {
    World.directory();
    application = new Application(directory);
    administrator = application.new User(World.SYSTEM_ADMINISTRATOR);
    World.repository(administrator);
  }

  @AfterEach
  void stop() throws Exception {
    application.close();
  }

  @Test
  void aBackupIsTakenBeforeAnInstallAndLetsThatPassOnce() throws Exception {
    administrator.choose("org.example.one 1.0.0", "org.example.two 1.1.0");
    assertTrue(change(INSTALL).contains(BACKUP_PAGE));
    assertEquals(List.of(), application.changes());
    assertEquals("success", World.outcome(administrator).getString("type"));
    assertTrue(change(INSTALL).contains("The modules are changed"));
    assertEquals(List.of("Command=INSTALL3 accepted=N inpcRecordId=1"), application.changes());
    MirroredBackup newest = newest();
    assertEquals("automated", newest.get("backupType"));
    assertEquals("before installing org.example.one 1.0.0, org.example.two 1.1.0",
        newest.get("backupLabel"));

    assertTrue(change(INSTALL).contains(BACKUP_PAGE));
    World.outcome(administrator);
    assertEquals(1, application.changes().size());
  }

  @Test
  void theBackupBeforeAnUpdateNamesBothVersions() throws Exception {
    Module installed = new Module();
    installed.set("id", "ORG.EXAMPLE.OLD");
    installed.set("javaPackage", "org.example.old");
    installed.set("version", "1.0.0");
    OBDal.getInstance().save(installed);
    String[] update = { "org.example.old 1.2.0" };
    administrator.choose(new String[0], update);
    assertTrue(change(INSTALL).contains(BACKUP_PAGE));
    assertEquals("success", World.outcome(administrator).getString("type"));
    assertEquals("before updating org.example.old 1.0.0 → 1.2.0", newest().get("backupLabel"));
    assertTrue(change(INSTALL).contains("The modules are changed"));

    administrator.choose(new String[] { "org.example.new 3.0.0" }, update);
    assertTrue(change(INSTALL).contains(BACKUP_PAGE));
    World.outcome(administrator);
    assertEquals("before installing org.example.new 3.0.0, org.example.old 1.0.0 → 1.2.0",
        newest().get("backupLabel"));
  }

  @Test
  void aBackupLetsNoOtherModulesAndNoOtherSessionPass() throws Exception {
    administrator.choose("org.example.one 1.0.0");
    change(INSTALL);
    World.outcome(administrator);
    administrator.choose("org.example.other 1.0.0");
    assertTrue(change(INSTALL).contains(BACKUP_PAGE));
    World.outcome(administrator);
    Application.User second = application.new User(World.SYSTEM_ADMINISTRATOR);
    second.choose("org.example.other 1.0.0");
    assertTrue(second.post(Application.MODULE_MANAGEMENT, INSTALL).body().contains(BACKUP_PAGE));
    World.outcome(administrator);
    assertEquals(List.of(), application.changes());
  }

  @Test
  void anUninstallIsPrecededByABackupToo() throws Exception {
    String uninstall = "Command=UNINSTALL&inpNodes=ABC";
    assertTrue(change(uninstall).contains(BACKUP_PAGE));
    World.outcome(administrator);
    assertEquals("before uninstalling ABC", newest().get("backupLabel"));
    assertTrue(change(uninstall).contains("The modules are changed"));
  }

  @Test
  void whereTheBackupFailsNothingIsChanged() throws Exception {
    Path repository = World.repository(administrator);
    Path away = repository.resolveSibling("away");
    Files.move(repository, away);
    try {
      administrator.choose("org.example.one 1.0.0");
      change(INSTALL);
      JSONObject outcome = World.outcome(administrator);
      assertEquals("error", outcome.getString("type"));
      assertFalse(outcome.getString("text").isEmpty());
      assertTrue(change(INSTALL).contains(BACKUP_PAGE));
      World.outcome(administrator);
      assertEquals(List.of(), application.changes());
    } finally {
      Files.move(away, repository);
    }
  }

  @Test
  void othersAndOtherRequestsPassWithoutABackup() throws Exception {
    int before = OBDal.getInstance().createCriteria(MirroredBackup.class).list().size();
    Application.User client = application.new User("1000000");
    client.choose("org.example.one 1.0.0");
    // Openbravo itself refuses these; the filter starts nothing for them.
    client.post(Application.MODULE_MANAGEMENT, INSTALL);
    application.new User(null).post(Application.MODULE_MANAGEMENT, INSTALL);
    // Nothing was chosen, so there is nothing to install.
    change(INSTALL);
    change("Command=INSTALL2");
    assertEquals(4, application.changes().size());
    administrator.ask("RefreshHandler");
    assertEquals(before, OBDal.getInstance().createCriteria(MirroredBackup.class).list().size());
  }

  private String change(String form) throws Exception {
    return administrator.post(Application.MODULE_MANAGEMENT, form).body();
  }

  private static MirroredBackup newest() {
    return OBDal.getInstance()
        .createCriteria(MirroredBackup.class)
        .list()
        .stream()
        .max((a, b) -> ((java.util.Date) a.get("dateTaken"))
            .compareTo((java.util.Date) b.get("dateTaken")))
        .orElseThrow();
  }
}
