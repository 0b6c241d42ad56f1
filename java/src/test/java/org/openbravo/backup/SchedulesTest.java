package org.openbravo.backup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
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
      assertEquals("by night", disabled.schedules().get(0).label());
      World.fails(BackupException.Code.NOT_FOUND,
          () -> backup.setSchedule("weekly", ScheduleOptions.change().retries(1)));
      assertTrue(backup.removeSchedule("nightly").schedules().isEmpty());
    }
  }

  /** What somebody wrote by hand outlives a change from Java, comments too. */
  @Test
  void whatIsNotNamedStays() throws Exception {
    Path file = directory.resolve("obbackup.toml");
    try (Backup backup = World.open(directory)) {
      Files.writeString(file, Files.readString(file) + "\n[schedule.nightly]\n"
          + "cron = \"30 3 * * *\" # after the batch\nretries = 7\nretry_minutes = 5\n"
          + "random_delay_minutes = 20\nwait_minutes = 90\nonly = [\"database\"]\n");
      Schedules.Schedule later = backup.setSchedule("nightly",
          ScheduleOptions.cron("30 4 * * *").waitMinutes(120)).schedules().get(0);
      assertEquals("30 4 * * *", later.cron());
      assertEquals(7, later.retries());
      assertEquals(5, later.retryMinutes());
      assertEquals(20, later.randomDelayMinutes());
      assertEquals(120, later.waitMinutes());
      assertEquals(List.of("database"), later.only());
      assertTrue(Files.readString(file).contains("cron = \"30 4 * * *\" # after the batch"),
          Files.readString(file));
      Schedules.Schedule changed = backup.setSchedule("nightly", ScheduleOptions.change()
          .everything().retries(0).retryMinutes(1).randomDelayMinutes(0)).schedules().get(0);
      assertEquals("30 4 * * *", changed.cron());
      assertEquals(List.of(), changed.only());
      assertEquals(0, changed.retries());
      assertEquals(1, changed.retryMinutes());
      assertEquals(0, changed.randomDelayMinutes());
      String text = Files.readString(file);
      for (ScheduleOptions odd : List.of(ScheduleOptions.change().retryMinutes(0),
          ScheduleOptions.change().retries(-1), ScheduleOptions.change().waitMinutes(1 << 16))) {
        World.fails(BackupException.Code.USAGE, () -> backup.setSchedule("nightly", odd));
      }
      assertEquals(text, Files.readString(file));
      assertFalse(backup.setSchedule("nightly", ScheduleOptions.change().disabled())
          .schedules().get(0).isEnabled());
      assertTrue(backup.setSchedule("nightly", ScheduleOptions.change().enabled())
          .schedules().get(0).isEnabled());
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
      // More while the backup is taken, which may be due just now.
      await(() -> World.nativeThreads() == 1, Duration.ofSeconds(30));
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
      World.awaitNoNativeThreads();
      assertFalse(backup.schedules().isRunning());
    }
  }
}
