//! Fuzzing on a stable toolchain: a parser gets what it is made for, damaged. It may refuse that; it
//! may not panic, take longer than [`LONGEST`] or need more memory than its process is given.
//!
//! `cargo test` tries some hundred inputs of each target, `tests/fuzz` as many as fit into a time,
//! each target in a process of its own that has 256 MB. Targets are the tests whose names begin with
//! `fuzz_`. What broke one is kept in `tests/fuzz-corpus/TARGET`, and tried first ever after.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestError, TestRunner};

use crate::protocol::Sha256;

/// How long one input may take.
const LONGEST: Duration = Duration::from_secs(5);

/// Says for how many seconds each target is fed.
const SECONDS: &str = "FLEET_FUZZ_SECONDS";

/// Names a file for the input at hand: an overflowing stack leaves no time to write it down.
const LAST: &str = "FLEET_FUZZ_LAST";

/// Words that mean something to one parser or another, and numbers at the ends of their ranges.
const WORDS: [&[u8]; 30] = [
    b"\n",
    b"\r\n",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\t",
    b" ",
    b"\\",
    b"\\040",
    b"\"",
    b"'",
    b"=",
    b":",
    b",",
    b"-",
    b"#",
    b"{{",
    b"}}",
    b"{%",
    b"%}",
    b"[",
    b"]",
    b"{",
    b"}",
    b"&a *a",
    b"<<: *a",
    b"!vault",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"1e999",
];

/// One thing done to a sample.
#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    /// A piece of another sample takes the place of the rest.
    Splice(Index, Index, Index),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    let word = proptest::sample::select(&WORDS[..]).prop_map(<[u8]>::to_vec);
    let noise = proptest::collection::vec(any::<u8>(), 1..20);
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (at(), prop_oneof![word, noise]).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (at(), 1..40_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        (at(), 1..40_usize, 1..60_usize)
            .prop_map(|(at, length, times)| Damage::Repeat(at, length, times)),
        (at(), at(), at()).prop_map(|(at, other, from)| Damage::Splice(at, other, from)),
        at().prop_map(Damage::Cut),
    ]
}

impl Damage {
    fn does(&self, bytes: &mut Vec<u8>, samples: &[Vec<u8>]) {
        let place = |at: &Index, bytes: &[u8]| at.index(bytes.len() + 1);
        match self {
            Self::Set(at, byte) => {
                let at = place(at, bytes);
                if let Some(place) = bytes.get_mut(at) {
                    *place = *byte;
                }
            }
            Self::Insert(at, new) => {
                let at = place(at, bytes);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(at, length) => {
                let at = place(at, bytes);
                bytes.drain(at..bytes.len().min(at + length));
            }
            Self::Repeat(at, length, times) => {
                let at = place(at, bytes);
                let piece = bytes[at..bytes.len().min(at + length)].repeat(*times);
                bytes.splice(at..at, piece);
            }
            Self::Splice(at, other, from) => {
                let other = other.get(samples);
                bytes.truncate(place(at, bytes));
                bytes.extend_from_slice(&other[place(from, other)..]);
            }
            Self::Cut(at) => bytes.truncate(place(at, bytes)),
        }
    }
}

/// Gives samples to `parse`, as they are and damaged, as many as there are to be. What has broken the
/// target before is among them.
pub(crate) fn feed<S: AsRef<[u8]>>(
    target: &str,
    samples: impl IntoIterator<Item = S>,
    parse: impl Fn(&[u8]),
) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz-corpus")
        .join(target);
    let mut samples: Vec<_> = samples
        .into_iter()
        .map(|sample| sample.as_ref().to_vec())
        .collect();
    let broken = fs::read_dir(&folder).into_iter().flatten();
    samples.extend(broken.map(|file| fs::read(file.unwrap().path()).unwrap()));
    assert!(!samples.is_empty(), "there is nothing to damage");
    let watched = watch(folder.clone());
    let last = std::env::var_os(LAST);
    let parse = |input: &[u8]| {
        watched.send(input.to_vec()).unwrap();
        if let Some(last) = &last {
            fs::write(last, input).unwrap();
        }
        parse(input);
    };
    for sample in &samples {
        parse(sample);
    }

    let damages = proptest::collection::vec(damage(), 1..6);
    let input = (any::<Index>(), damages).prop_map(|(which, damages)| {
        let mut input = which.get(&samples).clone();
        for damage in damages {
            damage.does(&mut input, &samples);
        }
        input
    });
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let until = Instant::now() + limit().unwrap_or_default();
    loop {
        // One that has had its number of inputs takes no more.
        let tried = TestRunner::new(config.clone()).run(&input, |input| {
            parse(&input);
            Ok(())
        });
        if let Err(TestError::Fail(reason, input)) = &tried {
            panic!("{reason}: {}", keep(&folder, input).display());
        }
        tried.unwrap();
        if Instant::now() >= until {
            return;
        }
    }
}

/// Hears of every input as it is tried, and ends the process when none follows in time.
fn watch(folder: PathBuf) -> Sender<Vec<u8>> {
    let (sender, receiver) = channel::<Vec<u8>>();
    thread::spawn(move || {
        let Ok(mut input) = receiver.recv() else {
            return;
        };
        loop {
            input = match receiver.recv_timeout(LONGEST) {
                Ok(next) => next,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let path = keep(&folder, &input);
                    eprintln!("longer than {LONGEST:?}: {}", path.display());
                    std::process::abort();
                }
            };
        }
    });
    sender
}

/// Writes down what broke a target.
fn keep(folder: &Path, input: &[u8]) -> PathBuf {
    let path = folder.join(&Sha256::of(input).to_string()[..16]);
    fs::create_dir_all(folder).unwrap();
    fs::write(&path, input).unwrap();
    path
}

/// For how long, if not for proptest's usual number of inputs.
fn limit() -> Option<Duration> {
    let text = std::env::var(SECONDS).ok()?;
    let seconds = text.parse();
    Some(Duration::from_secs(seconds.unwrap_or_else(|_| {
        panic!("{SECONDS} is no number: {text}")
    })))
}
