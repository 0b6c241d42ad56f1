package org.openbravo.backup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Many threads at once: closing, cancelling and asking while a backup runs. */
class ThreadsTest {
  private final ExecutorService threads = Executors.newCachedThreadPool();

  @TempDir
  Path directory;

  @AfterEach
  void end() {
    threads.shutdownNow();
  }

  /** A backup that takes its time; waits until it has begun to read. */
  private Future<BackupSummary> slowBackup(Backup backup) throws Exception {
    Future<BackupSummary> running = threads.submit(() -> backup.backup(BackupOptions.all()));
    await(() -> running.isDone() || backup.progress().doneBytes() > 0);
    assertFalse(running.isDone());
    return running;
  }

  private static void await(Callable<Boolean> condition) throws Exception {
    Instant deadline = Instant.now().plusSeconds(60);
    while (!condition.call()) {
      assertTrue(Instant.now().isBefore(deadline), "waited for a minute");
      Thread.sleep(5);
    }
  }

  private Backup openSlow() {
    World.open(directory).close();
    return Backup.open(World.options(directory).bytesPerSecond(2_000_000));
  }

  private static BackupException exception(Future<?> future) {
    ExecutionException failed = assertThrows(ExecutionException.class, future::get);
    return (BackupException) failed.getCause();
  }

  @Test
  void progressIsSeenAndASecondOperationIsRefused() throws Exception {
    try (Backup backup = openSlow()) {
      Future<BackupSummary> running = slowBackup(backup);
      Progress progress = backup.progress();
      assertEquals("backup", progress.operation());
      assertFalse(progress.isCancelling());
      World.fails(BackupException.Code.LOCKED, () -> backup.backup(BackupOptions.all()));
      assertEquals(1, backup.status().leases().size());
      assertTrue(backup.cancel());
      assertEquals(BackupException.Code.CANCELLED, exception(running).code());
      assertTrue(backup.status().leases().isEmpty());
      assertFalse(backup.progress().isRunning());
    }
    World.awaitNoNativeThreads();
  }

  @Test
  void closingStopsWhatRunsAndWaitsForIt() throws Exception {
    Backup backup = openSlow();
    Future<BackupSummary> running = slowBackup(backup);
    List<Future<?>> closing = new ArrayList<>();
    Instant begun = Instant.now();
    for (int i = 0; i < 8; i++) {
      closing.add(threads.submit(() -> {
        backup.close();
        return World.files(directory.resolve("repository/locks"));
      }));
    }
    for (Future<?> closed : closing) {
      assertEquals(List.of(), closed.get());
    }
    Duration took = Duration.between(begun, Instant.now());
    System.out.println("closing during a backup took " + took.toMillis() + " ms");
    World.awaitNoNativeThreads();
    assertEquals(BackupException.Code.CANCELLED, exception(running).code());
    assertThrows(IllegalStateException.class, backup::progress);
  }

  @Test
  void shutdownEndsEverythingInFiveSeconds() throws Exception {
    Backup backup = openSlow();
    Future<BackupSummary> running = slowBackup(backup);
    Backup idle = Backup.open(World.options(directory));
    Instant begun = Instant.now();
    Backup.shutdown();
    Duration took = Duration.between(begun, Instant.now());
    assertTrue(took.toMillis() < 5_000, took.toString());
    World.awaitNoNativeThreads();
    assertEquals(BackupException.Code.CANCELLED, exception(running).code());
    assertThrows(IllegalStateException.class, idle::progress);
    // And it can be used again.
    try (Backup again = Backup.open(World.options(directory))) {
      assertTrue(again.backup(BackupOptions.all().only("configuration")).isGood());
    }
  }

  @Test
  void twoHundredListsDuringABackup() throws Exception {
    try (Backup backup = openSlow()) {
      BackupSummary first;
      try (Backup fast = Backup.open(World.options(directory))) {
        first = fast.backup(BackupOptions.all().only("configuration"));
      }
      Future<BackupSummary> running = slowBackup(backup);
      List<Future<Listing>> lists = new ArrayList<>();
      for (int i = 0; i < 200; i++) {
        lists.add(threads.submit(() -> backup.list(ListOptions.all())));
      }
      for (Future<Listing> list : lists) {
        assertEquals(List.of(first), list.get().backups());
      }
      assertFalse(running.isDone(), "the backup was to take longer");
      backup.cancel();
      exception(running);
    }
  }

  /** Each is asked for by its number, so that nobody takes another's child away. */
  @Test
  void childrenOfTheJvmAreItsOwn() throws Exception {
    try (Backup backup = World.open(directory)) {
      Future<BackupSummary> running = threads.submit(() -> backup.backup(BackupOptions.all()));
      int children = 0;
      do {
        Process child = new ProcessBuilder("sh", "-c", "exit 7").start();
        assertEquals(7, child.waitFor());
        children++;
      } while (!running.isDone());
      assertTrue(running.get().isGood());
      assertTrue(children >= 10, children + " children");
    }
  }

  @Test
  void cancellingAtAnyTimeLeavesASoundRepository() throws Exception {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    int cancelled = 0;
    try (Backup backup = World.open(directory)) {
      for (int round = 0; round < 12; round++) {
        Future<BackupSummary> running =
            threads.submit(() -> backup.backup(BackupOptions.all().fullRead()));
        Thread.sleep(random.nextInt(1_500));
        backup.cancel();
        try {
          running.get();
        } catch (ExecutionException e) {
          BackupException failed = (BackupException) e.getCause();
          assertEquals(BackupException.Code.CANCELLED, failed.code(), failed + ", seed " + seed);
          cancelled++;
        }
      }
      assertTrue(backup.verify(null, true).isSound(), "seed " + seed);
      assertTrue(backup.backup(BackupOptions.all()).isGood());
      assertTrue(backup.status().leases().isEmpty());
    }
    System.out.println(cancelled + " of 12 backups were cancelled, seed " + seed);
    World.awaitNoNativeThreads();
  }
}
