//! What the kernel and the files read at boot say of modules.

use std::path::PathBuf;

use super::modprobe;
use crate::host::config_dirs::ConfigFile;

/// Lines of `/proc/modules` begin with the name: `br_netfilter 32768 0 - Live 0x…`.
pub(super) fn is_loaded(modules: &str, kernel_name: &str) -> bool {
    modules
        .lines()
        .any(|line| line.split(' ').next() == Some(kernel_name))
}

/// Lines of `modules.builtin` are paths: `kernel/fs/ext4/ext4.ko`.
pub(super) fn is_built_in(modules: &str, kernel_name: &str) -> bool {
    modules
        .lines()
        .filter_map(modprobe::module_of)
        .any(|name| name == kernel_name)
}

pub(super) fn listed_in(files: &[ConfigFile], kernel_name: &str) -> Vec<PathBuf> {
    let lists = |file: &&ConfigFile| {
        let mut lines = file.text.split(|byte| *byte == b'\n');
        lines.any(|line| is_listing(line, kernel_name))
    };
    files
        .iter()
        .filter(lists)
        .map(|file| file.path.clone())
        .collect()
}

/// Whether a line of `modules-load.d` names the module.
pub(super) fn is_listing(line: &[u8], kernel_name: &str) -> bool {
    let line = String::from_utf8_lossy(line.trim_ascii());
    !line.starts_with(['#', ';']) && modprobe::kernel_name(&line) == kernel_name
}

/// The kernel shows truth values as `Y` and `N`, however they were given.
pub(super) fn same_parameter(wanted: &str, actual: &str) -> bool {
    let truth = |value: &str| match value.to_ascii_lowercase().as_str() {
        "y" | "yes" | "1" | "true" | "on" => Some(true),
        "n" | "no" | "0" | "false" | "off" => Some(false),
        _ => None,
    };
    match actual {
        "Y" => truth(wanted) == Some(true),
        "N" => truth(wanted) == Some(false),
        actual => wanted == actual,
    }
}
