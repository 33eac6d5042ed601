//! Finding and reading inventory sources and the variable files beside them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout::var_map;
use super::{Inventory, VarMap};
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::secret::Vault;
use crate::trust;
use crate::yaml::{self, Limits};

/// What editors and package managers leave behind, and what documents an inventory.
const IGNORED: [&str; 14] = [
    "~", ".bak", ".retry", ".orig", ".swp", ".tmp", ".pyc", ".pyo", ".md", ".txt", ".rst",
    ".rpmnew", ".rpmsave", ".rpmorig",
];

/// Where a directory of variables was found; the later one is stronger.
#[derive(Clone, Copy)]
enum Beside {
    Inventory,
    Playbook,
}

pub(super) fn load(sources: &[String], vault: &Vault, diagnostics: &mut Diagnostics) -> Inventory {
    let mut inventory = Inventory {
        vault: vault.clone(),
        ..Inventory::empty()
    };
    let mut directories: Vec<PathBuf> = Vec::new();
    for source in sources {
        let path = Path::new(source);
        if source.contains(',') && !path.exists() {
            inventory.add_list(source, diagnostics);
            continue;
        }
        let directory = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                inventory.add_directory(path, diagnostics);
                path.to_owned()
            }
            Ok(_) => {
                inventory.add_file(path, diagnostics);
                path.parent().map(Path::to_owned).unwrap_or_default()
            }
            Err(error) => {
                diagnostics.push(
                    Diagnostic::error(format!("cannot read the inventory `{source}`: {error}"))
                        .help(format!("for a host of that name write `-i {source},`")),
                );
                continue;
            }
        };
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    for directory in directories {
        inventory.add_variables_of(&directory, Beside::Inventory, diagnostics);
    }
    inventory.finish(diagnostics);
    inventory
}

impl Inventory {
    /// Adds `group_vars/` and `host_vars/` of the directory a playbook is in, above those beside
    /// the inventory.
    pub fn add_variable_directory(&mut self, directory: &Path, diagnostics: &mut Diagnostics) {
        self.add_variables_of(directory, Beside::Playbook, diagnostics);
    }

    fn add_directory(&mut self, directory: &Path, diagnostics: &mut Diagnostics) {
        let mut read = 0;
        let mut below = Vec::new();
        for path in entries(directory, diagnostics) {
            let name = file_name(&path);
            if path.is_dir() {
                if name != "group_vars" && name != "host_vars" {
                    below.push(format!("`-i {}`", path.display()));
                }
            } else if matches!(extension(&path), "ini" | "cfg") {
                diagnostics.push(Diagnostic::warning(format!(
                    "`{}` is not read: inventories are YAML",
                    path.display()
                )));
            } else {
                read += 1;
                self.add_file(&path, diagnostics);
            }
        }
        if read == 0 {
            let message = format!("there is no inventory file in `{}`", directory.display());
            let help = match below.as_slice() {
                [] => "create `hosts.yml` in it".to_owned(),
                _ => format!("did you mean {}?", below.join(" or ")),
            };
            diagnostics.push(Diagnostic::error(message).help(help));
        }
    }

    fn add_file(&mut self, path: &Path, diagnostics: &mut Diagnostics) {
        let is_yaml = matches!(extension(path), "yml" | "yaml" | "json");
        let executable = |metadata: fs::Metadata| metadata.permissions().mode() & 0o111 != 0;
        if !is_yaml && fs::metadata(path).is_ok_and(executable) {
            if let Err(distrust) = trust::check(path) {
                let message = format!("cannot run `{}`: {}", path.display(), distrust.reason);
                return diagnostics.push(Diagnostic::error(message).help(distrust.help));
            }
            return self.add_script(path, diagnostics);
        }
        let limits = Limits::default();
        let text = match yaml::read(path, &limits) {
            Ok(text) => text,
            Err(diagnostic) => return diagnostics.push(diagnostic),
        };
        if !is_yaml && is_ini(&text) {
            let path = path.display();
            return diagnostics.push(
                Diagnostic::error(format!("`{path}` is an INI file, inventories are YAML")).help(
                    format!("convert it: `ansible-inventory -i {path} --list --yaml`"),
                ),
            );
        }
        if let Some(node) = diagnostics.check(yaml::parse(path, text, &limits)) {
            self.add_layout(&node, diagnostics);
        }
    }

