//! The made-up instance itself: that it is whole, the same each time, and grows as business does.

use std::path::Path;

use crate::support::cluster::{Cluster, on_version};
use crate::support::equality;
use crate::support::instance::{Instance, Size, database};

const SMALL: Size = Size::of(1, 200);

fn attachments_without_file(cluster: &Cluster, instance: &Instance) -> Vec<String> {
    database::attachments(&cluster.config(""), &instance.database)
        .iter()
        .map(|(path, name)| instance.attachments.join(path).join(name))
        .filter(|file| !file.is_file())
        .map(|file| file.display().to_string())
        .collect()
}

fn count(directory: &Path) -> usize {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { count(&path) } else { 1 })
        .sum()
}

#[test]
fn is_whole_and_the_same_each_time() {
    on_version(15, |cluster| {
        let server = cluster.config("");
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [first, second] = ["made up 1", "made up 2"];
        let one = Instance::create(&server, directories[0].path(), first, SMALL);
        let other = Instance::create(&server, directories[1].path(), second, SMALL);
        for part in ["modules", "src", "web", "lib"] {
            let (one, other) = (one.sources.join(part), other.sources.join(part));
            assert!(count(&one) > 3);
            assert_eq!(count(&one), count(&other));
        }
        let mut rows = equality::rows(cluster, first);
        let mut again = equality::rows(cluster, second);
        // Only when it was built differs.
        rows.remove("public.ad_system_info");
        again.remove("public.ad_system_info");
        assert_eq!(rows, again);
        assert!(rows.len() > 230, "only {} tables", rows.len());
        assert_eq!(cluster.psql(first, "SELECT ad_db_modified('N')"), "N");
        assert_eq!(
            attachments_without_file(cluster, &one),
            Vec::<String>::new()
        );
        let role = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'";
        assert_eq!(cluster.psql(first, role), "tad");
    });
}

#[test]
fn a_day_adds_documents_and_attachments() {
    on_version(16, |cluster| {
        let directory = tempfile::tempdir().unwrap();
        let server = cluster.config("");
        let instance = Instance::create(&server, directory.path(), "a day", Size::of(120, 100));
        let files = count(&instance.attachments);
        let before = equality::rows(cluster, "a day");
        instance.day(&server);
        let after = equality::rows(cluster, "a day");
        assert_eq!(
            before["public.c_order"].0 / 200,
            after["public.c_order"].0 - before["public.c_order"].0
        );
        let changed = before
            .iter()
            .filter(|(table, rows)| &after[*table] != *rows);
        assert!((10..25).contains(&changed.count()));
        assert!(count(&instance.attachments) > files);
        assert_eq!(
            attachments_without_file(cluster, &instance),
            Vec::<String>::new()
        );
        assert_eq!(cluster.psql("a day", "SELECT ad_db_modified('N')"), "N");
        instance.day(&server);
        let next = equality::rows(cluster, "a day");
        assert!(next["public.c_order"].0 > after["public.c_order"].0);
    });
}

#[test]
fn a_changed_definition_is_noticed() {
    on_version(14, |cluster| {
        let directory = tempfile::tempdir().unwrap();
        Instance::create(&cluster.config(""), directory.path(), "changed", SMALL);
        let modified = "SELECT ad_db_modified('N')";
        assert_eq!(cluster.psql("changed", modified), "N");
        cluster.psql(
            "changed",
            "ALTER TABLE c_order ADD COLUMN em_obx_note varchar(60)",
        );
        assert_eq!(cluster.psql("changed", modified), "Y");
    });
}
