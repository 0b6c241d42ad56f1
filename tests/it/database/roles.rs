//! Who reads, who restores, and who owns it then.

use obbackup::error::ErrorKind;
use obbackup::progress::Silent;
use obbackup::source::database::DatabaseSource;
use obbackup::target::database::DatabaseTarget;

use super::{address, capture_options, restore_options, role};
use crate::support::chunks::Memory;
use crate::support::cluster::{Cluster, SUPERUSER, on_version};
use crate::support::equality;

/// Roles belong to the server, which tests share.
fn create_role(cluster: &Cluster, name: &str, options: &str) {
    cluster.psql(
        SUPERUSER,
        &format!("CREATE ROLE \"{name}\" LOGIN PASSWORD '{name}' {options}"),
    );
}

/// A database of an application's role, with what such roles have.
fn application_database(cluster: &Cluster, database: &str, owner: &str) {
    create_role(cluster, owner, "CREATEDB");
    cluster.psql(
        SUPERUSER,
        &format!("CREATE DATABASE \"{database}\" OWNER \"{owner}\" TEMPLATE template0"),
    );
    let extension = if cluster.version() >= 13 {
        "CREATE EXTENSION pg_trgm; COMMENT ON EXTENSION pg_trgm IS 'ours';"
    } else {
        ""
    };
    let mut config = cluster.config(database);
    config.user(owner).password(owner);
    let mut client = config.connect(postgres::NoTls).unwrap();
    client
        .batch_execute(&format!(
            "{extension}
             CREATE TABLE c_order (id int PRIMARY KEY, note text);
             INSERT INTO c_order SELECT n, 'order ' || n FROM generate_series(1, 1000) n;
             CREATE FUNCTION twice(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
                'BEGIN RETURN 2 * n; END';
             CREATE INDEX ON c_order (twice(id));
             GRANT SELECT ON c_order TO PUBLIC;
             REVOKE ALL ON FUNCTION twice(int) FROM PUBLIC;
             ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
             CREATE POLICY mine ON c_order TO \"{owner}\" USING (true);
             SELECT lo_from_bytea(4711, 'abc');
             GRANT SELECT ON LARGE OBJECT 4711 TO PUBLIC;
             ALTER DATABASE \"{database}\" SET work_mem = '5MB';
             ALTER ROLE \"{owner}\" IN DATABASE \"{database}\" SET search_path = 'public', 'other';
             COMMENT ON DATABASE \"{database}\" IS 'the application''s'"
        ))
        .unwrap();
}

crate::each_version!(the_application_role_needs_nobody, |cluster| {
    let (database, copied, owner) = ("own", "own again", "own_tad");
    application_database(cluster, database, owner);
    let memory = Memory::default();
    let mut source =
        DatabaseSource::open(&role(cluster, database, owner), &capture_options(cluster)).unwrap();
    let part = source.capture(&memory, &Silent).unwrap();
    assert_eq!(part.application_role, owner);
    let target = DatabaseTarget::new(role(cluster, copied, owner), restore_options(cluster));
    let plan = target.plan(&part, &memory).unwrap();
    assert_eq!(plan.refused, Vec::<String>::new());
    assert_eq!(plan.skipped, Vec::<String>::new());
    target.run(&plan, &part, &memory, &Silent).unwrap();
    assert_eq!(
        equality::rows(cluster, database),
        equality::rows(cluster, copied)
    );
    assert_eq!(
        equality::definitions(cluster, database),
        equality::definitions(cluster, copied)
    );
    let settings =
        "SELECT d.datconnlimit, shobj_description(d.oid, 'pg_database'), d.datdba::regrole,
        (SELECT string_agg(setrole::regrole || setconfig::text, ' ' ORDER BY setrole)
         FROM pg_db_role_setting WHERE setdatabase = d.oid)
        FROM pg_database d WHERE datname = current_database()";
    assert_eq!(
        cluster.psql(database, settings),
        cluster.psql(copied, settings)
    );
});

crate::each_version!(another_application_role_becomes_the_owner, |cluster| {
    let (database, copied, old) = ("moved", "moved here", "moved_old");
    let new = "moved \"new\"";
    application_database(cluster, database, old);
    create_role(cluster, "moved_reader", "");
    cluster.psql(
        database,
        &format!(
            "GRANT SELECT ON c_order TO moved_reader; GRANT UPDATE ON c_order TO {old};
             SET ROLE {old}; GRANT EXECUTE ON FUNCTION twice(int) TO moved_reader"
        ),
    );
    let memory = Memory::default();
    let mut source =
        DatabaseSource::open(&role(cluster, database, old), &capture_options(cluster)).unwrap();
    let part = source.capture(&memory, &Silent).unwrap();
    // As on another machine, where the old role is not known.
    let before = equality::definitions(cluster, database);
    drop(source);
    cluster.psql(SUPERUSER, &format!("DROP DATABASE \"{database}\""));
    cluster.psql(SUPERUSER, &format!("DROP ROLE {old}"));
    cluster.psql(
        SUPERUSER,
        &format!(
            "CREATE ROLE \"{}\" LOGIN CREATEDB PASSWORD 'moved'",
            new.replace('"', "\"\"")
        ),
    );
    for as_system in [false, true] {
        let mut options = restore_options(cluster);
        options.system = as_system.then(|| address(cluster, SUPERUSER));
        let mut here = role(cluster, copied, new);
        here.password = Some(obbackup::config::Secret::new("moved".to_owned()));
        let target = DatabaseTarget::new(here, options);
        let plan = target.plan(&part, &memory).unwrap();
        assert_eq!(plan.refused, Vec::<String>::new());
        target.run(&plan, &part, &memory, &Silent).unwrap();
        let expected: Vec<_> = before
            .iter()
            .map(|line| {
                let name = if line.starts_with("--") {
                    new.to_owned()
                } else {
                    format!("\"{}\"", new.replace('"', "\"\""))
                };
                line.replace(old, &name)
            })
            .collect();
        let differences =
            equality::difference(&sorted(expected), &equality::definitions(cluster, copied));
        assert!(differences.is_empty(), "{differences:#?}");
        let owners = "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
            WHERE rolname <> 'moved \"new\"' AND relnamespace = 'public'::regnamespace
            UNION ALL SELECT count(*) FROM pg_largeobject_metadata m JOIN pg_roles r
            ON r.oid = m.lomowner WHERE rolname = 'moved \"new\"'";
        // pg_trgm has no relations.
        assert_eq!(cluster.psql(copied, owners), "0\n1");
        cluster.psql(SUPERUSER, &format!("DROP DATABASE \"{copied}\""));
    }
});

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn what_only_a_superuser_can_do_is_known_before() {
    on_version(15, |cluster| {
        let (database, copied, owner) = ("needy", "needy again", "needy_tad");
        application_database(cluster, database, owner);
        create_role(cluster, "needy_other", "");
        cluster.psql(
            database,
            "CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
             CREATE EVENT TRIGGER watcher ON ddl_command_end EXECUTE FUNCTION on_ddl();
             CREATE TABLE of_other (n int); ALTER TABLE of_other OWNER TO needy_other;
             CREATE TABLE for_other (n int); GRANT SELECT ON for_other TO needy_other;
             ALTER DATABASE needy SET session_preload_libraries = 'auto_explain';
             ALTER ROLE needy_other IN DATABASE needy SET work_mem = '7MB';
             GRANT CREATE ON DATABASE needy TO needy_other WITH GRANT OPTION;
             SET ROLE needy_other; GRANT CREATE ON DATABASE needy TO PUBLIC",
        );
        let memory = Memory::default();
        let mut source =
            DatabaseSource::open(&address(cluster, database), &capture_options(cluster)).unwrap();
        let mut part = source.capture(&memory, &Silent).unwrap();
        drop(source);
        part.application_role = owner.to_owned();
        let alone = DatabaseTarget::new(role(cluster, copied, owner), restore_options(cluster));
        let plan = alone.plan(&part, &memory).unwrap();
        let refused = plan.refused.join("\n");
        for word in ["EVENT TRIGGER watcher", "of_other", "`needy_other`"] {
            assert!(refused.contains(word), "{word}: {refused}");
        }
        let skipped = plan.skipped.join("\n");
        for word in ["session_preload", "`work_mem` of role", "privilege CREATE"] {
            assert!(skipped.contains(word), "{word}: {skipped}");
        }
        let error = alone.run(&plan, &part, &memory, &Silent).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.hint_text().unwrap().contains("bbdd.systemUser"));

        let mut options = restore_options(cluster);
        options.system = Some(address(cluster, SUPERUSER));
        let helped = DatabaseTarget::new(role(cluster, copied, owner), options.clone());
        let plan = helped.plan(&part, &memory).unwrap();
        assert_eq!(plan.refused, Vec::<String>::new());
        assert!(!plan.system_role_needed_for.is_empty());
        helped.run(&plan, &part, &memory, &Silent).unwrap();
        assert_eq!(
            equality::definitions(cluster, database),
            equality::definitions(cluster, copied)
        );
        cluster.psql(SUPERUSER, &format!("DROP DATABASE \"{copied}\""));

        // On a machine that has never heard of one of the roles.
        cluster.psql(SUPERUSER, &format!("DROP DATABASE \"{database}\""));
        cluster.psql(SUPERUSER, "DROP ROLE needy_other");
        let plan = helped.plan(&part, &memory).unwrap();
        assert_eq!(plan.refused, ["there is no role `needy_other` here"]);
        options.ignore_missing_roles = true;
        let lenient = DatabaseTarget::new(role(cluster, copied, owner), options);
        let plan = lenient.plan(&part, &memory).unwrap();
        assert!(plan.skipped.iter().any(|one| one.contains("needy_other")));
        lenient.run(&plan, &part, &memory, &Silent).unwrap();
        let owners = "SELECT relowner::regrole FROM pg_class WHERE relname = 'of_other'";
        assert_eq!(cluster.psql(copied, owners), owner);
    });
}

