package org.openbravo.backup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.management.ManagementFactory;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** Every call against the real library, and what it does with nonsense. */
class CallsTest {
  @TempDir
  Path directory;

  @Test
  void everyCallAnswers() throws Exception {
    try (Backup backup = Backup.open(World.options(directory))) {
      assertEquals("0.1.0", Backup.version().version());
      World.fails(BackupException.Code.NOT_FOUND, backup::status);
      Initialized made = backup.init(directory.resolve("repository").toString());
      assertEquals(directory.resolve("repository").toString(), made.repository());
      assertFalse(backup.progress().isRunning());
      assertFalse(backup.cancel());
      assertTrue(backup.doctor().isHealthy(), backup.doctor().json());

      BackupPlan plan = backup.planBackup(BackupOptions.all());
      assertEquals(made.repository(), plan.repository());
      assertNull(plan.parent());
      assertTrue(backup.list(ListOptions.all()).backups().isEmpty());

      Instant before = Instant.now();
      BackupSummary taken = backup.backup(BackupOptions.all().label("first").pin());
      assertTrue(taken.isGood() && taken.isPinned(), taken.json());
      assertEquals("first", taken.label());
      assertEquals("manual", taken.type());
      assertTrue(taken.contents().containsAll(
          Arrays.asList("database", "sources", "deploy", "attachments", "configuration")),
          taken.json());
      assertTrue(taken.databaseBytes() > 1_000_000 && taken.files() > 100, taken.json());
      assertTrue(taken.finishedAt().isAfter(before));
      BackupSummary second = backup.backup(BackupOptions.all().type("automated"));
      assertEquals(second.id(), backup.planBackup(BackupOptions.all()).parent());

      assertEquals(Arrays.asList(second, taken),
          backup.list(ListOptions.all().allInstances()).backups());
      assertEquals(List.of(second), backup.list(ListOptions.all().type("automated")).backups());
      assertEquals(List.of(), backup.list(ListOptions.all().until(before)).backups());
      assertEquals(2, backup.list(ListOptions.all().from(before)).backups().size());
      BackupDetail detail = backup.show(taken.id().substring(0, 8));
      assertEquals(taken.id(), detail.summary().id());
      assertEquals(World.instance().toString(), detail.sourcePath());
      assertEquals(second.id(), backup.status().lastGoodBackup().id());
      assertTrue(backup.status().leases().isEmpty());
      assertEquals(2, backup.storage().backups());
      assertTrue(backup.storage().repositoryBytes() > taken.storedBytes());

      Verification verification = backup.verify(null, true);
      assertTrue(verification.isSound() && verification.readBytes() > 0, verification.json());
      RestorePlan restore = backup.planRestore(
          RestoreOptions.of("latest").toDirectory(directory.resolve("there").toString()));
      assertEquals(second.id(), restore.backup().id());
      assertFalse(restore.isInPlace());
      BackupException missing = World.fails(BackupException.Code.NOT_FOUND,
          () -> backup.planRestore(RestoreOptions.of("0123456789").toDatabase("x")));
      assertNotNull(missing.hint());

      assertTrue(backup.pin(second.id(), true).isPinned());
      assertTrue(backup.show(second.id()).summary().isPinned());
      assertFalse(backup.pin(second.id(), false).isPinned());
      assertEquals(second.id(), backup.delete(second.id()).id());
      assertEquals(List.of(taken), backup.list(ListOptions.all()).backups());
    }
  }

  /** Else a test for its complaints would find none. */
  @Test
  void theJvmChecksHowJniIsUsed() {
    assertTrue(ManagementFactory.getRuntimeMXBean().getInputArguments().contains("-Xcheck:jni"));
  }

  /** The table of calls below has every native method that takes a handle. */
  @Test
  void noNativeMethodIsForgottenHere() {
    Set<String> declared = new TreeSet<>();
    for (Method method : BackupNative.class.getDeclaredMethods()) {
      if (Modifier.isNative(method.getModifiers())) {
        declared.add(method.getName());
      }
    }
    declared.removeAll(Set.of("open", "close", "version", "shutdown"));
    assertEquals(declared, new TreeSet<>(calls(0, "").keySet()));
  }

  @Test
  void settingsAreChangedTogetherOrNotAtAll() throws Exception {
    try (Backup backup = World.open(directory)) {
      Path file = directory.resolve("obbackup.toml");
      Files.writeString(file, "# ours\n" + Files.readString(file) + "\n[backup] # mine\n");
      Map<String, Object> changes = new TreeMap<>();
      changes.put("backup.nice", 7);
      changes.put("backup.exclude", List.of("scratch"));
      changes.put("database.system_password", "hush \u20ac");
      Settings settings = backup.change(changes);
      assertEquals(7L, settings.value("backup.nice"));
      assertEquals(List.of("scratch"), settings.value("backup.exclude"));
      assertEquals("***", settings.value("database.system_password"));
      assertFalse(settings.json().contains("hush"));
      String text = Files.readString(file);
      assertTrue(text.contains("# ours") && text.contains("# mine"), text);
      assertTrue(text.contains("hush \u20ac"), text);

      changes.clear();
      changes.put("backup.nice", 3);
      changes.put("database.system_password", 471199);
      BackupException refused =
          World.fails(BackupException.Code.USAGE, () -> backup.change(changes));
      assertFalse(refused.toString().contains("471199"), refused.toString());
      assertEquals(7L, backup.settings().value("backup.nice"));
      World.fails(BackupException.Code.USAGE,
          () -> backup.change(Map.of("schedule.nightly.cron", "0 3 * * * *")));
      assertNull(backup.settings().value("schedule.nightly.cron"));
      Map<String, Object> removal = new HashMap<>();
      removal.put("backup.nice", null);
      assertNull(backup.change(removal).value("backup.nice"));
    }
  }

