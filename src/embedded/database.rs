//! The file that survives a restart: JSON values in tables of an embedded database.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::{Database, Error, ReadableTable, Table, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A table of JSON values under text keys.
pub type JsonTable = TableDefinition<'static, &'static str, &'static [u8]>;

/// Opens the database at `path`; made where there is none yet.
///
/// # Errors
/// When it is in use by another process, damaged, or out of reach.
pub fn open(path: &Path, tables: &[JsonTable]) -> Result<Database, Error> {
    // Only hashes, but of passwords too: nobody else's business.
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    let database = Database::builder().create_file(file.map_err(Error::Io)?)?;
    let write = database.begin_write()?;
    for table in tables {
        // Made now, so that no reader has to ask whether it exists.
        write.open_table(*table)?;
    }
    write.commit()?;
    Ok(database)
}

/// The value under `key`.
///
/// # Errors
/// When the database fails or the value is no such JSON.
pub fn get<T: DeserializeOwned>(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<T>, Error> {
    table
        .get(key)?
        .map(|value| parsed(value.value()))
        .transpose()
}

/// Writes `value` under `key`.
///
/// # Errors
/// When the database fails.
pub fn put<T: Serialize>(
    table: &mut Table<'_, &'static str, &'static [u8]>,
    key: &str,
    value: &T,
) -> Result<(), Error> {
    let bytes = serde_json::to_vec(value).map_err(|error| Error::Corrupted(error.to_string()))?;
    table.insert(key, bytes.as_slice())?;
    Ok(())
}

/// A stored value, read.
///
/// # Errors
/// When it is no such JSON.
pub fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Corrupted(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_is_its_owners_alone_and_one_process_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.redb");
        let database = open(&path, &[]).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(matches!(open(&path, &[]), Err(Error::DatabaseAlreadyOpen)));
        drop(database);
        assert!(open(&path, &[]).is_ok());
    }
}
