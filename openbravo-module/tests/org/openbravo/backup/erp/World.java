package org.openbravo.backup.erp;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;

import org.codehaus.jettison.json.JSONObject;
import org.openbravo.base.session.OBPropertiesProvider;

/** The made-up instance that tests/module.sh makes beside a private server, and its one repository. */
final class World {
  static final String SYSTEM_ADMINISTRATOR = "0";
  private static final long PATIENCE_MILLISECONDS = 120_000;

  private World() {
  }

  /** Prepares the instance; the test is skipped where there is none. */
  static Path directory() {
    String directory = System.getenv("OBBACKUP_WORLD");
    assumeTrue(directory != null, "run tests/module.sh, which makes an instance");
    System.setProperty(OBPropertiesProvider.INSTANCE_PROPERTY, directory + "/openbravo");
    return Path.of(directory);
  }

  /** The repository, named as the window does it where that has not happened yet. */
  static Path repository(Application.User administrator) throws Exception {
    Path repository = directory().resolve("repository");
    if (!Files.exists(repository)) {
      JSONObject before = administrator.ask("RefreshHandler").getJSONObject("repository");
      assertFalse(before.getBoolean("isNamed"), before.toString());
      JSONObject named = administrator.ask("RepositoryHandler", "repository", repository.toString());
      assertFalse(named.has("problem"), named.toString());
    }
    return repository;
  }

  /** Waits until no work is running; what the last came to. */
  static JSONObject outcome(Application.User administrator) throws Exception {
    long end = System.currentTimeMillis() + PATIENCE_MILLISECONDS;
    JSONObject status = administrator.ask("StatusHandler");
    while (status.getBoolean("running")) {
      assertTrue(System.currentTimeMillis() < end, status.toString());
      Thread.sleep(100);
      status = administrator.ask("StatusHandler");
    }
    return status.getJSONObject("outcome");
  }
}
