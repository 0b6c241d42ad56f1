package org.openbravo.backup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Restores: beside the instance in this JVM, and in its place by the command. */
class RestoreTest {
  private static final String DATABASE = "java_restore";

  @TempDir
  Path directory;

  @Test
  void besideTheInstanceNothingLiveIsTouched() throws Exception {
    String copy = "java_beside";
    Path there = directory.resolve("there");
    try (Backup backup = World.open(directory)) {
      BackupSummary taken = backup.backup(BackupOptions.all());
      RestoreOptions options = RestoreOptions.of("latest").toDatabase(copy)
          .toDirectory(there.toString()).neutralize();
      assertThrows(IllegalArgumentException.class, () -> backup.restore(options));
      assertThrows(IllegalArgumentException.class,
          () -> backup.restoreBeside(RestoreOptions.of("latest")));
      RestorePlan plan = backup.planRestore(options);
      assertFalse(plan.isInPlace());
      assertEquals(copy, plan.database().name());
      assertTrue(plan.database().rows() > 1000 && plan.database().tables() > 10, plan.json());
      assertEquals(there.resolve("sources").toString(), plan.files().get(0).to());
      assertEquals("", databases(copy));
      Restored restored = backup.restoreBeside(options);
      assertEquals(taken.id(), restored.backup().id());
      assertEquals(copy, restored.database());
      assertEquals(plan.database().rows(), restored.rows());
      assertEquals(taken.files(), restored.files());
      assertFalse(restored.neutralized().isEmpty());
      assertTrue(restored.neutralized().stream()
          .anyMatch(it -> it.table().equals("ad_client") && it.rows() > 0), restored.json());
      assertEquals("t", World.sql(copy,
          "SELECT bool_and(name LIKE 'TEST %') FROM ad_client WHERE ad_client_id <> '0'"));
      assertTrue(Files.exists(there.resolve("sources/src-db")));
      World.fails(BackupException.Code.ALREADY_EXISTS, () -> backup.restoreBeside(options));
      World.fails(BackupException.Code.USAGE,
          () -> backup.restoreBeside(RestoreOptions.of("latest").toDirectory("here")));
      Restored one = backup.restoreBeside(RestoreOptions.of(taken.id())
          .path("sources/src-db").toDirectory(directory.resolve("one").toString()));
      assertTrue(one.files() > 0 && one.files() < taken.files(), one.json());
    } finally {
      World.dropDatabases(copy);
    }
  }

  private static String databases(String prefix) throws Exception {
    return World.sql("postgres",
        "SELECT datname FROM pg_database WHERE datname LIKE '" + prefix + "%'");
  }

  @Test
  void inPlaceItIsHandedOverAndCanBeUndone() throws Exception {
    Path instance = World.makeInstance(directory.resolve("world"), DATABASE);
    Path file = instance.resolve("config/marker.txt");
    OpenOptions opening =
        OpenOptions.of(instance).configuration(directory.resolve("obbackup.toml"));
    try (Backup backup = Backup.open(opening)) {
      backup.init(directory.resolve("repository").toString());
      assertNull(backup.restoreStatus());
      World.fails(BackupException.Code.NOT_FOUND, () -> backup.restoreStatus("../../config"));
      World.fails(BackupException.Code.NOT_FOUND, backup::planUndo);
      Files.writeString(file, "first");
      World.sql(DATABASE, "CREATE TABLE marker AS SELECT 'first' AS state");
      BackupSummary taken = backup.backup(BackupOptions.all().label("the first"));
      Files.writeString(file, "second");
      World.sql(DATABASE, "UPDATE marker SET state = 'second'; UPDATE c_order SET updated = now()"
          + " WHERE c_order_id = (SELECT min(c_order_id) FROM c_order)");

      RestorePlan plan = backup.planRestore(RestoreOptions.of(taken.id()));
      assertTrue(plan.isInPlace() && plan.keepsOld() && plan.isPossible(), plan.json());
      assertEquals(DATABASE, plan.database().replaces());
      assertTrue(plan.newer().stream()
          .anyMatch(it -> it.table().equals("c_order") && it.rows() == 1), plan.json());
      assertTrue(plan.room().stream().allMatch(it -> it.freeBytes() > it.neededBytes()));
      assertFalse(backup.planRestore(RestoreOptions.of("latest").withoutKeepingOld()).keepsOld());
      assertEquals("second", World.sql(DATABASE, "SELECT state FROM marker"));

      Instant before = Instant.now();
      RestoreJob job = backup.restore(RestoreOptions.of(taken.id()));
      assertEquals("/openbravo/", job.statusPath());
      assertTrue(job.token().length() >= 32, job.json());
      assertNull(job.pagePort());
      assertNull(job.unit());
      RestoreStatus running = backup.restoreStatus(job.job());
      assertTrue(running.isRunning(), running.json());
      assertEquals(taken.id(), running.backup());
      assertEquals("the first", running.label());
      World.fails(BackupException.Code.LOCKED,
          () -> backup.restore(RestoreOptions.of(taken.id())));
      RestoreStatus ended = World.ended(backup, job.job());
      assertTrue(ended.outcome().isRestored(), ended.json());
      assertTrue(ended.percent() == 100 && !ended.isUndo(), ended.json());
      assertTrue(ended.finishedAt().isAfter(before), ended.json());
      assertEquals(ended, backup.restoreStatus());
      assertTrue(Files.isReadable(Path.of(job.statusFile())), job.json());
      assertTrue(Files.isReadable(Path.of(job.logFile())), job.json());
      assertState("first", file);

      assertTrue(backup.canUndo());
      UndoPlan undo = backup.planUndo();
      BackupSummary safety = backup.list(ListOptions.all()).backups().get(0);
      assertEquals("automated", safety.type());
      assertEquals(safety.id(), undo.state().safetyBackup());
      RestoreJob undoing = backup.undo(UndoOptions.last().noSafetyBackup());
      RestoreStatus undone = World.ended(backup, undoing.job());
      assertTrue(undone.isUndo() && undone.outcome().isRestored(), undone.json());
      assertState("second", file);
    } finally {
      World.dropDatabases(DATABASE);
    }
  }

  private static void assertState(String state, Path file) throws Exception {
    assertEquals(state, World.sql(DATABASE, "SELECT state FROM marker"));
    assertEquals(state, Files.readString(file));
  }
}
