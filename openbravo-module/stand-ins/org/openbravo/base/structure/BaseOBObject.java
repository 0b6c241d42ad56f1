package org.openbravo.base.structure;

public class BaseOBObject {
}
