package org.openbravo.base.exception;

public class OBSecurityException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public OBSecurityException(String message) {
    super(message);
  }
}
