//! Instances of every shape, in temporary directories.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::config::InstanceSection;

struct Fixture {
    directory: tempfile::TempDir,
    configuration: Configuration,
    environment: Environment,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fixture = Self {
            environment: Environment {
                hostname: "host1".to_owned(),
                ..Environment::default()
            },
            configuration: Configuration::default(),
            directory,
        };
        fs::create_dir_all(fixture.path("erp/config")).unwrap();
        fixture.write("erp/config/Openbravo.properties", &fixture.properties());
        fixture
    }

    fn properties(&self) -> String {
        format!(
            "bbdd.rdbms=POSTGRE\nbbdd.url=jdbc:postgresql://localhost:5432\nbbdd.sid=openbravo\n\
             bbdd.user=tad\nbbdd.password=tad\ncontext.name=openbravo\n\
             source.path={0}/erp\nattach.path={0}/attachments\n",
            self.path("").display().to_string().trim_end_matches('/')
        )
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(relative)
    }

    fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn add(&self, text: &str) {
        self.write(
            "erp/config/Openbravo.properties",
            &(self.properties() + text),
        );
    }

    fn open(&self) -> Result<Instance> {
        Instance::open(&self.path("erp"), &self.environment, &self.configuration)
    }

    fn parts(&self) -> Vec<(Part, PathBuf, Vec<PathBuf>)> {
        let roots = self.open().unwrap().roots();
        roots
            .into_iter()
            .map(|root| (root.part, root.root, root.excluded))
            .collect()
    }
}

#[test]
fn a_plain_instance() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("attachments")).unwrap();
    fixture.write(
        "erp/src-db/database/sourcedata/AD_MODULE.xml",
        "<AD_MODULE_ID><![CDATA[0]]></AD_MODULE_ID><VERSION><![CDATA[3.0.1]]></VERSION></AD_MODULE>",
    );
    let instance = fixture.open().unwrap();
    assert_eq!(instance.name, "openbravo");
    assert_eq!(instance.openbravo_version.as_deref(), Some("3.0.1"));
    assert_eq!(instance.database.name, "openbravo");
    assert!(instance.is_id_derived && instance.id.len() == 32);
    assert!(instance.warnings.is_empty(), "{:?}", instance.warnings);
    assert_eq!(
        fixture.parts(),
        [
            (
                Part::Sources,
                fixture.path("erp"),
                vec![fixture.path("erp/config")]
            ),
            (Part::Attachments, fixture.path("attachments"), vec![]),
            (Part::Configuration, fixture.path("erp/config"), vec![]),
        ]
    );
    assert_eq!(find(&fixture.path("erp/config")), Some(fixture.path("erp")));
}

#[test]
fn the_id_is_stable_and_tells_instances_apart() {
    let mut fixture = Fixture::new();
    let id = fixture.open().unwrap().id;
    assert_eq!(fixture.open().unwrap().id, id);
    fixture.environment.hostname = "host2".to_owned();
    assert_ne!(fixture.open().unwrap().id, id);
    fixture.configuration.instance.id = Some("abc".to_owned());
    let instance = fixture.open().unwrap();
    assert!(instance.id == "abc" && !instance.is_id_derived);
}

#[test]
fn nested_directories_are_stored_once() {
    let fixture = Fixture::new();
    for directory in ["erp/attachments/reprintable", "data", "erp/link"] {
        fs::create_dir_all(fixture.path(directory)).unwrap();
    }
    let path = |relative: &str| fixture.path(relative).display().to_string();
    fixture.add(&format!(
        "attach.path={}\nreprintable.path={}\n",
        path("erp/attachments"),
        path("erp/attachments/reprintable")
    ));
    let parts = fixture.parts();
    assert_eq!(
        parts[0].2,
        [fixture.path("erp/attachments"), fixture.path("erp/config")]
    );
    assert!(
        parts.iter().all(|part| part.0 != Part::Reprintables),
        "inside the attachments"
    );

    // A link in the sources to attachments elsewhere: the link is source, what it shows is not.
    symlink(fixture.path("data"), fixture.path("erp/outside")).unwrap();
    fixture.add(&format!("attach.path={}\n", path("erp/outside")));
    let roots = fixture.open().unwrap().roots();
    assert_eq!(roots[1].root, fixture.path("data"));
    assert_eq!(roots[1].written, fixture.path("erp/outside"));
    assert_eq!(roots[0].excluded, [fixture.path("erp/config")]);

    fixture.add(&format!(
        "attach.path={}\nreprintable.path={}\n",
        path("data"),
        path("erp/link")
    ));
    let parts = fixture.parts();
    assert_eq!(
        parts[0].2,
        [fixture.path("erp/link"), fixture.path("erp/config")]
    );
    assert_eq!(
        parts[2],
        (Part::Reprintables, fixture.path("erp/link"), vec![])
    );

    fixture.add(&format!("attach.path={}\n", path("erp")));
    assert_eq!(
        fixture.open().unwrap_err().kind(),
        ErrorKind::Usage,
        "the sources themselves"
    );
}

