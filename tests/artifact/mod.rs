//! Fetching artifacts, and whether what is there is what was meant.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use fleet::artifact::{ArtifactLock, FetchError, Found, LOCK_FILE, fetch, verify};
use fleet::http::{Http, Options};
use fleet::protocol::Sha256;

use crate::cli::{Ended, Fleet};
use crate::image::server::{Answer, Server};

const CONTENT: &[u8] = b"the bytes of a package, more or less";

/// A lock file with one artifact that comes from `server`, and the fetch of it.
struct Project {
    folder: tempfile::TempDir,
    lock: ArtifactLock,
}

impl Project {
    fn new(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK_FILE);
        let text = format!(
            "a: {{file: rpms/a.rpm, size: {}, sha256: {}, origin: \"http://{}/a.rpm\"}}\n",
            CONTENT.len(),
            Sha256::of(CONTENT),
            server.address
        );
        fs::write(&path, text).unwrap();
        let lock = ArtifactLock::load(&path).unwrap();
        Self { folder, lock }
    }

    fn fetch(&self) -> Result<(), FetchError> {
        let options = Options {
            patience: Duration::from_millis(500),
            pause: Duration::from_millis(1),
            tries: 2,
            ..Options::default()
        };
        let http = Http::new(options).unwrap();
        let artifact = &self.lock.artifacts["a"];
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(fetch(&http, artifact, &self.lock.path(artifact), |_| {}))
    }

    fn found(&self) -> Found {
        let artifact = &self.lock.artifacts["a"];
        verify(&self.lock.path(artifact), artifact).unwrap()
    }

    fn part(&self) -> Option<Vec<u8>> {
        fs::read(self.folder.path().join("rpms/a.rpm.part")).ok()
    }
}

#[test]
fn what_is_there_is_told_apart() {
    let server = Server::plain(|_| Answer::new(200, CONTENT));
    let project = Project::new(&server);
    assert_eq!(project.found(), Found::Missing);
    project.fetch().unwrap();
    assert_eq!((project.found(), project.part()), (Found::Good, None));
    let path = project.folder.path().join("rpms/a.rpm");
    let mut changed = CONTENT.to_vec();
    changed[0] ^= 1;
    fs::write(&path, &changed).unwrap();
    assert_eq!(project.found(), Found::Content(Sha256::of(&changed)));
    fs::write(&path, "short").unwrap();
    assert_eq!(project.found(), Found::Size(5));
}

#[test]
fn a_fetch_that_was_cut_off_goes_on_where_it_ended() {
    let server = Server::plain(|request| match request.header("range") {
        None => Answer {
            length: Some(CONTENT.len()),
            ..Answer::new(200, &CONTENT[..10])
        },
        Some("bytes=10-") => Answer::new(206, &CONTENT[10..]).with(
            "content-range",
            format!("bytes 10-{}/{}", CONTENT.len() - 1, CONTENT.len()),
        ),
        Some(other) => panic!("{other} was asked for"),
    });
    let project = Project::new(&server);
    let error = project.fetch().unwrap_err();
    assert!(
        matches!(error, FetchError::Short { got: 10, .. }),
        "{error}"
    );
    assert_eq!(
        (project.found(), project.part().as_deref()),
        (Found::Missing, Some(&CONTENT[..10]))
    );
    project.fetch().unwrap();
    assert_eq!((project.found(), project.part()), (Found::Good, None));
}

