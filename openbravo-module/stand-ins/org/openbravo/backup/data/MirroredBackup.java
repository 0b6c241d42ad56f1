package org.openbravo.backup.data;

import java.math.BigDecimal;
import java.util.Date;

import org.openbravo.base.structure.BaseOBObject;
import org.openbravo.model.ad.system.Client;
import org.openbravo.model.common.enterprise.Organization;

/** As generate.entities writes it out of the module's dictionary. */
public class MirroredBackup extends BaseOBObject {
  public String getBackupHash() {
    return (String) get("backupHash");
  }

  public String getRepositoryLocation() {
    return (String) get("repositoryLocation");
  }

  public void setShortNumber(String value) {
    set("shortNumber", value);
  }

  public void setBackupHash(String value) {
    set("backupHash", value);
  }

  public void setDateTaken(Date value) {
    set("dateTaken", value);
  }

  public void setYearTaken(String value) {
    set("yearTaken", value);
  }

  public void setMonthTaken(String value) {
    set("monthTaken", value);
  }

  public void setDayTaken(String value) {
    set("dayTaken", value);
  }

  public void setBackupStatus(String value) {
    set("backupStatus", value);
  }

  public void setBackupType(String value) {
    set("backupType", value);
  }

  public void setBackupLabel(String value) {
    set("backupLabel", value);
  }

  public void setDataMegabytes(BigDecimal value) {
    set("dataMegabytes", value);
  }

  public void setNewMegabytes(BigDecimal value) {
    set("newMegabytes", value);
  }

  public void setDurationSeconds(BigDecimal value) {
    set("durationSeconds", value);
  }

  public void setBackupContents(String value) {
    set("backupContents", value);
  }

  public void setOpenbravoVersion(String value) {
    set("openbravoVersion", value);
  }

  public void setPostgresqlVersion(String value) {
    set("postgresqlVersion", value);
  }

  public void setPinned(Boolean value) {
    set("pinned", value);
  }

  public void setRepositoryLocation(String value) {
    set("repositoryLocation", value);
  }

  public void setBackupWarnings(String value) {
    set("backupWarnings", value);
  }

  public void setClient(Client value) {
    set("client", value);
  }

  public void setOrganization(Organization value) {
    set("organization", value);
  }
}
