//! The embedded database: one file with tables of JSON values.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::{Database, Error, ReadableTable, Table, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A table with text keys and JSON values.
pub type JsonTable = TableDefinition<'static, &'static str, &'static [u8]>;

/// Opens the database at `path` with `tables`, and creates what does not exist. Only the owner of
/// the file can read it.
///
/// # Errors
/// If another process uses the database, or if it is damaged or cannot be accessed.
pub fn open(path: &Path, tables: &[JsonTable]) -> Result<Database, Error> {
    // The file contains only hashes, but also those of passwords.
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
        // Created here, so that readers can rely on the table.
        write.open_table(*table)?;
    }
    write.commit()?;
    Ok(database)
}

/// The value under `key`, if there is one.
///
/// # Errors
/// If the database fails, or if the value is not the JSON of a `T`.
pub fn get<T: DeserializeOwned>(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<T>, Error> {
    table
        .get(key)?
        .map(|value| decode(value.value()))
        .transpose()
}

/// Stores `value` under `key`.
///
/// # Errors
/// If the database fails.
pub fn put<T: Serialize>(
    table: &mut Table<'_, &'static str, &'static [u8]>,
    key: &str,
    value: &T,
) -> Result<(), Error> {
    let bytes = serde_json::to_vec(value).map_err(|error| Error::Corrupted(error.to_string()))?;
    table.insert(key, bytes.as_slice())?;
    Ok(())
}

/// Decodes a stored value.
///
/// # Errors
/// If it is not the JSON of a `T`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Corrupted(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_is_private_and_one_process_can_open_it() {
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
