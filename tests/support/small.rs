//! The smallest instance that has one of each part: made, changed and compared in milliseconds.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use obbackup::codec::Compression;
use obbackup::command::backup::{self, BackupOptions};
use obbackup::command::restore::{
    self, Control, Destination, RestoreOptions, Restored, recovery, undo,
};
use obbackup::command::surroundings::Surroundings;
use obbackup::command::throttle::Throttle;
use obbackup::config::Configuration;
use obbackup::error::Result;
use obbackup::format::manifest::BackupType;
use obbackup::instance::{Environment, Instance};
use obbackup::progress::{Progress, Silent};
use obbackup::repository::Repository;
use obbackup::storage::Storage;
use obbackup::storage::faulty::{Fault, Faulty, Operations};
use obbackup::storage::local::Local;

use super::application::FileApplication;
use super::programs;

/// The application's role and its password.
const ROLE: &str = "small";

/// In place, for want of room.
pub const WITHOUT_ROOM: Destination = Destination::InPlace {
    safety_backup: true,
    keeps_old: false,
};

/// Everything that a restore must bring back, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Rows, definitions and settings.
    pub database: String,
    /// Path, kind, mode and content of each file outside of what restores keep.
    pub files: BTreeMap<String, String>,
}

/// An instance on a server, with a repository and an application beside it.
pub struct Small {
    pub directory: PathBuf,
    pub database: String,
    pub application: FileApplication,
    /// A directory of client programs in the place of those at hand.
    pub programs: Option<PathBuf>,
    /// The read of the repository, counted from 0, before which the process dies.
    pub dies_at_read: Option<u64>,
    server: postgres::Config,
}

impl Small {
    /// Makes one: a new database on the server that `server` connects to as superuser, files in `directory`.
    pub fn create(server: &postgres::Config, directory: &Path, database: &str) -> Self {
        let small = Self::at(server, directory, database);
        small.sql(
            "postgres",
            &format!(
                "DO $$ BEGIN CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{ROLE}'; \
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            ),
        );
        small.sql(
            "postgres",
            &format!("CREATE DATABASE {database} OWNER {ROLE} TEMPLATE template0"),
        );
        small.sql(
            database,
            &format!(
                "SET ROLE {ROLE}; \
                 CREATE TABLE ad_system_info (ad_system_info_id varchar(32), system_status varchar(60)); \
                 INSERT INTO ad_system_info VALUES ('0', 'RB70'); \
                 CREATE TABLE c_order (c_order_id int PRIMARY KEY, note text, updated timestamp DEFAULT now(), \
                    created timestamp DEFAULT now()); \
                 CREATE VIEW c_order_v AS SELECT note FROM c_order; \
                 INSERT INTO c_order SELECT n, 'backed up ' || n FROM generate_series(1, 20) n"
            ),
        );
        let files = [
            ("openbravo/build.xml", "<project/>"),
            ("openbravo/src/A.java", "class A {} // backed up"),
            ("openbravo/modules/m/Gone.java", "class Gone {}"),
            ("openbravo/build/A.class", "made by a build"),
            (
                "tomcat/webapps/openbravo/index.html",
                "<html>backed up</html>",
            ),
            ("attachments/259/a.txt", "backed up"),
        ];
        for (path, content) in files {
            small.write(path, content);
        }
        small.write_properties();
        Repository::init(
            Arc::new(Local::new(directory.join("repository"))),
            Compression::Zstd,
        )
        .unwrap();
        small.application.bring_up();
        small
    }

    /// The one that [`Self::create`] made, for another process.
    pub fn at(server: &postgres::Config, directory: &Path, database: &str) -> Self {
        Self {
            directory: directory.to_owned(),
            database: database.to_owned(),
            application: FileApplication::at(&directory.join("application")),
            programs: None,
            dies_at_read: None,
            server: server.clone(),
        }
    }

    fn write_properties(&self) {
        let port = self.server.get_ports()[0];
        let text = format!(
            "context.name=openbravo\nattach.path={0}/attachments\nsource.path={0}/openbravo\n\
             bbdd.rdbms=POSTGRE\nbbdd.url=jdbc:postgresql://127.0.0.1:{port}\nbbdd.sid={1}\n\
             bbdd.user={ROLE}\nbbdd.password={ROLE}\nbbdd.systemUser=postgres\nbbdd.systemPassword={2}\n",
            self.directory.display(),
            self.database,
            String::from_utf8_lossy(self.server.get_password().unwrap_or_default()),
        );
        self.write("openbravo/config/Openbravo.properties", &text);
        self.write(
            "tomcat/webapps/openbravo/WEB-INF/Openbravo.properties",
            &text,
        );
    }

    /// The server listens elsewhere now.
    pub fn moved_to(&mut self, server: &postgres::Config) {
        let old = format!("127.0.0.1:{}", self.server.get_ports()[0]);
        self.server = server.clone();
        let new = format!("127.0.0.1:{}", self.server.get_ports()[0]);
        let path = self.sources().join("config/Openbravo.properties");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace(&old, &new)).unwrap();
    }

