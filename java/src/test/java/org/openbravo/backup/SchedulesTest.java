package org.openbravo.backup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.Callable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Schedules, kept in the configuration and run in the JVM. */
class SchedulesTest {
  @TempDir
  Path directory;

  private static void await(Callable<Boolean> condition, Duration atMost) throws Exception {
    Instant deadline = Instant.now().plus(atMost);
    while (!condition.call()) {
      assertTrue(Instant.now().isBefore(deadline), "waited for " + atMost);
      Thread.sleep(50);
    }
  }

  @Test
  void theConfigurationKeepsThem() throws Exception {
    try (Backup backup = World.open(directory)) {
      assertTrue(backup.schedules().schedules().isEmpty());
      Schedules set = backup.setSchedule("nightly", ScheduleOptions.cron("30 3 * * *")
          .timeZone("Europe/Madrid").only("database").label("by night"));
      Schedules.Schedule nightly = set.schedules().get(0);
      assertEquals("nightly", nightly.name());
      assertEquals("Europe/Madrid", nightly.timeZone());
      assertTrue(nightly.isEnabled());
      assertTrue(nightly.next().isAfter(Instant.now()));
      String text = Files.readString(directory.resolve("obbackup.toml"));
      assertTrue(text.contains("[schedule.nightly]"), text);
      Upcoming.OfSchedule upcoming = backup.upcoming(3).schedules().get(0);
      assertEquals(3, upcoming.runs().size());
      assertEquals(nightly.next(), upcoming.runs().get(0).startsAt());
      World.fails(BackupException.Code.USAGE,
          () -> backup.setSchedule("nightly", ScheduleOptions.cron("61 3 * * *")));
      World.fails(BackupException.Code.NOT_FOUND, () -> backup.removeSchedule("weekly"));
      Schedules disabled =
          backup.setSchedule("nightly", ScheduleOptions.cron("30 3 * * *").disabled());
      assertFalse(disabled.schedules().get(0).isEnabled());
      assertNull(disabled.schedules().get(0).next());
      assertTrue(backup.removeSchedule("nightly").schedules().isEmpty());
    }
  }

  @Test
  void aDueBackupIsTakenAndTheThreadEndsWithTheHandle() throws Exception {
    try (Backup backup = World.open(directory)) {
      assertFalse(backup.schedules().isStartedHere());
      backup.setSchedule("often", ScheduleOptions.cron("* * * * *").only("configuration"));
      backup.runSchedules();
      assertTrue(backup.runSchedules().isStartedHere());
      await(() -> backup.schedules().isRunning(), Duration.ofSeconds(20));
      assertEquals(1, World.nativeThreads());
      // One process, one runner: a second one waits, and takes over when the first has ended.
      try (Backup second = Backup.open(World.options(directory))) {
        assertTrue(second.runSchedules().isStartedHere());
        await(() -> !backup.list(ListOptions.all().type("scheduled")).backups().isEmpty(),
            Duration.ofSeconds(100));
        int taken = backup.list(ListOptions.all()).backups().size();
        assertEquals(1, taken);
        Schedules stopped = backup.stopSchedules();
        assertFalse(stopped.isStartedHere());
        assertNull(stopped.failure());
        await(() -> second.schedules().isRunning(), Duration.ofSeconds(30));
      }
      assertEquals(0, World.nativeThreads());
      assertFalse(backup.schedules().isRunning());
    }
  }
}
