//! Resource kinds: what can be declared about a host.
//!
//! One struct per kind is the YAML schema, the wire message and the thing applied. A kind lives
//! in one file and is registered by two lines below; everything else (parsing, `fleet doc`,
//! validation, dispatch) follows from the struct and its [`Resource`] implementation.
//!
//! Deliberately absent: a mode. A kind observes, compares and changes; whether a change is wanted
//! is decided once, in `reconcile`.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::host::{Failure, Host, WayBack, confirm_within};
use crate::protocol::{Drift, Output, Source};

mod command;
mod content;
mod copy;
mod cron;
mod docker_container;
mod docker_daemon;
mod docker_image;
mod docker_login;
mod docker_policy;
mod file;
mod footprint;
mod group;
mod hidden;
mod kernel_module;
mod lineinfile;
mod lvm_thin_pool;
mod mount;
mod permissions;
mod presence;
mod rpm;
mod service;
mod shell;
mod sysctl;
mod user;
mod wait_for;

pub use footprint::{Footprint, Removal};

/// One kind of thing that can be declared about a host.
///
/// Laws, each checked by `reconcile` or by tests over every kind:
/// - [`observe`](Resource::observe) never changes the host;
/// - [`drift`](Resource::drift) is pure: the same observation gives the same answer;
/// - after [`apply`](Resource::apply) succeeds, a new observation shows no drift, and applying
///   again changes nothing;
/// - an observation that fails is an error, never "absent".
pub trait Resource: Serialize + DeserializeOwned {
    /// The task key that selects this kind; also the file's name.
    const KIND: &'static str;

    /// One or more tasks that show every field; `fleet doc` prints them, a test parses them.
    const EXAMPLE: &'static str;

    /// The part of the host this kind looks at.
    type Actual;

    /// Names this resource within its kind: a path, a unit, a user.
    fn id(&self) -> String;

    /// Checks what the types cannot: fields that exclude each other, values out of range.
    /// Runs on the controller before any host is contacted.
    ///
    /// # Errors
    /// The sentence to show, without file or line: the caller knows those. Its first literal in
    /// backticks that is a field or a value of the declaration is where it is shown. Several
    /// problems are a line each.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }

    /// The files this resource takes from the controller, to be replaced by their hashes.
    fn sources_mut(&mut self) -> Vec<&mut Source> {
        Vec::new()
    }

    /// Whether the effect cannot be observed (a command without a guard, a restart). Such a
    /// task runs on every apply, is reported as "runs every time" and never counts as drift.
    fn runs_every_time(&self) -> bool {
        false
    }

    /// How long the task declares that it may take, if it does: the controller waits that long
    /// before it gives a silent host up.
    fn time_limit(&self) -> Option<Duration> {
        None
    }

    /// What it leaves on the host, so that it can be found when nothing declares it any more.
    /// `None` for what only looks, runs or waits, or changes what others made.
    fn footprint(&self) -> Option<Footprint> {
        None
    }

    /// Whether a change of it may cut the host off, so that a way back may be needed.
    fn may_cut_off(&self) -> bool {
        false
    }

    /// How the host was before the change that [`apply`](Self::apply) would make of what was
    /// found, if it may cut the host off. It is gone back to unless a new connection shows that
    /// it has not.
    fn way_back(&self, _host: &Host, _actual: &Self::Actual) -> Result<Option<WayBack>, Failure> {
        Ok(None)
    }

    /// How long the host waits for that connection.
    fn confirm_within(&self) -> Duration {
        confirm_within(None)
    }

    /// Looks at the host. Never changes it.
    fn observe(&self, host: &Host) -> Result<Self::Actual, Failure>;

    /// The path it is about, if it is about one.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// The directory that is there once it has been applied, whatever it was about.
    fn makes_directory(&self) -> Option<&Path> {
        None
    }

    /// What keeps the change that [`apply`](Self::apply) would make of what was found from being
    /// made, as far as looking can tell: a plan shows as refused what apply refuses.
    ///
    /// # Errors
    /// [`Failure::Refused`], with the way out.
    fn obstacle(&self, _host: &Host, _actual: &Self::Actual) -> Result<(), Failure> {
        Ok(())
    }

    /// Lists what differs between declaration and observation, in a stable order.
    fn drift(&self, actual: &Self::Actual) -> Vec<Drift>;

    /// Brings the host from `actual` to the declaration. Called only if something differs or
    /// the task [runs every time](Resource::runs_every_time).
    ///
    /// # Errors
    /// When it cannot be brought about; what was already changed stays valid by itself.
    fn apply(&self, host: &Host, actual: &Self::Actual) -> Result<Option<Output>, Failure>;
}

/// Does something once for every kind; how the controller builds its tables of them.
#[cfg(feature = "control")]
pub trait KindVisitor {
    /// Called with one kind and the way into [`AnyResource`].
    fn visit<R: Resource + schemars::JsonSchema + 'static>(&mut self, wrap: fn(R) -> AnyResource);
}