#[test]
fn what_the_application_role_cannot_read_is_read_by_the_system_role() {
    on_version(15, |cluster| {
        let (database, copied, owner) = ("closed", "closed again", "closed_tad");
        application_database(cluster, database, owner);
        cluster.psql(
            database,
            &format!(
                "CREATE TABLE secret AS SELECT n FROM generate_series(1, 100) n;
                 CREATE TABLE forced AS SELECT n FROM generate_series(1, 100) n;
                 ALTER TABLE forced OWNER TO {owner};
                 ALTER TABLE forced ENABLE ROW LEVEL SECURITY;
                 ALTER TABLE forced FORCE ROW LEVEL SECURITY;
                 CREATE POLICY few ON forced USING (n < 10);
                 CREATE SEQUENCE hidden; SELECT nextval('hidden');
                 SELECT lo_from_bytea(99, 'hidden')"
            ),
        );
        let application = role(cluster, database, owner);
        let error = DatabaseSource::open(&application, &capture_options(cluster))
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.message().contains("\"secret\""), "{error}");
        assert!(error.message().contains("\"forced\""), "{error}");

        let mut options = capture_options(cluster);
        options.system = Some(address(cluster, SUPERUSER));
        let memory = Memory::default();
        let mut source = DatabaseSource::open(&application, &options).unwrap();
        let part = source.capture(&memory, &Silent).unwrap();
        let mut options = restore_options(cluster);
        options.system = Some(address(cluster, SUPERUSER));
        let target = DatabaseTarget::new(role(cluster, copied, owner), options);
        let plan = target.plan(&part, &memory).unwrap();
        target.run(&plan, &part, &memory, &Silent).unwrap();
        assert_eq!(
            equality::rows(cluster, database),
            equality::rows(cluster, copied)
        );
        assert_eq!(
            equality::definitions(cluster, database),
            equality::definitions(cluster, copied)
        );
    });
}