    /// Waits until nobody is connected any more: a session that was closed takes a moment.
    pub fn wait_for_no_sessions(&self) {
        let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1";
        let mut client = self.connect("postgres");
        while client
            .query_one(query, &[&self.database])
            .unwrap()
            .get::<_, i64>(0)
            > 0
        {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Writes a file of the instance.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// What users and developers did since the backup; the same each time, whatever was there.
    pub fn change(&self, word: &str) {
        self.sql(
            &self.database,
            &format!(
                "DELETE FROM c_order; INSERT INTO c_order SELECT n, '{word} ' || n FROM generate_series(5, 25) n"
            ),
        );
        self.sql(
            "postgres",
            &format!(
                "ALTER DATABASE {0} SET work_mem = '7MB'; COMMENT ON DATABASE {0} IS 'of this machine'; \
                 GRANT CONNECT ON DATABASE {0} TO pg_monitor",
                self.database
            ),
        );
        self.write("openbravo/src/A.java", &format!("class A {{}} // {word}"));
        self.write("openbravo/stray", word);
        fs::remove_dir_all(self.directory.join("openbravo/modules/m")).ok();
        // Not where it is a mount point.
        fs::remove_dir(self.directory.join("openbravo/modules")).ok();
        self.write(
            "tomcat/webapps/openbravo/index.html",
            &format!("<html>{word}</html>"),
        );
        self.write("attachments/260/b.txt", word);
        fs::remove_dir_all(self.directory.join("attachments/259")).ok();
    }

    /// Takes a backup and returns its id's digits.
    pub fn back_up(&self) -> String {
        let options = BackupOptions {
            backup_type: BackupType::Manual,
            label: None,
            pin: false,
            only: std::collections::BTreeSet::new(),
            read_all: false,
        };
        let taken = backup::run(
            &self.instance(),
            &self.repository(),
            &options,
            &self.surroundings(),
            &Silent,
        )
        .unwrap();
        taken.summary.id.to_hex()
    }

    pub fn instance(&self) -> Instance {
        let environment = Environment {
            hostname: "host".to_owned(),
            catalina_base: Some(self.directory.join("tomcat")),
            ..Environment::default()
        };
        Instance::open(&self.sources(), &environment, &Configuration::default()).unwrap()
    }

    pub fn sources(&self) -> PathBuf {
        self.directory.join("openbravo")
    }

    pub fn repository(&self) -> Repository {
        let storage = Local::new(self.directory.join("repository"));
        let storage: Arc<dyn Storage> = match self.dies_at_read {
            Some(at) => Arc::new(Faulty::at(
                Arc::new(storage),
                Operations::Reads,
                at,
                Fault::KillBefore,
            )),
            None => Arc::new(storage),
        };
        Repository::open(storage).unwrap()
    }

    pub fn surroundings(&self) -> Surroundings {
        Surroundings {
            jobs: 1,
            program_directories: self
                .programs
                .clone()
                .or_else(|| programs::client_for(15))
                .into_iter()
                .collect(),
            work_directory: std::env::temp_dir(),
            throttle: Throttle::default(),
            cache_directory: None,
        }
    }

    /// Restores a backup in place, without a backup of the present state.
    pub fn restore(&self, id: &str, control: Control<'_>) -> Result<Restored> {
        self.restore_with(id, control, &Silent)
    }

    pub fn restore_with(
        &self,
        id: &str,
        control: Control<'_>,
        progress: &dyn Progress,
    ) -> Result<Restored> {
        let destination = Destination::InPlace {
            safety_backup: false,
            keeps_old: true,
        };
        self.restore_to(id, destination, control, progress)
    }

    /// Restores where there is no room to keep the old state, with the backup that is the only way back.
    pub fn restore_without_room(&self, id: &str, control: Control<'_>) -> Result<Restored> {
        self.restore_to(id, WITHOUT_ROOM, control, &Silent)
    }

    pub fn restore_to(
        &self,
        id: &str,
        destination: Destination,
        control: Control<'_>,
        progress: &dyn Progress,
    ) -> Result<Restored> {
        let repository = self.repository();
        let options = RestoreOptions {
            destination,
            only: std::collections::BTreeSet::new(),
            paths: Vec::new(),
            neutralize: false,
        };
        restore::replace(
            Some(&self.instance()),
            &repository,
            &repository.resolve(id, None).unwrap(),
            &options,
            &self.surroundings(),
            control,
            progress,
        )
    }

    /// Undoes the last restore, without a backup of the present state.
    pub fn undo(&self, control: Control<'_>) -> Result<undo::Undone> {
        undo::run(
            &self.instance(),
            None,
            &self.surroundings(),
            control,
            &Silent,
        )
    }

    /// What the next command does before anything else.
    pub fn recover(&self) -> Result<Option<recovery::Recovered>> {
        self.recover_with(self.control())
    }

    pub fn recover_with(&self, control: Control<'_>) -> Result<Option<recovery::Recovered>> {
        recovery::recover(&self.instance(), &self.surroundings(), control, &Silent)
    }

    /// With the application, and nothing going wrong.
    pub fn control(&self) -> Control<'_> {
        Control::of(Some(&self.application))
    }

    /// How everything is now.
    pub fn state(&self) -> State {
        let query = "SELECT string_agg(c_order_id || note, ';' ORDER BY c_order_id), \
            (SELECT string_agg(note, ';' ORDER BY note) FROM c_order_v), \
            (SELECT string_agg(system_status, ';') FROM ad_system_info), \
            (SELECT string_agg(setconfig::text, ';') FROM pg_db_role_setting s JOIN pg_database d \
                ON d.oid = s.setdatabase WHERE d.datname = current_database()), \
            (SELECT shobj_description(oid, 'pg_database') || datallowconn || datconnlimit \
                || (SELECT string_agg(x::text, ',' ORDER BY x::text) FROM unnest(datacl) x) FROM pg_database WHERE datname = current_database()) FROM c_order";
        let row = self.connect(&self.database).query_one(query, &[]).unwrap();
        let fields = (0..row.len()).map(|column| row.get::<_, Option<String>>(column));
        let mut files = BTreeMap::new();
        for part in ["openbravo", "tomcat/webapps/openbravo", "attachments"] {
            collect(&self.directory.join(part), part, &mut files);
        }
        State {
            database: format!("{:?}", fields.collect::<Vec<_>>()),
            files,
        }
    }

    /// The instance's databases besides the live one.
    pub fn other_databases(&self) -> Vec<String> {
        let rows = self
            .connect("postgres")
            .query(
                "SELECT datname::text FROM pg_database WHERE datname LIKE $1 ORDER BY 1",
                &[&format!("{}\\_%", self.database)],
            )
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Forgets every kept state, so that the next round begins as the first did.
    pub fn forget_kept(&self) {
        for database in self.other_databases() {
            self.sql(
                "postgres",
                &format!("DROP DATABASE \"{database}\" WITH (FORCE)"),
            );
        }
        for part in ["openbravo", "attachments"] {
            fs::remove_dir_all(self.directory.join(part).join(".obbackup")).ok();
        }
    }

    pub fn sql(&self, database: &str, sql: &str) {
        self.connect(database)
            .batch_execute(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    pub fn connect(&self, database: &str) -> postgres::Client {
        let mut config = self.server.clone();
        config.dbname(database);
        config
            .connect(postgres::NoTls)
            .unwrap_or_else(|error| panic!("{database}: {error:?}"))
    }
}

/// Path, mode, owner and content; directories have their time as well where a restore sets it.
fn collect(directory: &Path, shown: &str, files: &mut BTreeMap<String, String>) {
    let metadata = fs::metadata(directory).unwrap();
    files.insert(
        format!("{shown}/"),
        format!("{:o} {}", metadata.mode(), metadata.uid()),
    );
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let (path, shown) = (entry.path(), format!("{shown}/{name}"));
        if name == ".obbackup" {
            continue;
        }
        if path.is_dir() {
            collect(&path, &shown, files);
        } else {
            let mode = fs::metadata(&path).unwrap().mode();
            let content = fs::read_to_string(&path).unwrap();
            // A server that was started again listens elsewhere.
            let content: Vec<_> = content
                .lines()
                .filter(|line| !line.starts_with("bbdd.url="))
                .collect();
            let content = content.join("\n");
            files.insert(shown, format!("{mode:o} {content}"));
        }
    }
}
