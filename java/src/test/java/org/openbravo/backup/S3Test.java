package org.openbravo.backup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A repository in a bucket, whose client has threads and sockets of its own. */
class S3Test {
  private final ExecutorService threads = Executors.newCachedThreadPool();

  @TempDir
  Path directory;

  private Process server;
  private int port;

  @BeforeEach
  void start() throws Exception {
    World.instance();
    Path program = Path.of(System.getenv("OBBACKUP_TEST_CACHE"), "bin/versitygw");
    assumeTrue(Files.isExecutable(program), "there is no versitygw: run tests/support/setup.sh");
    try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      port = free.getLocalPort();
    }
    // Each directory there is a bucket.
    Files.createDirectories(directory.resolve("data/bucket"));
    for (String name : new String[] {"versions", "iam"}) {
      Files.createDirectory(directory.resolve(name));
    }
    ProcessBuilder starting = new ProcessBuilder(program.toString(), "--port", "127.0.0.1:" + port,
        "--iam-dir", directory.resolve("iam").toString(), "--access-log", requests().toString(),
        "--quiet", "posix", "--versioning-dir", directory.resolve("versions").toString(),
        directory.resolve("data").toString())
        .redirectErrorStream(true).redirectOutput(directory.resolve("server.log").toFile());
    starting.environment().put("ROOT_ACCESS_KEY", "tests");
    starting.environment().put("ROOT_SECRET_KEY", "a secret");
    server = starting.start();
    Instant deadline = Instant.now().plusSeconds(30);
    while (!answers()) {
      assertTrue(server.isAlive() && Instant.now().isBefore(deadline),
          Files.readString(directory.resolve("server.log")));
      Thread.sleep(50);
    }
  }

  private boolean answers() {
    try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
      return socket.isConnected();
    } catch (IOException e) {
      return false;
    }
  }

  @AfterEach
  void end() throws Exception {
    threads.shutdownNow();
    if (server != null) {
      server.destroyForcibly().waitFor();
    }
  }

  private OpenOptions options() {
    return World.options(directory).repository("bucket");
  }

  /** Writes the bucket's section; how it shows then. */
  private Settings describeBucket(Backup backup) {
    Map<String, Object> section = new HashMap<>();
    section.put("repository.bucket.url", "s3://bucket/openbravo");
    section.put("repository.bucket.endpoint", "http://127.0.0.1:" + port);
    section.put("repository.bucket.region", "us-east-1");
    section.put("repository.bucket.access_key_id", "tests");
    section.put("repository.bucket.secret_access_key", "a secret");
    return backup.change(section);
  }

  /** What the server writes down: a line for each request. */
  private Path requests() {
    return directory.resolve("requests.log");
  }

  private long requestsFor(Runnable work) throws IOException {
    long before = Files.readAllLines(requests()).size();
    work.run();
    return Files.readAllLines(requests()).size() - before;
  }

  /** What never changes in the bucket is asked for once, in the life of all handles. */
  @Test
  void aWarmListIsOneRequest() throws Exception {
    try (Backup backup = Backup.open(World.options(directory))) {
      describeBucket(backup);
      backup.init("bucket");
    }
    try (Backup backup = Backup.open(options())) {
      backup.backup(BackupOptions.all());
      backup.backup(BackupOptions.all());
      assertEquals(1, requestsFor(() -> backup.list(ListOptions.all())));
    }
    try (Backup anew = Backup.open(options())) {
      assertEquals(1, requestsFor(
          () -> assertEquals(2, anew.list(ListOptions.all()).backups().size())));
      // What is there is verified, and no copy of it.
      assertTrue(requestsFor(() -> anew.verify(null, false)) > 5);
    }
    Backup.shutdown();
  }

  /** At this rate the upload takes minutes. */
  @Test
  void shutdownBreaksOffASlowUpload() throws Exception {
    try (Backup backup = Backup.open(World.options(directory))) {
      describeBucket(backup);
      backup.init("bucket");
      backup.change(Map.of("repository.bucket.bandwidth_bytes_per_second", 20_000));
    }
    Backup slow = Backup.open(options());
    Future<BackupSummary> running = threads.submit(() -> slow.backup(BackupOptions.all()));
    while (!running.isDone() && !"finishing".equals(slow.progress().stage())) {
      Thread.sleep(5);
    }
    Thread.sleep(500);
    Instant begun = Instant.now();
    Backup.shutdown();
    Duration took = Duration.between(begun, Instant.now());
    System.out.println("shutdown during a slow upload took " + took.toMillis() + " ms");
    ExecutionException stopped = assertThrows(ExecutionException.class, running::get);
    assertEquals(BackupException.Code.CANCELLED, ((BackupException) stopped.getCause()).code());
    World.awaitNoNativeThreads();
    try (Backup again = Backup.open(options())) {
      assertTrue(again.status().leases().isEmpty());
      assertTrue(again.list(ListOptions.all()).backups().isEmpty());
    }
    Backup.shutdown();
  }

  /** Whatever waits for it, also those that open it just then. */
  @Test
  void shutdownGivesUpASilentBucket() throws Exception {
    try (Backup backup = Backup.open(World.options(directory))) {
      describeBucket(backup);
      backup.init("bucket");
      backup.backup(BackupOptions.all());
    }
    World.run("kill", "-STOP", Long.toString(server.pid()));
    List<Consumer<Backup>> calls = List.of(backup -> backup.list(ListOptions.all()),
        Backup::status, Backup::storage, backup -> backup.init("bucket"),
        backup -> backup.backup(BackupOptions.all()), backup -> backup.verify(null, true),
        backup -> backup.testStorage("bucket"));
    List<Future<?>> waiting = new ArrayList<>();
    for (Consumer<Backup> call : calls) {
      Backup backup = Backup.open(options());
      waiting.add(threads.submit(() -> call.accept(backup)));
    }
    Backup examined = Backup.open(options());
    waiting.add(threads.submit(examined::doctor));
    Thread.sleep(3_000);
    for (Future<?> one : waiting) {
      assertFalse(one.isDone());
    }
    Instant begun = Instant.now();
    Backup.shutdown();
    Duration took = Duration.between(begun, Instant.now());
    System.out.println("shutdown while a bucket is silent took " + took.toMillis() + " ms");
    assertTrue(took.toMillis() < 5_000, took.toString());
    World.awaitNoNativeThreads();
    for (Future<?> one : waiting.subList(0, calls.size())) {
      ExecutionException stopped = assertThrows(ExecutionException.class, one::get);
      assertEquals(BackupException.Code.CANCELLED, ((BackupException) stopped.getCause()).code());
    }
  }

  @Test
  void shutdownEndsItsThreadsAndSocketsToo() throws Exception {
    long descriptors;
    try (Backup backup = Backup.open(World.options(directory))) {
      descriptors = World.count("/proc/self/fd");
      assertEquals("***",
          describeBucket(backup).value("repository.bucket.secret_access_key"));
      StorageTest tried = backup.testStorage("bucket");
      assertTrue(tried.works(), tried.json());
      assertEquals("s3://bucket/openbravo", backup.init("bucket").repository());
    }
    try (Backup backup = Backup.open(options())) {
      BackupSummary taken = backup.backup(BackupOptions.all());
      assertTrue(taken.isGood(), taken.json());
      assertTrue(backup.verify(null, true).isSound());
      assertEquals(taken.id(), backup.list(ListOptions.all()).backups().get(0).id());
    }
    // The client's threads wait for the next request.
    assertTrue(World.nativeThreads() > 0);
    Backup slow = Backup.open(options().bytesPerSecond(2_000_000));
    Future<BackupSummary> running =
        threads.submit(() -> slow.backup(BackupOptions.all().fullRead()));
    while (!running.isDone() && slow.progress().doneBytes() == 0) {
      Thread.sleep(5);
    }
    Instant begun = Instant.now();
    Backup.shutdown();
    Duration took = Duration.between(begun, Instant.now());
    System.out.println("shutdown during a backup into a bucket took " + took.toMillis() + " ms");
    assertTrue(took.toMillis() < 5_000, took.toString());
    ExecutionException stopped = assertThrows(ExecutionException.class, running::get);
    assertEquals(BackupException.Code.CANCELLED, ((BackupException) stopped.getCause()).code());
    World.awaitNoNativeThreads();
    assertEquals(0, connections());
    assertTrue(World.count("/proc/self/fd") <= descriptors + 2);
    // And it can be used again.
    try (Backup again = Backup.open(options())) {
      assertEquals(1, again.list(ListOptions.all()).backups().size());
    }
    Backup.shutdown();
    World.awaitNoNativeThreads();
  }

  /** Open connections of this process to the server. */
  private long connections() throws IOException {
    String there = String.format(":%04X", port);
    try (Stream<String> lines = Files.lines(Path.of("/proc/self/net/tcp"))) {
      return lines.map(line -> line.trim().split("\\s+"))
          .filter(fields -> fields[2].endsWith(there) && fields[3].equals("01")).count();
    }
  }
}
