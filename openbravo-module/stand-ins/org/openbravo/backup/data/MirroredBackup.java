package org.openbravo.backup.data;

import java.math.BigDecimal;
import java.util.Date;

import org.openbravo.base.structure.BaseOBObject;
import org.openbravo.model.ad.system.Client;
import org.openbravo.model.common.enterprise.Organization;

/** As generate.entities writes it out of the module's dictionary. */
public class MirroredBackup extends BaseOBObject {
  public String getBackupHash() {
    throw new UnsupportedOperationException();
  }

  public String getRepositoryLocation() {
    throw new UnsupportedOperationException();
  }

  public void setShortNumber(String value) {
    throw new UnsupportedOperationException();
  }

  public void setBackupHash(String value) {
    throw new UnsupportedOperationException();
  }

  public void setDateTaken(Date value) {
    throw new UnsupportedOperationException();
  }

  public void setYearTaken(String value) {
    throw new UnsupportedOperationException();
  }

  public void setMonthTaken(String value) {
    throw new UnsupportedOperationException();
  }

  public void setDayTaken(String value) {
    throw new UnsupportedOperationException();
  }

  public void setBackupStatus(String value) {
    throw new UnsupportedOperationException();
  }

  public void setBackupType(String value) {
    throw new UnsupportedOperationException();
  }

  public void setBackupLabel(String value) {
    throw new UnsupportedOperationException();
  }

  public void setDataMegabytes(BigDecimal value) {
    throw new UnsupportedOperationException();
  }

  public void setNewMegabytes(BigDecimal value) {
    throw new UnsupportedOperationException();
  }

  public void setDurationSeconds(BigDecimal value) {
    throw new UnsupportedOperationException();
  }

  public void setBackupContents(String value) {
    throw new UnsupportedOperationException();
  }

  public void setOpenbravoVersion(String value) {
    throw new UnsupportedOperationException();
  }

  public void setPostgresqlVersion(String value) {
    throw new UnsupportedOperationException();
  }

  public void setPinned(Boolean value) {
    throw new UnsupportedOperationException();
  }

  public void setRepositoryLocation(String value) {
    throw new UnsupportedOperationException();
  }

  public void setBackupWarnings(String value) {
    throw new UnsupportedOperationException();
  }

  public void setClient(Client value) {
    throw new UnsupportedOperationException();
  }

  public void setOrganization(Organization value) {
    throw new UnsupportedOperationException();
  }
}
