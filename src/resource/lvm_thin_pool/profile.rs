//! The LVM profile that makes a pool extend itself.

use std::path::{Path, PathBuf};

use super::LvmThinPool;
use crate::protocol::Drift;
use crate::resource::content::content_drift;

const THRESHOLD: &str = "thin_pool_autoextend_threshold";
const PERCENT: &str = "thin_pool_autoextend_percent";

impl LvmThinPool {
    /// The profile is named as the pool is in `/dev/mapper`, where a dash within a name is
    /// doubled: no two pools share one.
    pub(super) fn profile_name(&self) -> String {
        format!(
            "{}-{}",
            self.vg.replace('-', "--"),
            self.pool.replace('-', "--")
        )
    }

    pub(super) fn profile_path(&self) -> PathBuf {
        Path::new("/etc/lvm/profile").join(format!("{}.profile", self.profile_name()))
    }

    pub(super) fn profile_text(&self) -> String {
        format!(
            "# Written by fleet for {}/{}. Changes made here are undone.\n\
             activation {{\n\t{THRESHOLD}={}\n\t{PERCENT}={}\n}}\n",
            self.vg, self.pool, self.autoextend_threshold, self.autoextend_percent
        )
    }

    /// How the file differs: by its values where these differ, else by its text.
    pub(super) fn profile_drift(&self, found: Option<&[u8]>, wants_diff: bool) -> Vec<Drift> {
        let (path, text) = (self.profile_path(), self.profile_text());
        let summary = format!(
            "{}: extend by {}% from {}% on",
            path.display(),
            self.autoextend_percent,
            self.autoextend_threshold
        );
        let with_diff = |drift: Drift| {
            if wants_diff {
                content_drift(drift, &path, found, text.as_bytes())
            } else {
                drift
            }
        };
        let Some(bytes) = found else {
            return vec![with_diff(Drift::create("profile", summary))];
        };
        if bytes == text.as_bytes() {
            return Vec::new();
        }
        let actual = String::from_utf8_lossy(bytes);
        let mut drift = Vec::new();
        for (attribute, key, expected) in [
            ("autoextend_threshold", THRESHOLD, self.autoextend_threshold),
            ("autoextend_percent", PERCENT, self.autoextend_percent),
        ] {
            let value = value(&actual, key).unwrap_or("not set");
            if value != expected.to_string() {
                drift.push(Drift::update(attribute, format!("{expected}"), value));
            }
        }
        match drift.first_mut() {
            Some(first) => *first = with_diff(first.clone()),
            None => drift.push(with_diff(Drift::update("profile", summary, "another text"))),
        }
        drift
    }
}

/// The last value of a key, as LVM reads it.
fn value<'text>(text: &'text str, key: &str) -> Option<&'text str> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> LvmThinPool {
        serde_json::from_str(r#"{"vg": "docker", "pool": "thinpool", "devices": ["/dev/vdb"]}"#)
            .unwrap()
    }

    #[test]
    fn is_written_as_docker_s_manual_has_it() {
        assert_eq!(
            declared().profile_path(),
            Path::new("/etc/lvm/profile/docker-thinpool.profile")
        );
        assert_eq!(
            declared().profile_text(),
            "# Written by fleet for docker/thinpool. Changes made here are undone.\n\
             activation {\n\tthin_pool_autoextend_threshold=80\n\tthin_pool_autoextend_percent=20\n}\n"
        );
    }

    #[test]
    fn differs_by_value_or_else_by_text() {
        let declared = declared();
        let text = declared.profile_text();
        assert_eq!(declared.profile_drift(Some(text.as_bytes()), true), []);
        let edited = text.replace("=80", " = 60 # was 80");
        assert_eq!(
            declared.profile_drift(Some(edited.as_bytes()), false),
            [Drift::update("autoextend_threshold", "80", "60")]
        );
        let diff = declared.profile_drift(Some(edited.as_bytes()), true)[0]
            .diff
            .clone()
            .unwrap();
        assert!(
            diff.contains("+\tthin_pool_autoextend_threshold=80"),
            "{diff}"
        );

        let longer = format!("{text}allocation {{\n\tthin_pool_zero=0\n}}\n");
        let drift = declared.profile_drift(Some(longer.as_bytes()), false);
        assert_eq!((drift[0].attribute.as_str(), drift.len()), ("profile", 1));
        assert_eq!(
            declared.profile_drift(None, false),
            [Drift::create(
                "profile",
                "/etc/lvm/profile/docker-thinpool.profile: extend by 20% from 80% on"
            )]
        );
        assert_eq!(declared.profile_drift(Some(b"\xff"), false).len(), 2);
    }
}
