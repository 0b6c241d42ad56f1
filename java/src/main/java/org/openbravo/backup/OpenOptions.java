package org.openbravo.backup;

import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/** Which instance to work on, and with how much of the machine. */
public final class OpenOptions extends Request {
  /** The system property that names the directory for the library, where no option does. */
  public static final String DIRECTORY_PROPERTY = "org.openbravo.backup.directory";

  private OpenOptions(Map<String, Object> options) {
    super(options);
  }

  /** The instance whose {@code source.path} is this directory. */
  public static OpenOptions of(Path instance) {
    return new OpenOptions(Collections.singletonMap("instance", instance.toString()));
  }

  /** The configuration file; {@code config/obbackup.toml} of the instance by default. */
  public OpenOptions configuration(Path file) {
    return new OpenOptions(with("configuration", file.toString()));
  }

  /** The repository: a name from the configuration, an absolute path, or a URL. */
  public OpenOptions repository(String repository) {
    return new OpenOptions(with("repository", Objects.requireNonNull(repository)));
  }

  /** Threads to work with, from 1 on; instead of {@code jobs} of {@code [backup]}. */
  public OpenOptions jobs(int jobs) {
    return new OpenOptions(with("jobs", jobs));
  }

  /**
   * How far a backup stands back behind other work for the processor, 0 to 19 as {@code nice}
   * counts; instead of {@code nice} of {@code [backup]}.
   */
  public OpenOptions nice(int nice) {
    return new OpenOptions(with("nice", nice));
  }

  /** Bytes that a backup reads in a second at most; instead of that of {@code [backup]}. */
  public OpenOptions bytesPerSecond(long bytes) {
    return new OpenOptions(with("bytes_per_second", bytes));
  }

  /** The command {@code obbackup}, which restores; the one in the jar by default. */
  public OpenOptions program(Path program) {
    return new OpenOptions(with("program", program.toString()));
  }

  /**
   * Where the library is copied to in order to be loaded; must allow to execute. By default the
   * system property {@value #DIRECTORY_PROPERTY}, else {@code java.io.tmpdir}.
   */
  public OpenOptions libraryDirectory(Path directory) {
    return new OpenOptions(with("library_directory", directory.toString()));
  }

  Path libraryDirectory() {
    Object named = option("library_directory");
    if (named == null) {
      named = System.getProperty(DIRECTORY_PROPERTY, System.getProperty("java.io.tmpdir"));
    }
    return Path.of(named.toString());
  }

  boolean hasProgram() {
    return option("program") != null;
  }

  /** With what the native side cannot know by itself: it reads no environment. */
  @Override
  String json() {
    Map<String, Object> options = new LinkedHashMap<>(options());
    options.remove("library_directory");
    options.put("environment", environment());
    return Json.write(options);
  }

  private static Map<String, Object> environment() {
    Map<String, Object> variables = new LinkedHashMap<>(System.getenv());
    // Where Tomcat was started without these variables, it says so by properties.
    overlay(variables, "CATALINA_BASE", "catalina.base");
    overlay(variables, "CATALINA_HOME", "catalina.home");
    if (!variables.containsKey("HOME")) {
      overlay(variables, "HOME", "user.home");
    }
    Map<String, Object> environment = new LinkedHashMap<>();
    environment.put("variables", variables);
    environment.put("properties_path", System.getProperty("properties.path"));
    environment.put("machine_name", System.getProperty("machine.name"));
    environment.put("temporary_directory", System.getProperty("java.io.tmpdir"));
    return environment;
  }

  private static void overlay(Map<String, Object> variables, String variable, String property) {
    String value = System.getProperty(property);
    if (value != null && !value.isEmpty()) {
      variables.put(variable, value);
    }
  }
}