    fn add_variables_of(
        &mut self,
        directory: &Path,
        beside: Beside,
        diagnostics: &mut Diagnostics,
    ) {
        for path in entries_if_any(&directory.join("group_vars"), diagnostics) {
            let name = variable_name(&path);
            let Some(at) = self.groups.get_index_of(name) else {
                let diagnostic = Diagnostic::warning(format!(
                    "`{}` is not used: there is no group `{name}`",
                    path.display()
                ));
                let near = nearest(name, self.groups.keys().map(super::GroupName::as_str));
                diagnostics.push(match near {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic,
                });
                continue;
            };
            let maps = variable_files(&path, &self.vault, diagnostics);
            self.groups[at].vars.beside(beside).extend(maps);
        }
        for path in entries_if_any(&directory.join("host_vars"), diagnostics) {
            let name = variable_name(&path);
            let vault = &self.vault;
            let host = match self.hosts.get_mut(name) {
                None if name == "localhost" => &mut self.implicit,
                Some(host) => host,
                // Hosts come and go, and several inventories may share a playbook.
                None => continue,
            };
            let maps = variable_files(&path, vault, diagnostics);
            host.vars.beside(beside).extend(maps);
        }
    }
}

impl super::Sources {
    fn beside(&mut self, beside: Beside) -> &mut Vec<Arc<VarMap>> {
        match beside {
            Beside::Inventory => &mut self.beside_inventory,
            Beside::Playbook => &mut self.beside_playbook,
        }
    }
}

/// The variables of one file, or of the files of one directory in their order.
fn variable_files(path: &Path, vault: &Vault, diagnostics: &mut Diagnostics) -> Vec<Arc<VarMap>> {
    if path.is_dir() {
        return entries(path, diagnostics)
            .into_iter()
            .filter(|path| path.is_file() && is_variable_file(path))
            .flat_map(|path| variable_files(&path, vault, diagnostics))
            .collect();
    }
    diagnostics
        .check(vault.load(path, &Limits::default()))
        .map(|node| var_map(&node, diagnostics))
        .into_iter()
        .collect()
}

/// The group or host a file in `group_vars/` or `host_vars/` is for: its name without the suffix,
/// which may itself contain dots (`web01.example.com`).
fn variable_name(path: &Path) -> &str {
    let name = file_name(path);
    if path.is_dir() {
        return name;
    }
    [".yml", ".yaml", ".json"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(name)
}

fn is_variable_file(path: &Path) -> bool {
    matches!(extension(path), "yml" | "yaml" | "json" | "")
}

/// As [`entries`]; a directory that does not exist has none.
fn entries_if_any(directory: &Path, diagnostics: &mut Diagnostics) -> Vec<PathBuf> {
    if directory.exists() {
        entries(directory, diagnostics)
    } else {
        Vec::new()
    }
}

/// What is in a directory, sorted, without hidden files and leftovers.
fn entries(directory: &Path, diagnostics: &mut Diagnostics) -> Vec<PathBuf> {
    let listed = fs::read_dir(directory).and_then(|entries| {
        entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    });
    let mut paths: Vec<PathBuf> = match listed {
        Ok(paths) => paths,
        Err(error) => {
            let message = format!(
                "cannot read the directory `{}`: {error}",
                directory.display()
            );
            diagnostics.push(Diagnostic::error(message));
            return Vec::new();
        }
    };
    paths.retain(|path| {
        let name = file_name(path);
        !name.starts_with('.') && !IGNORED.iter().any(|suffix| name.ends_with(suffix))
    });
    paths.sort_unstable();
    paths
}

fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

fn extension(path: &Path) -> &str {
    path.extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default()
}

/// Whether a text has a section header of its own line, or hosts in lines.
fn is_ini(text: &str) -> bool {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    let section = |line: &str| line.starts_with('[') && line.ends_with(']') && !line.contains(',');
    let first = lines.next().unwrap_or_default();
    section(first) || !first.contains([':', '{', '-']) && !first.is_empty() || lines.any(section)
}
