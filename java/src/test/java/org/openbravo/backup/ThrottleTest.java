package org.openbravo.backup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How much of the machine a backup takes. */
class ThrottleTest {
  private static final BackupOptions SOURCES = BackupOptions.all().only("sources");
  /** Of the fields behind a process's name in /proc, that of its nice value. */
  private static final int NICE = 16;

  private final ExecutorService threads = Executors.newCachedThreadPool();

  @TempDir
  Path directory;

  @AfterEach
  void end() {
    threads.shutdownNow();
  }

  @Test
  void noMoreBytesAreReadInASecondThanAllowed() {
    long bytes;
    try (Backup backup = World.open(directory)) {
      bytes = backup.backup(SOURCES).filesBytes();
    }
    OpenOptions limited = World.options(directory).bytesPerSecond(bytes / 3);
    try (Backup backup = Backup.open(limited)) {
      long begun = System.nanoTime();
      assertTrue(backup.backup(SOURCES.fullRead()).isGood());
      double seconds = (System.nanoTime() - begun) / 1e9;
      System.out.printf("a limit of a third of the bytes a second took %.1f s%n", seconds);
      // The last chunks need not be waited for.
      assertTrue(seconds > 2, seconds + " s");
    }
  }

  @Test
  void theWorkStandsBackAndTheJvmDoesNot() throws Exception {
    World.open(directory).close();
    OpenOptions nice = World.options(directory).nice(7).bytesPerSecond(4_000_000);
    try (Backup backup = Backup.open(nice)) {
      Future<BackupSummary> running = threads.submit(() -> backup.backup(BackupOptions.all()));
      Set<String> programs = new TreeSet<>();
      Set<String> uploads = new TreeSet<>();
      Set<String> others = new TreeSet<>();
      while (!running.isDone()) {
        for (String task : stats("/proc/self/task")) {
          if (task.startsWith("obbackup-upload")) {
            uploads.add(niceOf(task));
          } else if (!task.startsWith("obbackup")) {
            others.add(niceOf(task));
          }
        }
        ProcessHandle.current().children().map(child -> stat(Path.of("/proc/" + child.pid())))
            .filter(it -> it.startsWith("pg_dump")).forEach(it -> programs.add(niceOf(it)));
      }
      assertTrue(running.get().isGood());
      // Begun by the thread that has stood back, as all that works is.
      assertEquals(Set.of("7"), uploads);
      assertEquals(Set.of("7"), programs);
      assertEquals(Collections.singleton(niceOf(stat(Path.of("/proc/self")))), others);
    }
  }

  @Test
  void moreJobsAreMoreThreads() throws Exception {
    World.open(directory).close();
    assertTrue(threadsOf(1) + 2 <= threadsOf(6));
  }

  private long threadsOf(int jobs) throws Exception {
    long most = 0;
    try (Backup backup = Backup.open(
        World.options(directory).jobs(jobs).nice(1).bytesPerSecond(8_000_000))) {
      Future<BackupSummary> running = threads.submit(() -> backup.backup(SOURCES.fullRead()));
      while (!running.isDone()) {
        most = Math.max(most, World.nativeThreads());
      }
      assertTrue(running.get().isGood());
    }
    return most;
  }

  /** The names of all threads, each with what /proc says of it. */
  private static Set<String> stats(String directory) throws IOException {
    try (Stream<Path> tasks = Files.list(Path.of(directory))) {
      return tasks.map(ThrottleTest::stat).filter(it -> !it.isEmpty())
          .collect(Collectors.toSet());
    }
  }

  private static String stat(Path process) {
    try {
      String text = Files.readString(process.resolve("stat"));
      return text.substring(text.indexOf('(') + 1);
    } catch (IOException e) {
      // It has ended.
      return "";
    }
  }

  private static String niceOf(String stat) {
    return stat.substring(stat.lastIndexOf(')') + 2).split(" ")[NICE];
  }
}
