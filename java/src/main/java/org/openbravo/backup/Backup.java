package org.openbravo.backup;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Backup and restore of one Openbravo instance.
 *
 * <p>A {@code Backup} can be used by any number of threads. Of the long operations ({@link
 * #backup}, {@link #copy}, {@link #verify}, {@link #drill}, {@link #delete}, {@link #forget},
 * {@link #prune}, {@link #restoreBeside}, {@link #testStorage} and the plans of {@link #restore},
 * {@link #undo}, {@link #forget} and {@link #prune}) one runs at a time; each runs on the thread
 * that calls it and can be watched and stopped from others by {@link #progress} and {@link
 * #cancel}. A {@code Backup} works on one repository; for another of the configuration open another
 * one.
 *
 * <p>Every method throws {@link BackupException}, and {@link IllegalStateException} once this is
 * closed.
 *
 * <pre>{@code
 * try (Backup backup = Backup.open(OpenOptions.of(Path.of("/opt/openbravo")))) {
 *   BackupSummary taken = backup.backup(BackupOptions.all().label("before the price change"));
 * }
 * }</pre>
 */
public final class Backup implements AutoCloseable {
  /** How long {@link #shutdown} waits, in milliseconds. */
  private static final int PATIENCE = 5_000;

  private final long handle;

  private Backup(long handle) {
    this.handle = handle;
  }

  /**
   * Opens an instance; loads the native library where that has not happened yet. The instance must
   * be there, its repository need not.
   *
   * @throws BackupException {@code LIBRARY} where the library cannot be used here; {@code
   *     NOT_FOUND} where there is no instance; {@code USAGE} where its configuration is malformed
   */
  public static Backup open(OpenOptions options) {
    NativeLibrary.load(options.libraryDirectory());
    OpenOptions complete = options;
    if (!options.hasProgram()) {
      complete = options.program(NativeLibrary.program(options.libraryDirectory()));
    }
    return new Backup(BackupNative.open(complete.json()));
  }

  /** Which native library is loaded. */
  public static LibraryVersion version() {
    return new LibraryVersion(Document.fields(BackupNative.version()));
  }

  /**
   * Closes everything that is open in this class loader: for the end of a web application. What is
   * running is asked to stop; when this returns, the library has no thread, no open file, no socket
   * and no child process left.
   *
   * @throws BackupException where something did not stop within five seconds, because a storage or
   *     a server does not answer; it ends when that answers
   */
  public static void shutdown() {
    if (NativeLibrary.isLoaded()) {
      BackupNative.shutdown(PATIENCE);
    }
  }

  /**
   * Makes the repository at an absolute path or a URL, and names it in the instance's
   * configuration; or the one that has this name there, with all that stands there of it.
   *
   * @throws BackupException {@code ALREADY_EXISTS} where one is, or where anything else lies
   */
  public Initialized init(String repository) {
    String request = Json.write(Collections.singletonMap("repository", repository));
    return new Initialized(Document.fields(BackupNative.init(handle, request)));
  }

  /**
   * Takes a backup; returns when it is complete. See {@link BackupSummary#isGood}: what could not
   * be captured makes it {@code partial}.
   *
   * @throws BackupException {@code LOCKED} where a backup of this instance is being taken
   *     somewhere; {@code CANCELLED} after {@link #cancel}
   */
  public BackupSummary backup(BackupOptions options) {
    return new BackupSummary(Document.fields(BackupNative.backup(handle, options.json(false))));
  }

  /** What a backup would do; changes nothing. */
  public BackupPlan planBackup(BackupOptions options) {
    return new BackupPlan(Document.fields(BackupNative.backup(handle, options.json(true))));
  }

  /** The backups, the newest first. */
  public Listing list(ListOptions options) {
    return new Listing(Document.fields(BackupNative.list(handle, options.json())));
  }

  /** One backup: the first digits of its id, at least four, or {@code latest}. */
  public BackupDetail show(String id) {
    return new BackupDetail(Document.fields(BackupNative.show(handle, one(id))));
  }

  /**
   * Checks the repository.
   *
   * @param id only what this backup needs, or null for all
   * @param readData read every byte instead of believing names and lengths
   */
  public Verification verify(String id, boolean readData) {
    Map<String, Object> request = new LinkedHashMap<>();
    request.put("id", id);
    request.put("read_data", readData);
    return new Verification(Document.fields(BackupNative.verify(handle, Json.write(request))));
  }

  /**
   * Restores a backup for trial, into a scratch database and a scratch directory that are gone
   * afterwards; nothing live is touched. What it finds is written down with the backup.
   *
   * @throws BackupException where the trial could not be made here, which says nothing of the
   *     backup
   */
  public Drill drill(DrillOptions options) {
    return new Drill(Document.fields(BackupNative.drill(handle, options.json(false))));
  }

  /** What a test restore would do; changes nothing. */
  public DrillPlan planDrill(DrillOptions options) {
    return new DrillPlan(Document.fields(BackupNative.drill(handle, options.json(true))));
  }

  /**
   * Copies a backup into another repository: only what is not there yet moves.
   *
   * @param id its first digits, at least four, or {@code latest}
   * @param repository a name from the configuration, an absolute path, or a URL
   */
  public Copied copy(String id, String repository) {
    return new Copied(Document.fields(BackupNative.copy(handle, copying(id, repository, false))));
  }

  /** What a copy would move; changes nothing. */
  public CopyPlan planCopy(String id, String repository) {
    return new CopyPlan(Document.fields(BackupNative.copy(handle, copying(id, repository, true))));
  }

  private static String copying(String id, String repository, boolean dryRun) {
    Map<String, Object> request = new LinkedHashMap<>();
    request.put("id", id);
    request.put("to", repository);
    request.put("dry_run", dryRun);
    return Json.write(request);
  }

  /**
   * Deletes one backup, and gives back the room that only it needed.
   *
   * @throws BackupException {@code DENIED} where it is another instance's
   */
  public Deleted delete(String id) {
    return new Deleted(Document.fields(BackupNative.delete(handle, one(id))));
  }

  /**
   * Forgets the backups that no rule keeps. Never the last good one, the last that was restored for
   * trial, a pinned one, or another instance's.
   *
   * @throws BackupException {@code USAGE} where there are no rules
   */
  public Forgotten forget(ForgetOptions options) {
    return new Forgotten(Document.fields(BackupNative.forget(handle, options.json(false))));
  }

  /** What would be forgotten, and why; changes nothing. */
  public ForgetPlan planForget(ForgetOptions options) {
    return new ForgetPlan(Document.fields(BackupNative.forget(handle, options.json(true))));
  }

  /** Gives back the room of what no backup needs, once its time of grace is over. */
  public Pruned prune(PruneOptions options) {
    return new Pruned(Document.fields(BackupNative.prune(handle, options.json(false))));
  }

  /** What pruning would do; changes nothing. */
  public Pruned planPrune(PruneOptions options) {
    return new Pruned(Document.fields(BackupNative.prune(handle, options.json(true))));
  }

  /** Pins a backup, so that retention keeps it whatever its rules say, or takes the pin away. */
  public BackupSummary pin(String id, boolean pinned) {
    Map<String, Object> request = new LinkedHashMap<>();
    request.put("id", id);
    request.put("pinned", pinned);
    return new BackupSummary(Document.fields(BackupNative.pin(handle, Json.write(request))));
  }

  /** The schedules, and who runs them. */
  public Schedules schedules() {
    return schedule("list", Collections.emptyMap());
  }

  /** The next backups of each schedule, up to {@code count} (at most 255) of each. */
  public Upcoming upcoming(int count) {
    Map<String, Object> request = new LinkedHashMap<>();
    request.put("action", "next");
    request.put("count", count);
    return new Upcoming(Document.fields(BackupNative.schedule(handle, Json.write(request))));
  }

  /**
   * Adds a schedule to the configuration, or changes what {@code options} name of it.
   *
   * @throws BackupException {@code USAGE} where the expression or the time zone is not understood;
   *     {@code NOT_FOUND} where there is no such schedule and no expression for a new one
   */
  public Schedules setSchedule(String name, ScheduleOptions options) {
    Map<String, Object> more = new LinkedHashMap<>();
    more.put("name", name);
    more.put("schedule", options.options());
    return schedule("set", more);
  }

  /** Takes a schedule out of the configuration. */
  public Schedules removeSchedule(String name) {
    return schedule("remove", Collections.singletonMap("name", name));
  }

  /**
   * Runs the schedules in this JVM, on a thread of the library, until {@link #stopSchedules} or the
   * end of this {@code Backup}. Returns at once. Of all processes of a machine one runs them: where
   * another one does, this waits for it to end and takes over. Calling it again changes nothing.
   */
  public Schedules runSchedules() {
    return schedule("run", Collections.emptyMap());
  }

  /** Runs the schedules here no more; stops and waits for the backup that runs by one. */
  public Schedules stopSchedules() {
    return schedule("stop", Collections.emptyMap());
  }

  private Schedules schedule(String action, Map<String, ?> more) {
    Map<String, Object> request = new LinkedHashMap<>(more);
    request.put("action", action);
    return new Schedules(Document.fields(BackupNative.schedule(handle, Json.write(request))));
  }

  /** What a restore would do; changes nothing. */
  public RestorePlan planRestore(RestoreOptions options) {
    return new RestorePlan(Document.fields(BackupNative.restore(handle, options.json(true))));
  }

  /**
   * Begins a restore in place of the instance, as a process of its own: it stops the application,
   * and outlives this JVM. Returns as soon as that process is on its way; {@link #restoreStatus}
   * tells the rest.
   *
   * @throws IllegalArgumentException where the options name a place beside; {@link #restoreBeside}
   *     does that
   * @throws BackupException {@code LOCKED} while another restore runs
   */
  public RestoreJob restore(RestoreOptions options) {
    if (options.isBeside()) {
      throw new IllegalArgumentException("what goes beside the instance is for restoreBeside");
    }
    return new RestoreJob(Document.fields(BackupNative.restore(handle, options.json(false))));
  }

  /**
   * Restores into a new database, a new directory, or both; nothing live is touched. Returns when
   * it is complete.
   *
   * @throws IllegalArgumentException where the options name neither
   * @throws BackupException {@code ALREADY_EXISTS} where something is there; {@code CANCELLED}
   *     after {@link #cancel}
   */
  public Restored restoreBeside(RestoreOptions options) {
    if (!options.isBeside()) {
      throw new IllegalArgumentException("neither a database nor a directory beside is named");
    }
    return new Restored(Document.fields(BackupNative.restore(handle, options.json(false))));
  }

  /**
   * What {@link #undo} would bring back; changes nothing.
   *
   * @throws BackupException {@code NOT_FOUND} where no old state is kept
   */
  public UndoPlan planUndo() {
    return new UndoPlan(Document.fields(BackupNative.undo(handle, UndoOptions.last().json(true))));
  }

  /**
   * Begins to bring back the state before the last restore, as a process of its own, like {@link
   * #restore}. What is live until then is kept in turn.
   */
  public RestoreJob undo(UndoOptions options) {
    return new RestoreJob(Document.fields(BackupNative.undo(handle, options.json(false))));
  }

  /**
   * The restore or undo of this instance that runs, or how the last one ended, whoever began it;
   * null where there has been none.
   */
  public RestoreStatus restoreStatus() {
    return restoreStatusOf(null);
  }

  /**
   * A restore or an undo by its id, as {@link RestoreJob#job} has it.
   *
   * @throws BackupException {@code NOT_FOUND} where there is none, or none any more
   */
  public RestoreStatus restoreStatus(String job) {
    return restoreStatusOf(Objects.requireNonNull(job));
  }

  /** Whether the state before the last restore is kept; {@link #planUndo} looks closer. */
  public boolean canUndo() {
    return report(null).flag("can_undo");
  }

  private RestoreStatus restoreStatusOf(String job) {
    return report(job).document("restore", RestoreStatus::new);
  }

  private Report report(String job) {
    String request = Json.write(Collections.singletonMap("job", job));
    return new Report(Document.fields(BackupNative.job(handle, request)));
  }

  /** How the last runs ended, also those that failed; at most {@code count} (65,535). */
  public Runs runs(int count) {
    String request = Json.write(Collections.singletonMap("count", count));
    return new Runs(Document.fields(BackupNative.runs(handle, request)));
  }

  /** What is going on with the instance and its repository. */
  public Status status() {
    return new Status(Document.fields(BackupNative.status(handle)));
  }

  /** Whether backups and restores can work here; changes nothing. */
  public Diagnosis doctor() {
    return new Diagnosis(Document.fields(BackupNative.doctor(handle)));
  }

  /** The room that the repository has and takes. */
  public StorageUse storage() {
    return new StorageUse(Document.fields(BackupNative.storage(handle)));
  }

  /** The repositories of the configuration; nothing is asked of them. */
  public Repositories repositories() {
    return new Repositories(Document.fields(BackupNative.repositories(handle)));
  }

  /**
   * Tries whether a repository can live in a place, which need not be one yet.
   *
   * @param repository a name from the configuration, an absolute path, or a URL; null for this
   *     one's
   */
  public StorageTest testStorage(String repository) {
    String request = Json.write(Collections.singletonMap("repository", repository));
    return new StorageTest(Document.fields(BackupNative.test(handle, request)));
  }

  /** The configuration file. */
  public Settings settings() {
    return new Settings(Document.fields(BackupNative.settings(handle, "{}")));
  }

  /**
   * Changes the configuration file, all of it or nothing; comments in it stay.
   *
   * @param values keys such as {@code backup.nice}; a null value removes the key, any other is a
   *     string, integer, long, double, boolean or list of such
   * @throws BackupException {@code USAGE} where the file would not be a configuration any more
   */
  public Settings change(Map<String, ?> values) {
    List<Object> set = new ArrayList<>();
    values.forEach((key, value) -> {
      Map<String, Object> setting = new LinkedHashMap<>();
      setting.put("key", key);
      setting.put("value", value);
      set.add(setting);
    });
    String request = Json.write(Collections.singletonMap("set", set));
    return new Settings(Document.fields(BackupNative.settings(handle, request)));
  }

  /** How far the running operation is; never waits. */
  public Progress progress() {
    return new Progress(Document.fields(BackupNative.progress(handle)));
  }

  /**
   * Asks the running operation to stop; it then ends with {@code CANCELLED}. Does not wait for
   * that.
   *
   * @return whether one is running
   */
  public boolean cancel() {
    return BackupNative.cancel(handle);
  }

  /** Stops what is running, and waits for it. Closing again does no harm. */
  @Override
  public void close() {
    BackupNative.close(handle);
  }

  private static String one(String id) {
    return Json.write(Collections.singletonMap("id", id));
  }

  private static final class Report extends Document {
    private Report(Map<String, Object> fields) {
      super(fields);
    }
  }
}
