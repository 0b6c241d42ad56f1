package org.openbravo.backup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A JVM that dies in the middle. */
class KillTest {
  @TempDir
  Path directory;

  @Test
  void aJvmKilledDuringABackupLeavesASoundRepositoryAndNoLock() throws Exception {
    try (Backup backup = World.open(directory)) {
      BackupSummary before = backup.backup(BackupOptions.all());
      for (int round = 0; round < 3; round++) {
        Process jvm = new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin/java").toString(),
            "-cp", System.getProperty("java.class.path"),
            "-Djava.io.tmpdir=" + directory,
            Killed.class.getName(),
            World.instance().toString(), directory.resolve("obbackup.toml").toString())
            .redirectErrorStream(true).start();
        BufferedReader said = new BufferedReader(
            new InputStreamReader(jvm.getInputStream(), StandardCharsets.UTF_8));
        assertEquals("begun", said.readLine());
        Thread.sleep(300L * round);
        assertEquals(1, backup.status().leases().size());
        World.fails(BackupException.Code.LOCKED, () -> backup.backup(BackupOptions.all()));
        jvm.destroyForcibly();
        assertEquals(128 + 9, jvm.waitFor());
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