#[test]
fn what_somebody_put_in_the_place_of_the_part_is_not_written_to() {
    let server = Server::plain(|_| Answer::new(200, CONTENT));
    let project = Project::new(&server);
    let folder = project.folder.path().join("rpms");
    let (part, precious) = (folder.join("a.rpm.part"), folder.join("precious"));
    fs::create_dir(&folder).unwrap();
    for put in [
        |precious: &Path, part: &Path| std::os::unix::fs::symlink(precious, part),
        |precious: &Path, part: &Path| fs::hard_link(precious, part),
        |_: &Path, part: &Path| {
            let made = rustix::fs::mknodat(
                rustix::fs::CWD,
                part,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::from(0o600),
                0,
            );
            Ok(made?)
        },
    ] {
        fs::write(&precious, "precious").unwrap();
        put(&precious, &part).unwrap();
        let error = project.fetch().unwrap_err().to_string();
        let way_out = format!("remove it: `rm {}`", part.display());
        assert!(
            error.contains(&way_out) || error.contains("No such device"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
        fs::remove_file(&part).unwrap();
    }
    project.fetch().unwrap();
}

#[test]
fn a_server_that_sends_a_byte_now_and_then_is_given_up_on() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let length = CONTENT.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            let mut sent = stream.write_all(head.as_bytes());
            for byte in CONTENT {
                sent = sent.and_then(|()| stream.write_all(&[*byte]));
                std::thread::sleep(Duration::from_millis(150));
            }
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "a: {{file: a.rpm, size: {}, sha256: {}, origin: \"http://{address}/a.rpm\"}}\n",
        CONTENT.len(),
        Sha256::of(CONTENT),
    );
    fs::write(folder.path().join(LOCK_FILE), text).unwrap();
    let lock = ArtifactLock::load(&folder.path().join(LOCK_FILE)).unwrap();
    let error = Project { folder, lock }.fetch().unwrap_err();
    let FetchError::Slow { got, .. } = error else {
        panic!("{error}");
    };
    assert!(got > 0 && got < CONTENT.len() as u64, "{got} bytes came");
}

#[test]
fn a_server_without_ranges_sends_it_all_again() {
    let mut first = true;
    let server = Server::plain(move |_| {
        let cut = std::mem::take(&mut first);
        Answer {
            length: Some(CONTENT.len()),
            ..Answer::new(200, if cut { &CONTENT[..10] } else { CONTENT })
        }
    });
    let project = Project::new(&server);
    assert!(project.fetch().is_err());
    project.fetch().unwrap();
    assert_eq!(project.found(), Found::Good);
}

#[test]
fn what_is_not_the_artifact_never_gets_its_name() {
    let mut other = CONTENT.to_vec();
    other[3] ^= 1;
    let long = [CONTENT, b"x"].concat();
    for (answer, reason) in [
        (Answer::new(200, other), "not the one in the lock file"),
        (Answer::new(200, long), "more than the 36 bytes"),
        (
            Answer::new(404, "no such package"),
            "404 Not Found: no such package",
        ),
        (Answer::new(206, "x"), "206"),
        (
            Answer {
                length: Some(CONTENT.len()),
                hangs: true,
                ..Answer::new(200, "x")
            },
            "1 of 36 bytes came",
        ),
    ] {
        let server = Server::plain(move |_| answer.clone());
        let project = Project::new(&server);
        let error = project.fetch().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert_eq!(project.found(), Found::Missing, "{reason}");
    }
}

#[test]
fn a_wrong_file_is_replaced_and_a_wrong_beginning_is_thrown_away() {
    let server = Server::plain(|request| match request.header("range") {
        None => Answer::new(200, CONTENT),
        Some(_) => Answer::new(206, &CONTENT[3..]).with(
            "content-range",
            format!("bytes 3-{}/{}", CONTENT.len() - 1, CONTENT.len()),
        ),
    });
    let project = Project::new(&server);
    fs::create_dir_all(project.folder.path().join("rpms")).unwrap();
    fs::write(project.folder.path().join("rpms/a.rpm"), "old").unwrap();
    fs::write(project.folder.path().join("rpms/a.rpm.part"), "xyz").unwrap();
    assert!(matches!(project.fetch(), Err(FetchError::Content(_))));
    assert_eq!((project.found(), project.part()), (Found::Size(3), None));
    project.fetch().unwrap();
    assert_eq!(project.found(), Found::Good);
}

