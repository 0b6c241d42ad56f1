package org.openbravo.model.common.enterprise;

import org.openbravo.base.structure.BaseOBObject;

public class Organization extends BaseOBObject {
}
