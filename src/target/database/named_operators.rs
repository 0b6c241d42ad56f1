//! Operators that are only named so far, by another one whose commutator or negator they are to be.
//!
//! PostgreSQL makes an entry for such a name, which belongs to whoever created the other operator; `pg_dump` knows
//! nothing of it. Restored by a superuser the name would be the superuser's, and the application's role could not
//! define the operator, nor the one that names it anew: Openbravo's builds do that each time.

use super::DatabaseTarget;
use super::plan::DatabasePlan;
use crate::error::Result;
use crate::postgresql::client::{database_error, get};
use crate::postgresql::quote;

/// Gives each to the owner of the operator that names it.
pub(super) fn give_to_owners(target: &DatabaseTarget, plan: &DatabasePlan) -> Result<()> {
    let what = "cannot give the operators to their owners";
    let mut session = target.session(plan.as_system)?;
    // With nothing on the path, names come with their schemas.
    session.run(what, "SET search_path = ''")?;
    let named = session
        .client
        .query(
            "SELECT DISTINCT ON (o.oid) o.oid::pg_catalog.regoperator::text, r.rolname::text
            FROM pg_catalog.pg_operator o
            JOIN pg_catalog.pg_operator d ON o.oid IN (d.oprcom, d.oprnegate) AND d.oprcode <> 0
            JOIN pg_catalog.pg_roles r ON r.oid = d.oprowner
            WHERE o.oprcode = 0 AND o.oprowner <> d.oprowner
            ORDER BY o.oid, d.oid",
            &[],
        )
        .map_err(|error| database_error(what, error))?;
    for row in &named {
        let (operator, owner): (String, String) = (get(row, 0)?, get(row, 1)?);
        let owner = quote::name(&owner);
        session.run(what, &format!("ALTER OPERATOR {operator} OWNER TO {owner}"))?;
    }
    Ok(())
}
