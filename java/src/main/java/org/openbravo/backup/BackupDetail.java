package org.openbravo.backup;

import java.util.List;
import java.util.Map;

/** One backup in full. */
public final class BackupDetail extends Document {
  BackupDetail(Map<String, Object> fields) {
    super(fields);
  }

  /** What the list has too. */
  public BackupSummary summary() {
    return new BackupSummary(fields());
  }

  /** Where the instance lay. */
  public String sourcePath() {
    return text("source_path");
  }

  /** The version of obbackup that took it. */
  public String tool() {
    return text("tool");
  }

  /** The instance's modules with their versions. */
  public List<Module> modules() {
    return documents("modules", Module::new);
  }

  /** A module of Openbravo. */
  public static final class Module extends Document {
    private Module(Map<String, Object> fields) {
      super(fields);
    }

    /** Its Java package. */
    public String javaPackage() {
      return text("package");
    }

    /** Its version. */
    public String version() {
      return text("version");
    }
  }
}
