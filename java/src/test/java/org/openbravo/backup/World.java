package org.openbravo.backup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.function.Executable;

/** The made-up instance that java/test.sh makes beside a private PostgreSQL server. */
final class World {
  private World() {}

  /** {@code source.path}; the test is skipped where there is none. */
  static Path instance() {
    String directory = System.getenv("OBBACKUP_WORLD");
    assumeTrue(directory != null, "run java/test.sh, which makes an instance");
    return Path.of(directory, "openbravo");
  }

  /** Another instance, for what replaces it. */
  static Path makeInstance(Path directory, String database) throws Exception {
    instance();
    run(Path.of(System.getenv("OBBACKUP_EXAMPLES"), "instance").toString(), "create",
        directory.toString(), "--database", database, "--megabytes", "30", "--files", "300");
    return directory.resolve("openbravo");
  }

  /** What a command says, which must succeed. */
  static String run(String... command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), said);
    return said.trim();
  }

  /** Runs a statement on the private server. */
  static String sql(String database, String statement) throws Exception {
    return run("psql", "--no-psqlrc", "-XAtqv", "ON_ERROR_STOP=1", "-d", database, "-c", statement);
  }

  /** Drops a database, and what restores have kept of it. */
  static void dropDatabases(String name) throws Exception {
    String kept = "SELECT datname FROM pg_database WHERE datname LIKE '" + name + "%'";
    for (String database : sql("postgres", kept).split("\n")) {
      sql("postgres", "DROP DATABASE IF EXISTS \"" + database + "\"");
    }
  }

  /** Waits until a restore or an undo has ended; how it did. */
  static RestoreStatus ended(Backup backup, String job) throws InterruptedException {
    RestoreStatus status = backup.restoreStatus(job);
    while (status.isRunning()) {
      Thread.sleep(100);
      status = backup.restoreStatus(job);
    }
    return status;
  }

  /** Options for the instance with a configuration of its own in an empty directory. */
  static OpenOptions options(Path directory) {
    return OpenOptions.of(instance()).configuration(directory.resolve("obbackup.toml"));
  }

  /** An opened instance with a new repository, both in an empty directory. */
  static Backup open(Path directory) {
    Backup backup = Backup.open(options(directory));
    backup.init(directory.resolve("repository").toString());
    return backup;
  }

  /** The exception of a call that must fail with this code. */
  static BackupException fails(BackupException.Code code, Executable call) {
    BackupException exception = assertThrows(BackupException.class, call);
    assertEquals(code, exception.code(), exception.toString());
    return exception;
  }

  /** Threads of this process that belong to the library. */
  static long nativeThreads() throws IOException {
    try (Stream<Path> tasks = Files.list(Path.of("/proc/self/task"))) {
      return tasks.filter(task -> {
        try {
          return Files.readString(task.resolve("comm")).startsWith("obbackup");
        } catch (IOException e) {
          return false;
        }
      }).count();
    }
  }

  /** Waits until the library has no thread: one that has ended is still listed for a moment. */
  static void awaitNoNativeThreads() throws Exception {
    Instant deadline = Instant.now().plusSeconds(5);
    while (nativeThreads() > 0) {
      assertTrue(Instant.now().isBefore(deadline), nativeThreads() + " threads of the library");
      Thread.sleep(1);
    }
  }

  static List<Path> files(Path directory) throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      return files.filter(Files::isRegularFile).sorted().collect(Collectors.toList());
    }
  }

  static long count(String directory) throws IOException {
    try (Stream<Path> entries = Files.list(Path.of(directory))) {
      return entries.count();
    }
  }

  /** A line of /proc/self/status in KiB. */
  static long memory(String name) throws IOException {
    try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
      String line = lines.filter(it -> it.startsWith(name + ":")).findFirst().orElseThrow();
      return Long.parseLong(line.replaceAll("[^0-9]", ""));
    }
  }
}