  @Test
  void staleAndForeignHandlesAreRefusedByEveryCall() {
    long open = BackupNative.open(World.options(directory).json());
    BackupNative.close(open);
    BackupNative.close(open);
    for (long handle : new long[] {open, open + 1, 0, 1, -1, Long.MIN_VALUE, Long.MAX_VALUE}) {
      calls(handle, "{}").forEach((name, call) -> assertThrows(
          IllegalStateException.class, call, name + " of " + handle));
      BackupNative.close(handle);
    }
  }

  @Test
  void oddRequestsAreRefusedByEveryCall() {
    long handle = BackupNative.open(World.options(directory).json());
    String huge = "x".repeat(10 << 20);
    for (String request : new String[] {null, "", " ", "{", "[]", "1", "null", "\"\"",
        "{\"no such field\": 1}", "{\"id\": 5}", "\ud800", "{\"\ud800\":1}", "\u0000", huge,
        "{\"" + huge + "\":1}", "[".repeat(1 << 20), "\u00e9\u20ac\ud83d\ude00"}) {
      requests(handle, request).forEach(
          (name, call) -> World.fails(BackupException.Code.USAGE, call));
      World.fails(BackupException.Code.USAGE, () -> BackupNative.open(request));
    }
    BackupNative.close(handle);
  }

  @Test
  void oddTextsComeBackAsTheyWentIn() {
    try (Backup backup = World.open(directory)) {
      String[] labels = {"", "\u0000 \u001f \"\\", "\u00e9\u20ac\u4e2d\ud83d\ude00",
          "x".repeat(10 << 20)};
      for (String label : labels) {
        BackupOptions options = BackupOptions.all().only("configuration").label(label);
        assertEquals(label, backup.backup(options).label());
      }
      // No text can hold half a character.
      BackupOptions half = BackupOptions.all().only("configuration").label("a\ud800b");
      assertTrue(backup.backup(half).label().matches("a\ufffd+b"));
      String odd = "\ud800\u0000\u20ac".repeat(1000);
      World.fails(BackupException.Code.USAGE, () -> backup.show(odd));
      World.fails(BackupException.Code.USAGE, () -> backup.delete(odd));
      World.fails(BackupException.Code.NOT_FOUND, () -> backup.init(odd));
      World.fails(BackupException.Code.USAGE, () -> backup.init("relative/path"));
      World.fails(BackupException.Code.USAGE, () -> backup.change(Map.of(odd, odd)));
    }
  }

  @Test
  void aPanicInAnyCallIsAnExceptionAndHarmsNothing() {
    long handle = BackupNative.open(World.options(directory).json());
    Map<String, Executable> calls = calls(handle, "{\"id\":\"latest\"}");
    calls.put("version", BackupNative::version);
    calls.put("shutdown", () -> BackupNative.shutdown(0));
    calls.put("close", () -> BackupNative.close(handle));
    calls.put("open", () -> BackupNative.open(World.options(directory).json()));
    calls.forEach((name, call) -> {
      arm(name);
      BackupException exception = World.fails(BackupException.Code.INTERNAL, call);
      assertTrue(exception.getMessage().contains(name), exception.toString());
      assertNotNull(exception.hint());
    });
    assertNotNull(BackupNative.progress(handle));
    BackupNative.shutdown(1_000);
  }

  /** Lets the next call of this name panic. */
  private void arm(String name) {
    Map<String, Object> options = new HashMap<>(Json.readObject(World.options(directory).json()));
    options.put("panic_in", name);
    BackupNative.open(Json.write(options));
  }

  private static Map<String, Executable> requests(long handle, String request) {
    Map<String, Executable> calls = new TreeMap<>();
    calls.put("init", () -> BackupNative.init(handle, request));
    calls.put("backup", () -> BackupNative.backup(handle, request));
    calls.put("restore", () -> BackupNative.restore(handle, request));
    calls.put("list", () -> BackupNative.list(handle, request));
    calls.put("show", () -> BackupNative.show(handle, request));
    calls.put("verify", () -> BackupNative.verify(handle, request));
    calls.put("delete", () -> BackupNative.delete(handle, request));
    calls.put("drill", () -> BackupNative.drill(handle, request));
    calls.put("forget", () -> BackupNative.forget(handle, request));
    calls.put("prune", () -> BackupNative.prune(handle, request));
    calls.put("copy", () -> BackupNative.copy(handle, request));
    calls.put("undo", () -> BackupNative.undo(handle, request));
    calls.put("job", () -> BackupNative.job(handle, request));
    calls.put("runs", () -> BackupNative.runs(handle, request));
    calls.put("test", () -> BackupNative.test(handle, request));
    calls.put("pin", () -> BackupNative.pin(handle, request));
    calls.put("schedule", () -> BackupNative.schedule(handle, request));
    calls.put("settings", () -> BackupNative.settings(handle, request));
    return calls;
  }

  private static Map<String, Executable> calls(long handle, String request) {
    Map<String, Executable> calls = requests(handle, request);
    calls.put("status", () -> BackupNative.status(handle));
    calls.put("doctor", () -> BackupNative.doctor(handle));
    calls.put("storage", () -> BackupNative.storage(handle));
    calls.put("repositories", () -> BackupNative.repositories(handle));
    calls.put("progress", () -> BackupNative.progress(handle));
    calls.put("cancel", () -> BackupNative.cancel(handle));
    return calls;
  }
}