#[test]
fn the_host_overrides_unless_a_path_does() {
    let mut fixture = Fixture::new();
    fixture.write(
        "erp/config/host1.Openbravo.properties",
        "bbdd.sid=by_host\n",
    );
    fixture.write(
        "erp/config/node.Openbravo.properties",
        "bbdd.sid=by_machine\n",
    );
    fixture.write("elsewhere", "bbdd.sid=by_path\n");
    assert_eq!(fixture.open().unwrap().database.name, "by_host");
    fixture.environment.machine_name = Some("node".to_owned());
    assert_eq!(fixture.open().unwrap().database.name, "by_machine");
    fixture.environment.properties_path = Some(fixture.path("elsewhere"));
    assert_eq!(fixture.open().unwrap().database.name, "by_path");
    // As Openbravo has it: a path that leads nowhere overrides nothing, and the host is not asked.
    fixture.environment.properties_path = Some(fixture.path("nowhere"));
    assert_eq!(fixture.open().unwrap().database.name, "openbravo");
    fixture.configuration.instance.properties_path = Some(fixture.path("elsewhere"));
    assert_eq!(fixture.open().unwrap().database.name, "by_path");
    fixture.write("elsewhere", "\n\nbbdd.sid=\\u1\n");
    let error = fixture.open().unwrap_err();
    assert!(error.to_string().contains("elsewhere`, line 3"), "{error}");
}

#[test]
fn what_is_no_instance_is_said() {
    let fixture = Fixture::new();
    let open = |path: &str| {
        Instance::open(
            &fixture.path(path),
            &fixture.environment,
            &fixture.configuration,
        )
        .unwrap_err()
    };
    assert_eq!(open("nowhere").kind(), ErrorKind::NotFound);
    let error = open("erp/config");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error.to_string().contains("no config/Openbravo.properties"),
        "{error}"
    );
    assert!(error.hint_text().is_some());
    for (line, word) in [
        ("bbdd.rdbms=ORACLE\n", "Oracle"),
        (
            "attach.path=attachments\n",
            "line 9: `attach.path` is not an absolute path",
        ),
        ("context.name=\n", "line 9: `context.name` has no value"),
        ("context.name=../x\n", "context.name"),
        (
            "bbdd.url=jdbc:oracle:x\n",
            "line 9: `bbdd.url` does not begin",
        ),
    ] {
        fixture.add(line);
        let error = fixture.open().unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn the_deployed_application_is_found() {
    let mut fixture = Fixture::new();
    let deployed = |fixture: &Fixture| fixture.open().unwrap().deploy_path;
    fixture.write(
        "tomcat/webapps/openbravo/WEB-INF/Openbravo.properties",
        &fixture.properties(),
    );
    let webapp = fixture.path("tomcat/webapps/openbravo");
    assert_eq!(deployed(&fixture), None);
    fixture.environment.tomcat_directories = vec![fixture.path("none"), fixture.path("tomcat")];
    assert_eq!(deployed(&fixture), Some(webapp.clone()));
    fixture.environment.tomcat_directories.clear();
    fixture.environment.catalina_home = Some(fixture.path("tomcat"));
    assert_eq!(deployed(&fixture), Some(webapp.clone()));
    assert!(
        fixture
            .parts()
            .iter()
            .any(|part| part.0 == Part::Deploy && part.1 == webapp)
    );
    fixture.environment.catalina_base = Some(fixture.path("other"));
    assert_eq!(deployed(&fixture), None);
    fixture.configuration.instance = InstanceSection {
        deploy_path: Some(webapp.clone()),
        ..InstanceSection::default()
    };
    assert_eq!(deployed(&fixture), Some(webapp.clone()));

    // Another instance's application under the same name is not ours.
    fixture.configuration = Configuration::default();
    fixture.environment.catalina_base = Some(fixture.path("tomcat"));
    fixture.write(
        "tomcat/webapps/openbravo/WEB-INF/Openbravo.properties",
        "source.path=/opt/other\n",
    );
    let instance = fixture.open().unwrap();
    assert_eq!(instance.deploy_path, None);
    assert!(
        instance
            .warnings
            .iter()
            .any(|warning| warning.contains("/opt/other"))
    );
}

#[test]
fn a_repository_and_an_instance_stay_apart() {
    let fixture = Fixture::new();
    for directory in ["attachments", "repository", "erp/src"] {
        fs::create_dir_all(fixture.path(directory)).unwrap();
    }
    symlink(fixture.path("erp/src"), fixture.path("looks-outside")).unwrap();
    symlink(fixture.path("repository"), fixture.path("erp/looks-inside")).unwrap();
    let instance = fixture.open().unwrap();
    let check = |path: &str| check_nesting(fixture.path(path).to_str().unwrap(), &instance);
    for inside in [
        "erp",
        "erp/new/repository",
        "attachments/repository",
        "looks-outside/new",
        "repository/../erp/x",
        "",
    ] {
        let error = check(inside).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{inside}");
    }
    for outside in [
        "repository",
        "repository/new",
        "erp2",
        "erp/looks-inside/new",
    ] {
        check(outside).unwrap();
    }
}

#[test]
fn configured_exclusions_belong_to_the_sources() {
    let mut fixture = Fixture::new();
    fixture.configuration.backup.exclude = vec!["scratch".to_owned()];
    assert_eq!(
        fixture.parts()[0].2,
        [fixture.path("erp/config"), fixture.path("erp/scratch")]
    );
}
