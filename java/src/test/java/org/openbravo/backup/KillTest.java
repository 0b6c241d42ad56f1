package org.openbravo.backup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A JVM that dies in the middle. */
class KillTest {
  @TempDir
  Path directory;

  /** A JVM that leads a process group of its own. */
  private Process start(Path instance, String... what) throws IOException {
    List<String> command = new ArrayList<>(List.of("setsid",
        Path.of(System.getProperty("java.home"), "bin/java").toString(),
        "-cp", System.getProperty("java.class.path"),
        "-Djava.io.tmpdir=" + directory,
        Killed.class.getName(),
        instance.toString(), directory.resolve("obbackup.toml").toString()));
    command.addAll(List.of(what));
    return new ProcessBuilder(command).redirectErrorStream(true).start();
  }

  private static String firstLine(Process jvm) throws IOException {
    return new BufferedReader(
        new InputStreamReader(jvm.getInputStream(), StandardCharsets.UTF_8)).readLine();
  }

  /** With all that is in its process group, as the end of a session or of a script would. */
  private static void kill(Process jvm) throws Exception {
    World.run("kill", "-9", "--", "-" + jvm.pid());
    assertEquals(128 + 9, jvm.waitFor());
  }

  /** Waits until the log of a restore says that this stage begins. */
  private static void reaches(String stage, Path log) throws Exception {
    Instant deadline = Instant.now().plusSeconds(120);
    while (Files.readAllLines(log).stream().noneMatch(line -> line.endsWith("Z " + stage))) {
      assertTrue(Instant.now().isBefore(deadline), "it was never at " + stage);
      Thread.sleep(1);
    }
  }

  @Test
  void aRestoreOutlivesTheJvmThatBeganIt() throws Exception {
    Path instance = World.makeInstance(directory.resolve("world"), "java_kill");
    Path file = instance.resolve("config/marker.txt");
    OpenOptions options =
        OpenOptions.of(instance).configuration(directory.resolve("obbackup.toml"));
    try (Backup backup = Backup.open(options)) {
      backup.init(directory.resolve("repository").toString());
      Files.writeString(file, "first");
      World.sql("java_kill", "CREATE TABLE marker AS SELECT 'first' AS state");
      String first = backup.backup(BackupOptions.all()).id();
      for (String stage : List.of("safety backup", "staging", "swap")) {
        Files.writeString(file, "second");
        World.sql("java_kill", "UPDATE marker SET state = 'second'");
        Process jvm = start(instance, "restore", first);
        String job = firstLine(jvm);
        reaches(stage, instance.resolve(".obbackup/jobs").resolve(job).resolve("log"));
        kill(jvm);
        RestoreStatus status = backup.restoreStatus(job);
        System.out.println("the JVM was killed when the " + stage + " of its restore began; "
            + (status.isRunning() ? "it ran on" : "it ended at the same time"));
        status = World.ended(backup, job);
        assertTrue(status.outcome().isRestored(), status.json());
        assertEquals("first", World.sql("java_kill", "SELECT state FROM marker"));
        assertEquals("first", Files.readString(file));
      }
    } finally {
      World.dropDatabases("java_kill");
    }
  }

  @Test
  void aJvmKilledDuringABackupLeavesASoundRepositoryAndNoLock() throws Exception {
    try (Backup backup = World.open(directory)) {
      BackupSummary before = backup.backup(BackupOptions.all());
      for (int round = 0; round < 3; round++) {
        Process jvm = start(World.instance(), "backup");
        assertEquals("begun", firstLine(jvm));
        Thread.sleep(300L * round);
        assertEquals(1, backup.status().leases().size());
        World.fails(BackupException.Code.LOCKED, () -> backup.backup(BackupOptions.all()));
        kill(jvm);
        // Its process is gone, and its lease with it.
        assertTrue(backup.status().leases().isEmpty());
        assertTrue(backup.verify(null, true).isSound());
        assertEquals(before, backup.list(ListOptions.all()).backups().get(round));
        assertTrue(backup.backup(BackupOptions.all()).isGood());
      }
      assertTrue(backup.verify(null, true).isSound());
    }
  }
}
