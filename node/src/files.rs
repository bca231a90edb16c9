//! Files that people and nodes share: read within bounds, written whole or not at all.

use std::{
    fs::{File, Permissions},
    io::{self, Read as _, Write as _},
    path::Path,
};

use tempfile::NamedTempFile;

/// The text of a file, or `None` where it is longer than `limit` bytes.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<Option<String>> {
    let mut text = String::new();
    File::open(path)?.take(limit + 1).read_to_string(&mut text)?;
    Ok((text.len() as u64 <= limit).then_some(text))
}

/// Writes a file of this mode, in place of one that is there: under another name first, so that there is never
/// half of it.
///
/// # Errors
/// Where it cannot be written; what was there is there still.
pub(crate) fn replace(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    written(path, text, mode)?.persist(path)?;
    sync_folder(path)
}

/// The same for a file that is not there yet.
///
/// # Errors
/// Where it cannot be written, or exists: then it is as it was.
pub(crate) fn create(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    written(path, text, mode)?.persist_noclobber(path)?;
    sync_folder(path)
}

fn written(path: &Path, text: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".consort-");
    #[cfg(unix)]
    let mode = <Permissions as std::os::unix::fs::PermissionsExt>::from_mode(mode);
    #[cfg(unix)]
    builder.permissions(mode);
    let mut file = builder.tempfile_in(folder(path))?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// A rename is on disk once its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_a_new_one_overwrites_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        create(&path, b"one", 0o600).unwrap();
        let refused = create(&path, b"two", 0o600).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        replace(&path, b"three", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing else is left");
        assert!(replace(&home.path().join("nowhere").join("file"), b"x", 0o600).is_err());
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        create(&path, b"four", 0o600).unwrap();
        assert_eq!(read_bounded(&path, 4).unwrap().as_deref(), Some("four"));
        assert_eq!(read_bounded(&path, 3).unwrap(), None);
        assert!(read_bounded(Path::new("/dev/zero"), 10).is_ok_and(|text| text.is_none()));
    }
}
