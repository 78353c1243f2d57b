//! The data directory: there or to be made, this user's alone, and used by nobody or by a service that runs.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, access},
    process::geteuid,
};

use super::Finding;
use crate::config::DataDir;

const CHECK: &str = "data directory";
/// What only the owner may have.
const OTHERS: u32 = 0o077;

/// The data directory while it is checked.
pub(super) struct Place {
    pub(super) findings: Vec<Finding>,
    /// Where it is, if further probes can use it.
    pub(super) usable: Option<PathBuf>,
    /// A service runs there.
    pub(super) is_in_use: bool,
    /// Removed with this.
    _made: Made,
}

/// Directories that were made, the outermost first; removed when dropped.
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for dir in self.0.iter().rev() {
            // It is not empty where a service began meanwhile, and needed then.
            let _ = fs::remove_dir(dir);
        }
    }
}

/// Looks at the directory, which is made where it is missing until the place is dropped.
pub(super) fn look(path: &Path) -> Place {
    let was_there = path.exists();
    let mut place = Place { findings: Vec::new(), usable: None, is_in_use: false, _made: Made(Vec::new()) };
    if let Err((dir, error)) = make(path, &mut place._made) {
        place.findings.push(Finding::fail(
            CHECK,
            format!("{} cannot be made: {}: {error}", path.display(), dir.display()),
            "let the service's user write there, or set another `data_dir`",
        ));
        return place;
    }
    match DataDir::is_in_use(path) {
        Ok(is_in_use) => place.is_in_use = is_in_use,
        Err(error) => {
            place.findings.push(Finding::fail(CHECK, error.to_string(), "mend it as the message says"));
            return place;
        }
    }
    let found = examine(path, was_there, place.is_in_use);
    if found.status != super::Status::Fail {
        place.usable = Some(path.to_owned());
    }
    place.findings.push(found);
    place
}

/// Makes the directory and those that it lies in, as the service does; where that fails, which of them failed.
fn make(path: &Path, made: &mut Made) -> Result<(), (PathBuf, io::Error)> {
    let missing: Vec<&Path> = path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    for dir in missing.into_iter().rev() {
        DirBuilder::new().mode(0o700).create(dir).map_err(|error| (dir.to_owned(), error))?;
        made.0.push(dir.to_owned());
    }
    Ok(())
}

fn examine(path: &Path, was_there: bool, is_in_use: bool) -> Finding {
    let shown = path.display();
    let metadata = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => return Finding::fail(CHECK, format!("{shown} is no directory"), "set `data_dir` to one"),
        Err(error) => return Finding::fail(CHECK, format!("{shown}: {error}"), "set another `data_dir`"),
    };
    if let Err(error) = access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        let fact = format!("{shown} cannot be used by this user: {}", io::Error::from(error));
        return Finding::fail(CHECK, fact, "run this as the service's user, and let that user read and write there");
    }
    let (mode, owner, user) = (metadata.permissions().mode() & 0o777, metadata.uid(), geteuid().as_raw());
    if owner != user {
        let fact = format!("{shown} belongs to user {owner}, and this runs as user {user}");
        return Finding::warn(CHECK, fact, "run this as the service's user: it may find other rights");
    }
    if mode & OTHERS != 0 {
        let fact = format!("{shown} has the mode {mode:04o}: others of this machine may enter it");
        return Finding::warn(CHECK, fact, format!("run: chmod 0700 {shown}"));
    }
    if is_in_use {
        return Finding::ok(CHECK, format!("{shown}, mode {mode:04o}, in use by a running service"));
    }
    let state = if was_there { "is there" } else { "is missing, and the service can make it" };
    Finding::ok(CHECK, format!("{shown} {state}, mode {mode:04o}"))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::cli::check::Status;

    #[test]
    fn what_was_made_is_gone_afterwards() {
        let parent = TempDir::new().unwrap();
        let path = parent.path().join("a/b/data");
        let place = look(&path);
        assert_eq!(place.findings[0].status, Status::Ok, "{:?}", place.findings);
        assert_eq!(place.usable.as_deref(), Some(path.as_path()));
        assert!(path.is_dir());
        drop(place);
        assert!(!parent.path().join("a").exists());
        let there = TempDir::with_prefix("there").unwrap();
        drop(look(there.path()));
        assert!(there.path().is_dir(), "what was there stays");
    }

    #[test]
    fn a_directory_in_use_is_told_and_no_failure() {
        let parent = TempDir::new().unwrap();
        let path = parent.path().join("data");
        let _running = DataDir::open(&path).unwrap();
        let place = look(&path);
        assert!(place.is_in_use && place.usable.is_some());
        assert_eq!(place.findings[0].status, Status::Ok);
        assert!(place.findings[0].fact.contains("in use by a running service"), "{:?}", place.findings);
    }

    #[test]
    fn an_open_mode_is_a_warning_and_a_file_a_failure() {
        let parent = TempDir::new().unwrap();
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let place = look(parent.path());
        assert_eq!(place.findings[0].status, Status::Warn);
        assert!(place.findings[0].fact.contains("0750"), "{:?}", place.findings);
        assert!(place.findings[0].advice.as_ref().unwrap().starts_with("run: chmod 0700 "));

        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below")] {
            let place = look(&path);
            assert_eq!((place.findings[0].status, &place.usable), (Status::Fail, &None), "{:?}", place.findings);
        }
    }

    #[test]
    fn a_damaged_identity_is_a_failure() {
        let parent = TempDir::new().unwrap();
        fs::write(parent.path().join("identity"), "1 0").unwrap();
        let place = look(parent.path());
        assert_eq!(place.findings[0].status, Status::Fail);
        assert!(place.findings[0].fact.contains("damaged"), "{:?}", place.findings);
    }
}
