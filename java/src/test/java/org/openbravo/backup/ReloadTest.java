package org.openbravo.backup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.catalina.Context;
import org.apache.catalina.LifecycleException;
import org.apache.catalina.core.StandardContext;
import org.apache.catalina.startup.Tomcat;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A real Tomcat 9 with small web applications that hold the jar. */
class ReloadTest {
  private static final int RELOADS = 10;
  /** Until then the JVM still compiles, and Tomcat fills what it keeps. */
  private static final int WARMING_UP = 5;
  /**
   * What one reload may cost for good: 2 MiB of the library's image (its relocated data), and the
   * JVM's own classes.
   */
  private static final long KIB_PER_RELOAD = 6 * 1024;

  @TempDir
  Path directory;

  private final Tomcat tomcat = new Tomcat();

  @BeforeEach
  void start() throws LifecycleException {
    tomcat.setBaseDir(directory.resolve("tomcat").toString());
    tomcat.setPort(0);
    tomcat.getConnector();
    tomcat.start();
  }

  @AfterEach
  void stop() throws LifecycleException {
    tomcat.stop();
    tomcat.destroy();
    System.clearProperty("catalina.base");
    System.clearProperty("catalina.home");
  }

  /** A web application's directory: the jar, and the classes of {@code webapp}. */
  private Path unpacked(String name) throws IOException {
    Path root = directory.resolve(name);
    Path lib = Files.createDirectories(root.resolve("WEB-INF/lib"));
    Path classes = Files.createDirectories(root.resolve("WEB-INF/classes/webapp"));
    try (Stream<Path> files = Files.list(Path.of("target/test-classes/webapp"))) {
      for (Path file : files.collect(Collectors.toList())) {
        Files.copy(file, classes.resolve(file.getFileName()));
      }
    }
    Path from = Path.of("target/classes");
    try (OutputStream out = Files.newOutputStream(lib.resolve("obbackup.jar"));
        JarOutputStream jar = new JarOutputStream(out);
        Stream<Path> files = Files.walk(from)) {
      jar.setLevel(1);
      for (Path file : files.filter(Files::isRegularFile).collect(Collectors.toList())) {
        jar.putNextEntry(new JarEntry(from.relativize(file).toString()));
        Files.copy(file, jar);
        jar.closeEntry();
      }
    }
    return root;
  }

  private Context deploy(String name) throws IOException {
    Path place = Files.createDirectory(directory.resolve("place-" + name));
    Context context = new StandardContext();
    context.setPath("/" + name);
    context.setName("/" + name);
    context.setDocBase(unpacked(name).toString());
    context.addParameter("instance", World.instance().toString());
    context.addParameter("place", place.toString());
    context.addLifecycleListener(new Tomcat.FixContextListener());
    context.addLifecycleListener(event -> {
      // A reload clears both.
      if ("configure_start".equals(event.getType())) {
        context.addApplicationListener("webapp.Application");
        Tomcat.addServlet(context, "application", "webapp.Application");
        context.addServletMappingDecoded("/*", "application");
      }
    });
    context.setParentClassLoader(ReloadTest.class.getClassLoader());
    tomcat.getHost().addChild(context);
    return context;
  }

  private Map<String, Object> get(String path) throws IOException {
    int port = tomcat.getConnector().getLocalPort();
    HttpURLConnection connection = (HttpURLConnection)
        URI.create("http://127.0.0.1:" + port + path).toURL().openConnection();
    connection.setRequestProperty("Connection", "close");
    int status = connection.getResponseCode();
    try (var in = status == 200 ? connection.getInputStream() : connection.getErrorStream()) {
      String text = in == null ? "" : new String(in.readAllBytes(), StandardCharsets.UTF_8);
      assertEquals(200, status, path + ": " + text);
      return text.isEmpty() ? Map.of() : Json.readObject(text);
    }
  }

  private static void await(Callable<Boolean> condition) throws Exception {
    for (int i = 0; !condition.call(); i++) {
      assertTrue(i < 6_000, "waited for a minute");
      Thread.sleep(10);
    }
  }

  @Test
  void tenReloadsLeakNothing() throws Exception {
    Context context = deploy("one");
    get("/one/init");
    assertEquals("good", get("/one/backup").get("status"));
    for (int reload = 0; reload < WARMING_UP; reload++) {
      context.reload();
      get("/one/backup");
    }
    System.gc();
    long threads = World.count("/proc/self/task");
    long descriptors = World.count("/proc/self/fd");
    long memory = World.memory("RssAnon");
    long file = World.memory("RssFile");
    long slowest = 0;
    for (int reload = 1; reload <= RELOADS; reload++) {
      // The last backup is still running when the application is stopped.
      get("/one/slow");
      await(() -> ((Long) get("/one/progress").get("done_bytes")) > 0);
      long begun = System.nanoTime();
      context.reload();
      slowest = Math.max(slowest, (System.nanoTime() - begun) / 1_000_000);
      World.awaitNoNativeThreads();
      get("/one/backup");
    }
    System.gc();
    long moreThreads = World.count("/proc/self/task") - threads;
    long moreDescriptors = World.count("/proc/self/fd") - descriptors;
    long moreMemory = World.memory("RssAnon") - memory;
    long moreFile = World.memory("RssFile") - file;
    System.out.println(RELOADS + " reloads during backups: " + moreThreads + " threads, "
        + moreDescriptors + " descriptors, " + moreMemory + " KiB of memory and " + moreFile
        + " KiB of mapped files more; the slowest reload took " + slowest + " ms");
    assertTrue(moreThreads <= 2, "threads");
    assertTrue(moreDescriptors <= 4, "descriptors");
    assertTrue(moreMemory <= RELOADS * KIB_PER_RELOAD, "memory");
    assertTrue(slowest < 10_000, "a reload took " + slowest + " ms");
    context.stop();
    World.awaitNoNativeThreads();
    assertEquals(List.of(), children());
  }

  @Test
  void twoApplicationsWorkAtTheSameTime() throws Exception {
    Context one = deploy("one");
    Context two = deploy("two");
    get("/one/init");
    get("/two/init");
    ExecutorService threads = Executors.newFixedThreadPool(2);
    Future<Map<String, Object>> first = threads.submit(() -> get("/one/backup"));
    Future<Map<String, Object>> second = threads.submit(() -> get("/two/backup"));
    assertEquals("good", first.get().get("status"));
    assertEquals("good", second.get().get("status"));
    threads.shutdown();
    assertNotEquals(get("/one/status").get("repository"), get("/two/status").get("repository"));
    // The end of one is none of the other's concern.
    get("/two/slow");
    await(() -> ((Long) get("/two/progress").get("done_bytes")) > 0);
    one.stop();
    assertEquals("backup", get("/two/progress").get("operation"));
    two.stop();
    World.awaitNoNativeThreads();
  }

  /** Processes that this one has started and that have not ended. */
  private static List<ProcessHandle> children() {
    return ProcessHandle.current().descendants().filter(ProcessHandle::isAlive)
        .collect(Collectors.toList());
  }
}
