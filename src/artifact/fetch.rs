//! Fetching an artifact from its origin.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, RANGE};
use rustix::fs::OFlags;
use tokio::time::{Instant, timeout_at};

use super::Artifact;
use super::verify::sha256;
use crate::http::{Http, HttpError};
use crate::protocol::Sha256;

/// Why an artifact could not be fetched. The file it is for is untouched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The lock file does not say from where.
    #[error("it has no `origin`")]
    NoOrigin,
    /// The origin could not be reached or did not give the file.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The origin gave less than it should; what came is kept, and the next fetch goes on there.
    #[error("{got} of {size} bytes came; fetch again to go on from there")]
    Short {
        /// What came.
        got: u64,
        /// What should have.
        size: u64,
    },
    /// It came too slowly; what came is kept, and the next fetch goes on there.
    #[error("{got} of {size} bytes came within {} s, which is too slow; fetch again to go on from there", .limit.as_secs())]
    Slow {
        /// What came.
        got: u64,
        /// What should have.
        size: u64,
        /// How long that took.
        limit: Duration,
    },
    /// Something else came.
    #[error("what came has the sha256 {0}, not the one in the lock file; it was thrown away")]
    Content(Sha256),
    /// It could not be written.
    #[error("cannot write `{path}`: {source}")]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Fetches an artifact to `path`: beside it first, and there only when it is known to be right.
/// `progress` is told how many bytes of it there are.
///
/// # Errors
/// When it does not come or is not what the lock file says.
pub async fn fetch(
    http: &Http,
    artifact: &Artifact,
    path: &Path,
    progress: impl Fn(u64),
) -> Result<(), FetchError> {
    let origin = artifact.origin.as_ref().ok_or(FetchError::NoOrigin)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let failed = |source| FetchError::Write {
        path: part.clone(),
        source,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = open_part(&part).map_err(failed)?;
    let mut have = file.metadata().map_err(failed)?.len();
    if have > artifact.size {
        file.set_len(0).map_err(failed)?;
        have = 0;
    }
    if have < artifact.size {
        download(
            http,
            origin,
            artifact.size,
            &mut file,
            have,
            &failed,
            &progress,
        )
        .await?;
    }
    file.sync_all().map_err(failed)?;
    // Of what was written, whatever the name stands for by now.
    file.rewind().map_err(failed)?;
    let found = file.try_clone().and_then(sha256).map_err(failed)?;
    if found != artifact.sha256 {
        // Going on from here would end here again.
        fs::remove_file(&part).map_err(failed)?;
        return Err(FetchError::Content(found));
    }
    fs::rename(&part, path).map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}

/// The file for what has come so far: our own, and nothing that somebody put there.
fn open_part(part: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(part)
        .map_err(|error| match error.raw_os_error() {
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => {
                foreign("it is a link", part)
            }
            _ => error,
        })?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(foreign("it is no regular file", part));
    }
    if found.nlink() > 1 {
        return Err(foreign("it has another name as well", part));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(foreign("it belongs to somebody else", part));
    }
    Ok(file)
}

fn foreign(reason: &str, part: &Path) -> io::Error {
    io::Error::other(format!("{reason}; remove it: `rm {}`", part.display()))
}

async fn download(
    http: &Http,
    origin: &str,
    size: u64,
    file: &mut File,
    mut have: u64,
    failed: &impl Fn(io::Error) -> FetchError,
    progress: &impl Fn(u64),
) -> Result<(), FetchError> {
    let mut request = http.get(origin);
    if have > 0 {
        request = request.header(RANGE, format!("bytes={have}-"));
    }
    let mut response = http.send(request).await?;
    let continued = response.status() == StatusCode::PARTIAL_CONTENT
        && response
            .headers()
            .get(CONTENT_RANGE)
            .and_then(|range| range.to_str().ok())
            .is_some_and(|range| range.starts_with(&format!("bytes {have}-")));
    match response.status() {
        StatusCode::PARTIAL_CONTENT if continued => {}
        StatusCode::OK => {
            // It does not do ranges: from the beginning.
            file.set_len(0).map_err(failed)?;
            have = 0;
        }
        _ => return Err(http.refusal(response).await.into()),
    }
    progress(have);
    let limit = http.limit(size - have);
    let until = Instant::now() + limit;
    // A connection that broke and one that ended early leave the same behind.
    loop {
        let chunk = match timeout_at(until, response.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(_) => break,
            Err(_) => {
                let got = have;
                return Err(FetchError::Slow { got, size, limit });
            }
        };
        if have + chunk.len() as u64 > size {
            return Err(HttpError::TooLong(size).into());
        }
        file.write_all(&chunk).map_err(failed)?;
        have += chunk.len() as u64;
        progress(have);
    }
    if have < size {
        return Err(FetchError::Short { got: have, size });
    }
    Ok(())
}
