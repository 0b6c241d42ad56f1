package org.openbravo.backup.erp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.List;

import org.codehaus.jettison.json.JSONObject;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.openbravo.backup.Backup;

/** An ERP that has the module, but not the library's jar. */
class WithoutLibraryTest {
  private static final String MODULE = "org.openbravo.backup.erp.";
  private static final String LIBRARY = Backup.class.getPackageName() + ".";

  @TempDir
  Path directory;
  private Application application;
  private Application.User administrator;

  @BeforeEach
  void start() throws Exception {
    application = new Application(directory, new WithoutLibrary());
    administrator = application.new User(World.SYSTEM_ADMINISTRATOR);
  }

  @AfterEach
  void stop() throws Exception {
    application.close();
  }

  @Test
  void theWindowSaysThatItIsMissing() throws Exception {
    JSONObject problem = administrator.ask("RefreshHandler").getJSONObject("problem");
    assertEquals("error", problem.getString("type"));
    assertTrue(problem.getString("title").contains("org/openbravo/backup/"), problem.toString());
    assertTrue(problem.getString("text").contains("WEB-INF/lib"), problem.toString());
  }

  @Test
  void modulesAreNotChangedAndThePageSaysWhy() throws Exception {
    administrator.choose("org.example.one 1.0.0");
    String page = administrator.post(Application.MODULE_MANAGEMENT, "Command=INSTALL3").body();
    assertTrue(page.contains("data-failed='true'"), page);
    assertTrue(page.contains("WEB-INF/lib"), page);
    assertEquals(List.of(), application.changes());
  }

  @Test
  void whatElseModuleManagementDoesGoesOn() throws Exception {
    administrator.post(Application.MODULE_MANAGEMENT, "Command=INSTALL2");
    assertEquals(List.of("Command=INSTALL2"), application.changes());
  }

  /** Loads the module's classes itself, and has none of the library's. */
  private static final class WithoutLibrary extends URLClassLoader {
    WithoutLibrary() {
      super(new URL[] { Backup.class.getProtectionDomain().getCodeSource().getLocation() },
          Backup.class.getClassLoader());
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      synchronized (getClassLoadingLock(name)) {
        if (name.startsWith(MODULE)) {
          Class<?> loaded = findLoadedClass(name);
          return loaded == null ? findClass(name) : loaded;
        }
        if (name.startsWith(LIBRARY) && !name.startsWith(LIBRARY + "data.")) {
          throw new ClassNotFoundException(name);
        }
        return super.loadClass(name, resolve);
      }
    }
  }
}
