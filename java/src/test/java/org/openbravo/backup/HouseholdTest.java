package org.openbravo.backup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is done with backups once there are some: kept, forgotten, copied, restored for trial. */
class HouseholdTest {
  private static final BackupOptions SMALL = BackupOptions.all().only("configuration");

  @TempDir
  Path directory;

  @Test
  void theRulesDecideWhatGoesAndAPreviewSaysSoFirst() {
    try (Backup backup = World.open(directory)) {
      World.fails(BackupException.Code.USAGE,
          () -> backup.forget(ForgetOptions.configured()));
      List<String> ids = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        ids.add(0, backup.backup(SMALL.label("number " + i)).id());
      }
      backup.pin(ids.get(3), true);
      ForgetOptions one = ForgetOptions.configured().keepLast(1);
      ForgetPlan plan = backup.planForget(one);
      assertEquals(2, plan.goes());
      assertEquals(ids, plan.backups().stream().map(it -> it.summary().id())
          .collect(Collectors.toList()));
      assertEquals(List.of(true, false, false, true), plan.backups().stream()
          .map(ForgetPlan.Judged::isKept).collect(Collectors.toList()));
      assertFalse(plan.backups().get(1).reasons().isEmpty());
      assertEquals(4, backup.list(ListOptions.all()).backups().size());
      assertEquals(0, backup.planForget(one.type("scheduled")).goes());

      Forgotten forgotten = backup.forget(one.prune());
      assertEquals(List.of(ids.get(2), ids.get(1)), forgotten.forgotten());
      assertEquals(2, forgotten.kept());
      assertNotNull(forgotten.pruned());
      assertEquals(2, backup.list(ListOptions.all()).backups().size());
      assertNull(backup.forget(one).pruned());
    }
  }

  @Test
  void aRepositoryThatWasMadeAnewInItsPlaceIsFound() throws Exception {
    try (Backup backup = World.open(directory)) {
      backup.backup(SMALL);
      assertEquals(1, backup.list(ListOptions.all()).backups().size());
      Path repository = directory.resolve("repository");
      Files.move(repository, directory.resolve("aside"));
      // Whoever knew it takes it for being on a device that was taken out, again and again.
      for (int i = 0; i < 2; i++) {
        BackupException gone = World.fails(BackupException.Code.IO,
            () -> backup.list(ListOptions.all()));
        assertTrue(gone.getMessage().contains("device"), gone.getMessage());
        assertTrue(gone.hint().contains("Mount"), gone.hint());
      }
      Files.move(directory.resolve("aside"), repository);
      assertEquals(1, backup.list(ListOptions.all()).backups().size());
      Files.move(repository, directory.resolve("aside"));
      Files.createDirectory(repository);
      BackupException empty = World.fails(BackupException.Code.IO,
          () -> backup.list(ListOptions.all()));
      assertTrue(empty.getMessage().contains("device"), empty.getMessage());
      backup.init(repository.toString());
      assertEquals(0, backup.list(ListOptions.all()).backups().size());
      assertTrue(backup.backup(SMALL).isGood());
    }
  }

  @Test
  void pruningGivesBackWhatTheGraceWasFor() {
    try (Backup backup = World.open(directory)) {
      BackupOptions sources = BackupOptions.all().only("sources");
      long all = backup.backup(sources).storedBytes();
      backup.change(Map.of("backup.exclude", List.of("modules", "src", "src-db", "lib", "web")));
      backup.backup(sources);
      ForgetOptions one = ForgetOptions.configured().keepLast(1);
      assertEquals(1, backup.forget(one).forgotten().size());
      long before = backup.storage().repositoryBytes();
      assertEquals(0, backup.prune(PruneOptions.configured()).freedBytes());
      assertTrue(backup.storage().condemnedBytes() > 0);
      PruneOptions now = PruneOptions.configured().graceHours(0);
      Pruned plan = backup.planPrune(now);
      assertTrue(plan.freedBytes() > all / 2, plan.json());
      assertEquals(plan.freedBytes(), backup.prune(now).freedBytes());
      assertTrue(backup.storage().repositoryBytes() < before - all / 2);
      assertEquals(0, backup.storage().condemnedBytes());
      assertTrue(backup.verify(null, true).isSound());
    }
  }

  @Test
  void aBackupIsRestoredForTrialAndSaysSo() throws Exception {
    try (Backup backup = World.open(directory)) {
      BackupSummary taken = backup.backup(BackupOptions.all());
      assertNull(backup.list(ListOptions.all()).backups().get(0).lastDrill());
      Path scratch = Files.createDirectory(directory.resolve("scratch"));
      DrillOptions options = DrillOptions.of("latest").directory(scratch);
      DrillPlan plan = backup.planDrill(options);
      assertEquals(taken.id(), plan.backup().id());
      assertTrue(plan.directory().startsWith(scratch.toString()), plan.json());
      assertTrue(plan.neededBytes() > taken.filesBytes(), plan.json());
      Drill drill = backup.drill(options);
      assertTrue(drill.isPassed(), drill.json());
      assertTrue(drill.checks().stream()
          .anyMatch(it -> it.name().equals("rows") && it.result().equals("passed")), drill.json());
      assertEquals(0, World.count(scratch.toString()));
      BackupSummary.LastDrill last = backup.list(ListOptions.all()).backups().get(0).lastDrill();
      assertTrue(last.isPassed() && last.at().equals(drill.at()), last.json());
      World.fails(BackupException.Code.USAGE,
          () -> backup.drill(DrillOptions.of("latest").directory(Path.of("here"))));
    }
  }

  @Test
  void severalRepositories() {
    try (Backup backup = World.open(directory)) {
      String second = directory.resolve("second").toString();
      StorageTest tried = backup.testStorage(second);
      assertTrue(tried.works() && tried.steps().size() == 8, tried.json());
      assertEquals("ok", tried.steps().get(0).result());
      World.fails(BackupException.Code.USAGE, () -> backup.testStorage("relative/path"));
      World.fails(BackupException.Code.NOT_FOUND, () -> backup.testStorage("nowhere"));
      try (Backup other = Backup.open(World.options(directory).repository(second))) {
        other.init(second);
      }
      String first = backup.repositories().repositories().get(0).name();
      Map<String, Object> changes = new HashMap<>();
      changes.put("default_repository", first);
      changes.put("repository.offsite.url", second);
      backup.change(changes);
      Map<String, Repositories.Named> named = backup.repositories().repositories().stream()
          .collect(Collectors.toMap(Repositories.Named::name, it -> it));
      assertTrue(named.get(first).isDefault() && !named.get("offsite").isDefault());
      assertEquals(second, named.get("offsite").url());

      BackupSummary taken = backup.backup(SMALL);
      assertEquals(List.of(), taken.copies());
      assertFalse(backup.planCopy(taken.id(), "offsite").isThere());
      Copied copied = backup.copy("latest", "offsite");
      assertEquals(taken.id(), copied.id());
      assertTrue(copied.storedBytes() > 0 && !copied.wasThere(), copied.json());
      assertTrue(backup.copy("latest", second).wasThere());
      backup.change(Collections.singletonMap("repository." + first + ".copy_to",
          List.of("offsite")));
      BackupSummary again = backup.backup(SMALL);
      assertEquals("offsite", again.copies().get(0).repository());
      assertEquals(again.id(), again.copies().get(0).copied().id());
      World.fails(BackupException.Code.NOT_FOUND, () -> backup.backup(SMALL.copyTo("elsewhere")));
      try (Backup other = Backup.open(World.options(directory).repository("offsite"))) {
        assertEquals(2, other.list(ListOptions.all()).backups().size());
        assertEquals(second, other.storage().location());
      }
    }
  }

  @Test
  void theLastRunsAreKnownAlsoThoseThatFailed() throws Exception {
    try (Backup backup = World.open(directory)) {
      BackupSummary taken = backup.backup(SMALL);
      Runs.Run good = backup.runs(1).runs().get(0);
      assertTrue(good.isGood(), good.json());
      assertEquals(taken.id(), good.backup());
      assertEquals("manual", good.type());
      assertFalse(good.finishedAt().isBefore(good.startedAt()));
      Path header = directory.resolve("repository/repo.json");
      Files.move(header, directory.resolve("repo.json"));
      try (Backup anew = Backup.open(World.options(directory))) {
        BackupException failed =
            World.fails(BackupException.Code.NOT_FOUND, () -> anew.backup(SMALL));
        Runs runs = anew.runs(1);
        assertFalse(runs.runs().get(0).isGood());
        assertEquals("not_found", runs.runs().get(0).outcome());
        assertEquals(failed.getMessage(), runs.runs().get(0).message());
        assertEquals(failed.hint(), runs.runs().get(0).hint());
        assertEquals(1, runs.warnings().size());
      }
      assertEquals(0, backup.runs(0).runs().size());
    }
  }

  @Test
  void damageIsFoundAndToldInTheBooks() throws Exception {
    try (Backup backup = World.open(directory)) {
      BackupSummary taken = backup.backup(SMALL);
      List<Path> packs = World.files(directory.resolve("repository/packs"));
      Files.delete(packs.get(0));
      Verification verification = backup.verify(null, false);
      assertFalse(verification.isSound());
      assertTrue(verification.findings().stream()
          .anyMatch(it -> it.severity().equals("damage") && it.backups().contains(taken.id())),
          verification.json());
      Runs.Run run = backup.runs(1).runs().get(0);
      assertEquals("verify", run.command());
      assertEquals("damaged", run.outcome());
      DrillOptions trial = DrillOptions.of(taken.id()).directory(directory);
      Drill drill = backup.drill(trial);
      assertFalse(drill.isPassed());
      assertFalse(drill.checks().get(0).problems().isEmpty(), drill.json());
    }
  }

  @Test
  void anotherInstancesBackupsAreNotOursToTouch() throws Exception {
    String id;
    try (Backup backup = World.open(directory)) {
      id = backup.backup(SMALL).id();
    }
    Path file = directory.resolve("obbackup.toml");
    Files.writeString(file,
        Files.readString(file).replaceAll("(?m)^id = .*$", "id = \"somebodyelse\""));
    try (Backup other = Backup.open(World.options(directory))) {
      World.fails(BackupException.Code.DENIED, () -> other.delete(id));
      World.fails(BackupException.Code.DENIED, () -> other.pin(id, true));
      assertEquals(0, other.list(ListOptions.all()).backups().size());
      assertEquals(1, other.list(ListOptions.all().allInstances()).backups().size());
    }
  }
}