/// What the lock file says of a file `a` beside it, and a playbook that uses it.
fn using(content: &str) -> Fleet {
    let lock = format!(
        "a:\n  file: a.rpm\n  nevra: a-1:2.0-3.el7.noarch\n  size: {}\n  sha256: {}\n",
        CONTENT.len(),
        Sha256::of(CONTENT)
    );
    let play = "\
- hosts: node1
  tasks:
    - assert: {that: \"artifacts.a.version == '2.0' and artifacts['a'].epoch == 1\"}
    - assert: {that: \"images.jre.pull == 'r.example/jre@' ~ images.jre.digest\"}
    - rpm:
        packages: [\"{{ artifacts['a'] }}\"]
";
    let digest = format!("sha256:{}", "0a".repeat(32));
    let images = format!("jre: {{ref: \"r.example/jre:17\", digest: \"{digest}\"}}\n");
    Fleet::new(["validate", "-i", "node1,", "playbooks/site.yml"])
        .file("playbooks/site.yml", play)
        .file("playbooks/artifacts.lock.yml", &lock)
        .file("playbooks/images.lock.yml", &images)
        .file("playbooks/a.rpm", content)
}

#[test]
fn playbooks_name_artifacts_and_images_by_their_names() {
    let ended = using(std::str::from_utf8(CONTENT).unwrap()).run();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    // Anybody's own variable of that name wins.
    let ended = using("x")
        .file("playbooks/group_vars/all.yml", "artifacts: {}\n")
        .run();
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("artifacts"), "{}", ended.stderr);
}

#[test]
fn verify_says_what_is_wrong_and_exits_with_two() {
    for (content, code, said) in [
        (
            Some(std::str::from_utf8(CONTENT).unwrap()),
            0,
            "1 of 1 artifacts are as locked\n",
        ),
        (
            Some("short"),
            2,
            "a: a.rpm has 5 bytes instead of 36\n0 of 1 artifacts are as locked\n",
        ),
        (
            None,
            2,
            "a: a.rpm is missing\n0 of 1 artifacts are as locked\n",
        ),
    ] {
        let lock = format!(
            "a: {{file: a.rpm, size: {}, sha256: {}}}\n",
            CONTENT.len(),
            Sha256::of(CONTENT)
        );
        let mut fleet =
            Fleet::new(["artifacts", "verify"]).file("playbooks/artifacts.lock.yml", &lock);
        if let Some(content) = content {
            fleet = fleet.file("playbooks/a.rpm", content);
        }
        let ended = fleet.run();
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (code, said),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn fetch_gets_what_is_missing() {
    let server = Server::plain(|_| Answer::new(200, CONTENT));
    let project = Project::new(&server);
    let lock = project.folder.path().join(LOCK_FILE).display().to_string();
    let fetch = || Fleet::new(["artifacts", "fetch", "--file", lock.as_str()]).run();
    let ended = fetch();
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (0, "a: fetched rpms/a.rpm\n"),
        "{}",
        ended.stderr
    );
    assert_eq!(project.found(), Found::Good);
    let again = fetch();
    assert_eq!((again.code, again.stdout.as_str()), (0, ""));
    assert_eq!(server.asked().len(), 1);
}

/// The same project without the file that its lock file names.
fn without_the_file(args: &[&str]) -> Ended {
    let lock = format!(
        "a:\n  file: a.rpm\n  nevra: a-2.0-3.noarch\n  size: 3\n  sha256: {}\n",
        Sha256::of(CONTENT)
    );
    let play = "- hosts: all\n  tasks: [{rpm: {packages: [\"{{ artifacts.a }}\"]}}]\n";
    Fleet::new(args.iter().copied())
        .file("site.yml", play)
        .file("artifacts.lock.yml", &lock)
        .run()
}

#[test]
fn a_file_that_is_not_here_is_believed_to_be_what_its_lock_file_says() {
    let ended = without_the_file(&["validate", "-i", "node1,", "site.yml"]);
    assert_eq!(
        ended.all(),
        "exit 0\n----- stdout\nsite.yml is valid.\n----- stderr\n\
         warning: `[HERE]/a.rpm` is not here, so it was not looked at\n \
         |\n = help: `fleet artifacts fetch` brings what `fleet apply` needs\n"
    );
}

#[test]
fn apply_wants_the_files_before_any_host_is_contacted() {
    let ended = without_the_file(&["apply", "-y", "-i", "node1,", "site.yml"]);
    assert_eq!(ended.code, 1, "{}", ended.all());
    let expected = "error: there is no file `[HERE]/a.rpm`";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}
