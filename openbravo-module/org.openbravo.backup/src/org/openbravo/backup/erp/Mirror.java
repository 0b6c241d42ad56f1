package org.openbravo.backup.erp;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.util.Date;
import java.util.HashMap;
import java.util.Map;
import java.util.NoSuchElementException;

import org.openbravo.backup.Backup;
import org.openbravo.backup.BackupSummary;
import org.openbravo.backup.ListOptions;
import org.openbravo.backup.data.MirroredBackup;
import org.openbravo.base.provider.OBProvider;
import org.openbravo.dal.core.OBContext;
import org.openbravo.dal.service.OBCriteria;
import org.openbravo.dal.service.OBDal;
import org.openbravo.model.ad.system.Client;
import org.openbravo.model.common.enterprise.Organization;

/**
 * The table behind the window. The repository is the truth: whatever the table holds, also after a
 * restore has put an older one in its place, it is made equal to the repository's list.
 */
final class Mirror {
  private static final BigDecimal MEGABYTE = new BigDecimal(1024 * 1024);
  private static final int WARNINGS_LENGTH = 4000;
  static final int SHORT_ID = 8;

  private Mirror() {
  }

  /**
   * Reads the list and writes the table, in a transaction of its own.
   *
   * @return the number of backups
   */
  static int refresh(Backup backup) {
    String repository = backup.status().repository();
    Map<String, BackupSummary> listed = new HashMap<>();
    for (BackupSummary summary : backup.list(ListOptions.all()).backups()) {
      listed.put(summary.id(), summary);
    }
    int count = listed.size();
    write(repository, listed);
    return count;
  }

  /** Empties the table, where there is no repository. */
  static void clear() {
    write("", new HashMap<>());
  }

  private static void write(String repository, Map<String, BackupSummary> listed) {
    OBContext before = OBContext.getOBContext();
    OBContext.setOBContext("0", "0", "0", "0");
    OBContext.setAdminMode(false);
    try {
      OBCriteria<MirroredBackup> rows = OBDal.getInstance().createCriteria(MirroredBackup.class);
      for (MirroredBackup row : rows.list()) {
        BackupSummary summary = row.getRepositoryLocation().equals(repository)
            ? listed.remove(row.getBackupHash())
            : null;
        if (summary == null) {
          OBDal.getInstance().remove(row);
        } else {
          row.setPinned(summary.isPinned());
        }
      }
      OBDal.getInstance().flush();
      for (BackupSummary summary : listed.values()) {
        OBDal.getInstance().save(row(summary, repository));
      }
      OBDal.getInstance().commitAndClose();
    } catch (RuntimeException e) {
      OBDal.getInstance().rollbackAndClose();
      throw e;
    } finally {
      OBContext.restorePreviousMode();
      OBContext.setOBContext(before);
    }
  }

  /**
   * The id of the backup that a row of the table stands for.
   *
   * @throws NoSuchElementException where the window shows a row that is gone
   */
  static String backup(String row) {
    MirroredBackup mirrored = OBDal.getInstance().get(MirroredBackup.class, row);
    if (mirrored == null) {
      throw new NoSuchElementException(row);
    }
    return mirrored.getBackupHash();
  }

  /** What people know a backup by. */
  static String shortNumber(BackupSummary summary) {
    return summary.id().substring(0, SHORT_ID);
  }

  private static MirroredBackup row(BackupSummary summary, String repository) {
    ZonedDateTime taken = summary.finishedAt().atZone(ZoneId.systemDefault());
    MirroredBackup row = OBProvider.getInstance().get(MirroredBackup.class);
    row.setClient(OBDal.getInstance().getProxy(Client.class, "0"));
    row.setOrganization(OBDal.getInstance().getProxy(Organization.class, "0"));
    row.setShortNumber(shortNumber(summary));
    row.setBackupHash(summary.id());
    row.setDateTaken(Date.from(summary.finishedAt()));
    row.setYearTaken(String.format("%04d", taken.getYear()));
    row.setMonthTaken(String.format("%02d", taken.getMonthValue()));
    row.setDayTaken(String.format("%02d", taken.getDayOfMonth()));
    row.setBackupStatus(summary.status());
    row.setBackupType(summary.type());
    row.setBackupLabel(summary.label());
    row.setDataMegabytes(megabytes(summary.databaseBytes() + summary.filesBytes()));
    row.setNewMegabytes(megabytes(summary.storedBytes()));
    row.setDurationSeconds(seconds(summary.startedAt(), summary.finishedAt()));
    row.setBackupContents(String.join(", ", summary.contents()));
    row.setOpenbravoVersion(summary.openbravoVersion());
    row.setPostgresqlVersion(summary.postgresqlVersion());
    row.setPinned(summary.isPinned());
    row.setRepositoryLocation(repository);
    row.setBackupWarnings(shortened(String.join("\n", summary.warnings())));
    return row;
  }

  private static BigDecimal megabytes(long bytes) {
    return new BigDecimal(bytes).divide(MEGABYTE, 2, RoundingMode.HALF_UP);
  }

  private static BigDecimal seconds(Instant start, Instant end) {
    return new BigDecimal(Duration.between(start, end).toMillis()).movePointLeft(3)
        .setScale(1, RoundingMode.HALF_UP);
  }

  private static String shortened(String text) {
    return text.length() > WARNINGS_LENGTH ? text.substring(0, WARNINGS_LENGTH - 1) + "…" : text;
  }
}
