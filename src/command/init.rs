//! Making a repository and writing down which instance it is for.

use std::path::PathBuf;

use serde::Serialize;

use crate::codec::Compression;
use crate::config::{ConfigurationFile, RepositorySection};
use crate::error::Result;
use crate::instance::{Instance, check_nesting};
use crate::repository::Repository;
use crate::storage;

/// What `init` made.
#[derive(Debug, Clone, Serialize)]
pub struct Initialized {
    /// Where the repository is.
    pub repository: String,
    /// Its id.
    pub repository_id: String,
    /// How it compresses.
    pub compression: Compression,
    /// The configuration that names it, unless there is no instance.
    pub configuration: Option<PathBuf>,
    /// The instance's id.
    pub instance_id: Option<String>,
}

/// The name under which `init` writes the first repository down.
const FIRST_NAME: &str = "main";

/// Makes the repository that `section` says and, with an instance, names it in that instance's configuration.
///
/// The repository comes first: a configuration never names one that is not there.
pub fn init(
    section: &RepositorySection,
    compression: Compression,
    instance: Option<&Instance>,
    configuration: Option<&mut ConfigurationFile>,
) -> Result<Initialized> {
    let storage = storage::open(section, instance.map(|instance| instance.owner))?;
    if let Some(instance) = instance {
        check_nesting(&storage.location(), instance)?;
    }
    let repository = Repository::init(storage, compression)?;
    let location = repository.storage().location();
    let mut written = None;
    if let (Some(instance), Some(file)) = (instance, configuration) {
        file.set_instance_id(&instance.id)?;
        let known = &file.configuration().repository;
        // One that was named in the file has its section, and may have more in it than its url.
        if known
            .values()
            .all(|other| other.url != section.url && other.url != location)
        {
            let mut name = FIRST_NAME.to_owned();
            let mut number = 2;
            while known.contains_key(&name) {
                name = format!("{FIRST_NAME}-{number}");
                number += 1;
            }
            file.add_repository(&name, &location, false)?;
        }
        file.save(instance.owner)?;
        written = Some(file.path().to_owned());
    }
    Ok(Initialized {
        repository: location,
        repository_id: repository.header().id.clone(),
        compression,
        configuration: written,
        instance_id: instance.map(|instance| instance.id.clone()),
    })
}
