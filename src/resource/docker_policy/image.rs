//! The rules over images: where they come from and how old they are.

use std::collections::BTreeSet;

use serde_json::Value;

use super::finding::{Finding, Subject, text, words};
use super::rule::Rule;
use super::{DockerPolicy, container, pattern};
use crate::resource::docker_image::full_name;

const SECONDS_A_DAY: i64 = 24 * 60 * 60;

/// Builds that can be repeated give all their images one date, at or near the beginning of
/// time: what is older than Docker tells no age.
const OLDEST: i64 = 1_356_998_400; // 2013-01-01

/// Everything that breaks a rule. `now` in seconds since 1970.
pub(super) fn findings(
    policy: &DockerPolicy,
    containers: &[Value],
    image: &Value,
    now: i64,
) -> Vec<Finding> {
    let id = text(&image["Id"]);
    let users: Vec<&Value> = containers
        .iter()
        .filter(|container| !id.is_empty() && container["Image"] == id)
        .collect();
    let names = names(image, &users);
    let shown = names
        .first()
        .map_or_else(|| short(id), |name| (*name).to_owned());
    let subject = Subject::Image(shown);
    let mut found = Vec::new();
    // An image without a name that nothing is made from is only waiting to be pruned.
    let is_dead = names.is_empty() && users.is_empty();
    let foreign = foreign(policy, image, &names);
    if !is_dead && (foreign.is_some() || names.is_empty()) {
        let used = match users.as_slice() {
            [] => String::new(),
            users => {
                let users: Vec<_> = users.iter().map(|user| container::name(user)).collect();
                format!(" (used by {})", users.join(", "))
            }
        };
        let actual = match foreign {
            None => format!("an image without a name{used}"),
            Some(name) if name == names[0] => format!("{}{used}", registry(&full_name(name))),
            Some(name) => format!("also {}{used}", full_name(name)),
        };
        let expected = policy.registries.join(", ");
        found.push(Finding::new(Rule::Registries, &subject, expected, actual));
    }
    let created = image["Created"].as_i64().unwrap_or_default();
    if let Some(most) = policy.image_max_days
        && created >= OLDEST
    {
        let days = now.saturating_sub(created) / SECONDS_A_DAY;
        if days > i64::from(most) {
            found.push(Finding::new(
                Rule::ImageAge,
                &subject,
                format!("at most {most} days"),
                format!("{days} days"),
            ));
        }
    }
    found
}

/// What an image is called, and what the containers made from it call it.
fn names<'a>(image: &'a Value, users: &[&'a Value]) -> Vec<&'a str> {
    let mut names: Vec<_> = words(&image["RepoTags"]);
    names.extend(words(&image["RepoDigests"]));
    names.extend(users.iter().map(|user| text(&user["Config"]["Image"])));
    let mut seen = BTreeSet::new();
    names.retain(|name| {
        !name.is_empty()
            && !name.starts_with("<none>")
            && !name.starts_with("sha256:")
            && seen.insert(*name)
    });
    names
}

/// The name by which an image is not one of the declared registries.
///
/// What it was pulled by (`RepoDigests`) says where it is from; a tag can be put on anything, so
/// where there is a digest, a tag allows nothing. A name without a registry beside one that is
/// allowed is what somebody here calls the image.
fn foreign<'a>(policy: &DockerPolicy, image: &'a Value, names: &[&'a str]) -> Option<&'a str> {
    let id = text(&image["Id"]);
    // The containerd image store gives every tag a digest, which is the image's id then.
    let pulled: Vec<_> = words(&image["RepoDigests"])
        .into_iter()
        .filter(|name| !name.ends_with(id) && !name.starts_with("<none>"))
        .collect();
    if let Some(name) = pulled.iter().find(|name| !is_allowed(policy, name)) {
        return Some(*name);
    }
    let is_known = names.iter().any(|name| is_allowed(policy, name));
    let mut names = names.iter().copied();
    names.find(|name| !is_allowed(policy, name) && (!is_known || names_a_registry(name)))
}

fn names_a_registry(name: &str) -> bool {
    let first = name.split_once('/').map(|(first, _)| first);
    first.is_some_and(|first| first.contains(['.', ':']) || first == "localhost")
}

fn short(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(12).collect()
}

/// Whether a name is of one of the declared registries: `registry.example.com` is everything in
/// it, `registry.example.com/base/*` a part.
fn is_allowed(policy: &DockerPolicy, name: &str) -> bool {
    let repository = full_name(name);
    policy.registries.iter().any(|allowed| {
        if allowed.contains('/') {
            pattern::matches(allowed, &repository)
        } else {
            pattern::matches(allowed, registry(&repository))
        }
    })
}

fn registry(repository: &str) -> &str {
    repository.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_allowed_as_a_whole_or_in_part() {
        let policy = |registries: &[&str]| DockerPolicy {
            registries: registries.iter().map(|&name| name.to_owned()).collect(),
            ..DockerPolicy::default()
        };
        for (allowed, name, fits) in [
            ("registry.lab:5000", "registry.lab:5000/a/b:1", true),
            (
                "registry.lab:5000",
                "registry.lab:5000.evil.example/a",
                false,
            ),
            ("registry.lab", "registry.lab:5000/a", false),
            ("*.example.com", "eu.example.com/a", true),
            ("docker.io/library/*", "nginx", true),
            ("docker.io/library/*", "evil/nginx", false),
            ("docker.io", "evil/nginx", true),
        ] {
            assert_eq!(
                is_allowed(&policy(&[allowed]), name),
                fits,
                "{allowed} {name}"
            );
        }
    }
}