/// Declares the kinds: the enum over all of them, its dispatch and [`visit_kinds`].
macro_rules! kinds {
    ($($module:ident::$Kind:ident),* $(,)?) => {
        /// Any resource, as it travels to the host.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[serde(tag = "kind", content = "declared", rename_all = "snake_case")]
        #[allow(clippy::large_enum_variant, reason = "there is one per task, and tasks are boxed")]
        pub enum AnyResource {
            $(#[doc = concat!("See `resource/", stringify!($module), ".rs`.")]
            $Kind($module::$Kind),)*
        }

        /// Evaluates `$body` with `$resource` bound to the concrete kind inside `$any`.
        macro_rules! dispatch {
            ($any:expr, $resource:ident => $body:expr) => {
                match $any { $($crate::resource::AnyResource::$Kind($resource) => $body,)* }
            };
        }
        pub(crate) use dispatch;

        /// Shows every kind that runs on a host to `visitor`, in alphabetical order.
        #[cfg(feature = "control")]
        pub fn visit_kinds(visitor: &mut impl KindVisitor) {
            $(visitor.visit::<$module::$Kind>(AnyResource::$Kind);)*
        }
    };
}

kinds! {
    command::Command,
    copy::Copy,
    cron::Cron,
    docker_container::DockerContainer,
    docker_daemon::DockerDaemon,
    docker_image::DockerImage,
    docker_login::DockerLogin,
    docker_policy::DockerPolicy,
    file::File,
    group::Group,
    kernel_module::KernelModule,
    lineinfile::Lineinfile,
    lvm_thin_pool::LvmThinPool,
    mount::Mount,
    rpm::Rpm,
    service::Service,
    shell::Shell,
    sysctl::Sysctl,
    user::User,
    wait_for::WaitFor,
}

impl AnyResource {
    /// The kind's name, as in YAML.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        fn name<R: Resource>(_: &R) -> &'static str {
            R::KIND
        }
        dispatch!(self, resource => name(resource))
    }

    /// Names this resource within its kind.
    #[must_use]
    pub fn id(&self) -> String {
        dispatch!(self, resource => resource.id())
    }

    /// See [`Resource::validate`].
    ///
    /// # Errors
    /// As there.
    pub fn validate(&self) -> Result<(), String> {
        dispatch!(self, resource => resource.validate())
    }

    /// See [`Resource::time_limit`].
    #[must_use]
    pub fn time_limit(&self) -> Option<Duration> {
        dispatch!(self, resource => resource.time_limit())
    }

    /// How long the host may wait for a new connection after a change of it, if it may wait at all.
    #[must_use]
    pub fn confirm_within(&self) -> Option<Duration> {
        dispatch!(self, resource => resource.may_cut_off().then(|| resource.confirm_within()))
    }

    /// See [`Resource::runs_every_time`].
    #[must_use]
    pub fn runs_every_time(&self) -> bool {
        dispatch!(self, resource => resource.runs_every_time())
    }

    /// See [`Resource::footprint`].
    #[must_use]
    pub fn footprint(&self) -> Option<Footprint> {
        dispatch!(self, resource => resource.footprint())
    }

    /// Names the thing on the host: two declarations of one file are about the same thing,
    /// whatever their kinds.
    #[must_use]
    pub fn owned(&self) -> String {
        let footprint = self.footprint();
        let thing = footprint.as_ref().map_or(self, |found| &found.absence);
        format!("{} {}", thing.kind(), thing.id())
    }

    /// See [`Resource::sources_mut`].
    pub fn sources_mut(&mut self) -> Vec<&mut Source> {
        dispatch!(self, resource => resource.sources_mut())
    }
}

#[cfg(all(test, feature = "control"))]
mod tests {
    use super::*;
    use crate::yaml::{self, Yaml};

    /// Counts the tasks of every example that are what they claim to be.
    #[derive(Default)]
    struct Examples(Vec<(&'static str, usize)>);

    impl KindVisitor for Examples {
        fn visit<R: Resource + schemars::JsonSchema>(&mut self, wrap: fn(R) -> AnyResource) {
            let tasks = yaml::parse(R::KIND, R::EXAMPLE, &yaml::Limits::default())
                .unwrap_or_else(|problems| panic!("{}: {problems:?}", R::KIND));
            let Yaml::Sequence(tasks) = tasks.value else {
                panic!("{}: no list", R::KIND)
            };
            let mut parsed = 0;
            for task in &tasks {
                let Yaml::Mapping(entries) = &task.value else {
                    panic!("{}: no task", R::KIND)
                };
                let (_, declared) = entries
                    .iter()
                    .find(|(key, _)| key.text == R::KIND)
                    .unwrap_or_else(|| panic!("{}: a task of another kind", R::KIND));
                // A lone string is made `cmd` where tasks are read.
                if matches!(declared.value, Yaml::String(_)) {
                    continue;
                }
                let resource: R = yaml::from_node(declared)
                    .unwrap_or_else(|error| panic!("{}: {error:?}", R::KIND));
                assert_eq!(resource.validate(), Ok(()), "{}", R::KIND);
                let sent = serde_json::to_string(&wrap(resource)).expect("kinds have text keys");
                let received: AnyResource =
                    serde_json::from_str(&sent).expect("what was sent is read");
                assert_eq!(received.kind(), R::KIND);
                // What takes it away is valid, and is about the same thing.
                if let Some(Footprint { absence, .. }) = received.footprint() {
                    assert_eq!(absence.validate(), Ok(()), "{}", R::KIND);
                    assert_eq!(absence.owned(), received.owned());
                }
                parsed += 1;
            }
            self.0.push((R::KIND, parsed));
        }
    }

    #[test]
    fn every_example_is_valid_and_survives_the_wire() {
        let mut examples = Examples::default();
        visit_kinds(&mut examples);
        assert!(
            examples.0.iter().all(|(_, parsed)| *parsed > 0),
            "{:?}",
            examples.0
        );
        assert!(
            examples.0.is_sorted(),
            "kinds are registered in alphabetical order"
        );
    }
}
