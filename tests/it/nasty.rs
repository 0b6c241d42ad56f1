//! The nasty database itself: that it is what it claims, on every version, and that PostgreSQL can copy it.

use crate::support::cluster::on_version;
use crate::support::equality;
use crate::support::nasty::Nasty;

crate::each_version!(loads_and_can_be_copied, |cluster| {
    let original = "the \"nasty\" one";
    Nasty::default().create(cluster, original);
    equality::copy(cluster, original, "its copy");
    let rows = equality::rows(cluster, original);
    assert!(rows.len() > 100, "only {} of them", rows.len());
    assert_eq!(rows["nasty.no_columns"].0, 3);
    assert_eq!(rows["nasty.events"].0, 2001);

    let mut copied = equality::rows(cluster, "its copy");
    // Materialized views are computed anew, and an extension's own tables made anew.
    for table in ["nasty.stale", "ledger.scratch"] {
        assert_ne!(rows[table], copied[table], "{table}");
        copied.insert(table.into(), rows[table].clone());
    }
    assert_eq!(rows, copied);
    let definitions = equality::definitions(cluster, original);
    assert!(definitions.len() > 2500, "only {} lines", definitions.len());
    let differences =
        equality::difference(&definitions, &equality::definitions(cluster, "its copy"));
    // The array of a condition is written another way, and before 15 the rights on schema public are lost.
    assert!(differences.len() <= 5, "{differences:#?}");
});

#[test]
fn takes_what_cannot_be_restored_and_large_values() {
    on_version(16, |cluster| {
        let nasty = Nasty {
            big_megabytes: 20,
            unsupported: true,
            no_subscription: true,
        };
        nasty.create(cluster, "unsupported");
        let rows = equality::rows(cluster, "unsupported");
        assert_eq!(rows["nasty.aa_checked"].0, 1);
        let large = "SELECT max(length(b)) FROM nasty.big_values";
        assert_eq!(cluster.psql("unsupported", large), (20 << 20).to_string());
    });
}
