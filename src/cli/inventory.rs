//! `fleet inventory`: which hosts there are, what is defined for them, and where.

use std::fmt::Write as _;
use std::sync::Arc;

use clap::{Args, builder::NonEmptyStringValueParser};

use super::options::Sources;
use super::output;
use super::session::Session;
use crate::diagnostic::{self, Diagnostic, Diagnostics};
use crate::error::{Error, ErrorKind};
use crate::harmless;
use crate::inventory::{Definition, HostName, Inventory, Layer, VarMap, Variables, extra_vars};
use crate::report::{ExitCode, single_line};
use crate::secret::Vault;

/// What `-i` means when it is not given.
const DEFAULT_SOURCE: &str = "inventory/";

/// Arguments of `fleet inventory`.
#[derive(Args, Clone, Debug)]
pub(super) struct InventoryArgs {
    #[command(flatten)]
    what: What,

    /// With `--host`: say where each variable comes from and what it overrides
    #[arg(long, conflicts_with_all = ["list", "graph"])]
    explain: bool,

    #[command(flatten)]
    sources: Sources,
}

/// One of these.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct What {
    /// Print all groups, hosts and variables as JSON, as Ansible's inventory scripts do
    #[arg(long)]
    list: bool,

    /// Print the variables of one host as JSON
    #[arg(long, value_name = "HOST", value_parser = NonEmptyStringValueParser::new())]
    host: Option<String>,

    /// Print groups and hosts as a tree
    #[arg(long)]
    graph: bool,
}

pub(super) fn run(session: &mut Session, args: &InventoryArgs) -> Result<ExitCode, Error> {
    let vault = session.open_vault(None)?;
    let (inventory, warnings) = load(&args.sources.inventory, &vault)?;
    let warnings = diagnostic::render(&warnings, session.settings.stderr_color);
    let warnings = vault.redactor().redact(&warnings);
    output::say(&warnings);
    let extra = extra_vars(&args.sources.extra_vars, &vault).map_err(Error::config)?;
    let extra = Arc::new(extra);
    let text = match &args.what.host {
        Some(name) => {
            let variables = of_host(&inventory, find(&inventory, name)?, extra);
            if args.explain {
                explain(&variables)
            } else {
                json(&variables)
            }
        }
        None if args.what.graph => inventory.graph(),
        None => harmless::json(format!("{:#}\n", inventory.to_json())),
    };
    session.output.write(&text)?;
    Ok(ExitCode::AsDeclared)
}

fn load(sources: &[String], vault: &Vault) -> Result<(Inventory, Vec<Diagnostic>), Error> {
    let default = [DEFAULT_SOURCE.to_owned()];
    let sources = if sources.is_empty() {
        &default
    } else {
        sources
    };
    let mut diagnostics = Diagnostics::new();
    let inventory = Inventory::load(sources, vault, &mut diagnostics);
    diagnostics.into_result(inventory).map_err(Error::config)
}

fn find<'a>(inventory: &'a Inventory, name: &str) -> Result<&'a HostName, Error> {
    inventory.host(name).ok_or_else(|| {
        let error = Error::new(
            ErrorKind::Config,
            format!("no host `{name}` in the inventory"),
        );
        match diagnostic::nearest(name, inventory.hosts().map(HostName::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`fleet inventory --graph` shows all hosts"),
        }
    })
}

fn of_host(inventory: &Inventory, host: &HostName, extra: Arc<VarMap>) -> Variables {
    inventory.variables(host).with(Layer::Extra, extra)
}

fn json(variables: &Variables) -> String {
    let effective = variables.effective().into_iter();
    let object: serde_json::Map<_, _> = effective
        .map(|(name, node)| (name.to_owned(), node.to_json()))
        .collect();
    harmless::json(format!("{:#}\n", serde_json::Value::Object(object)))
}

/// Each variable by name: the value that holds and where it is written, then what it overrides,
/// strongest first.
fn explain(variables: &Variables) -> String {
    let mut all: Vec<_> = variables.explain().into_iter().collect();
    all.sort_unstable_by_key(|(name, _)| *name);
    let mut out = String::new();
    for (name, definitions) in all {
        for (rank, definition) in definitions.iter().rev().enumerate() {
            let value = definition.node.to_json().to_string();
            let (name, value, place) = (single_line(name), single_line(&value), place(definition));
            match rank {
                0 => writeln!(out, "{name}: {value}\n    from {place}"),
                _ => writeln!(out, "    overrides {value} from {place}"),
            }
            .expect("a String takes everything");
        }
    }
    out
}

/// `inventory/group_vars/web.yml:3 (group)`, or just `-e`, which has no lines to speak of.
fn place(definition: &Definition<'_>) -> String {
    let span = &definition.node.span;
    if span.file.path.as_os_str() == "-e" {
        return definition.layer.describe().to_owned();
    }
    let (line, _) = span.line_column();
    let path = span.file.path.display().to_string();
    format!(
        "{}:{line} ({})",
        single_line(&path),
        definition.layer.describe()
    )
}
