package org.openbravo.backup.erp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is seen in a browser while the backup before a change of modules is taken. */
class InstallPageTest {
  private static final Path PICTURES = Path.of("../target/screenshots/module");
  private static final String INSTALL = "const form = document.createElement('form');"
      + "form.method = 'post'; form.action = '/openbravo" + Application.MODULE_MANAGEMENT + "';"
      + "for (const [name, value] of [['Command', 'INSTALL3'], ['accepted', \"N'\\\"<b>\"]]) {"
      + "const input = document.createElement('input'); input.name = name; input.value = value;"
      + "form.append(input); } document.body.append(form); form.submit();";

  @TempDir
  Path directory;
  private Application application;
  private Browser browser;

  @BeforeEach
  void start() throws Exception {
    World.directory();
    assumeTrue(Browser.isAtHand(), "chromedriver is not at hand: run `make setup`");
    application = new Application(Files.createDirectory(directory.resolve("tomcat")));
    World.repository(application.new User(World.SYSTEM_ADMINISTRATOR));
    browser = new Browser(directory.resolve("profile"));
    browser.open(application.url("/login?role=0&choose=org.example.one%201.0.0"));
  }

  @AfterEach
  void stop() throws Exception {
    if (browser != null) {
      browser.close();
    }
    if (application != null) {
      application.close();
    }
  }

  @Test
  void theBarIsShownAndTheInstallGoesOnByItself() throws Exception {
    // However soon the backup is taken, the page is told of it only when it was looked at.
    application.closeGate();
    browser.run(INSTALL);
    browser.until("document.querySelector('progress')");
    browser.picture(PICTURES.resolve("install.png"));
    assertEquals("A backup is taken first", browser.run("return document.querySelector('h1').textContent"));
    application.openGate();
    browser.until("document.title === 'Module Management'");
    // All that was asked, to the letter.
    assertEquals("Command=INSTALL3 accepted=N'\"<b>", application.changes().get(0));
    assertEquals(1, application.changes().size());
  }

  @Test
  void aFailedBackupSaysWhyAndTheInstallCanBeTriedAgain() throws Exception {
    Path repository = World.directory().resolve("repository");
    Path away = repository.resolveSibling("away");
    Files.move(repository, away);
    try {
      browser.run(INSTALL);
      browser.until("document.getElementById('failure') && !document.getElementById('failure').hidden");
      browser.picture(PICTURES.resolve("install-stopped.png"));
      String reason = browser.run("return document.getElementById('reason').textContent");
      assertTrue(reason.contains("repository"), reason);
      assertTrue(browser.run("return document.getElementById('hint').textContent").length() > 10);
      assertEquals(0, application.changes().size());
    } finally {
      Files.move(away, repository);
    }
    browser.run("document.getElementById('again').click()");
    browser.until("document.title === 'Module Management'");
    assertEquals(1, application.changes().size());
  }
}
