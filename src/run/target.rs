//! From a host's variables, the play and the command line to how it is reached.
//!
//! Variables win over the play, the play over the command line, as in Ansible.

use serde_json::Value;

use crate::inventory::{Connection, HostName, Method};
use crate::transport::{Become, Kind, SshArguments, Target};

use super::Login;

/// Finds out how a host is reached. `variable` gives a variable's value by its name.
///
/// # Errors
/// The variable that makes no sense, in words.
pub(super) fn target(
    host: &HostName,
    become_root: Option<bool>,
    login: &Login,
    variable: impl Fn(&str) -> Option<Value>,
) -> Result<Target, String> {
    let connection = Connection::from_values(host, variable)?;
    // Before contact: a plan refuses what no connection would be made with.
    SshArguments::parse(&connection.common_args)
        .and_then(|arguments| arguments.check_files())
        .map_err(|message| format!("`ansible_ssh_common_args`: {message}"))?;
    let becomes = connection
        .r#become
        .or(become_root)
        .unwrap_or(login.become_root);
    let key = connection
        .private_key_file
        .or_else(|| login.private_key.clone());
    Ok(Target {
        name: host.to_string(),
        host: connection.host,
        port: connection.port,
        user: connection.user.or_else(|| login.user.clone()),
        private_key_file: key.map(|path| path.to_string_lossy().into_owned()),
        common_args: connection.common_args,
        become_: becomes.then(|| Become {
            user: connection.become_user.unwrap_or_else(|| "root".to_owned()),
        }),
        kind: match connection.method {
            Method::Ssh => Kind::Ssh,
            Method::Local => Kind::Local,
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn variables_win_over_the_play_and_the_play_over_the_command_line() {
        let login = Login {
            user: Some("me".to_owned()),
            become_root: true,
            ..Login::default()
        };
        let host: HostName = "web01".parse().unwrap();
        for (variables, play, user, becomes) in [
            (json!({}), None, "me", true),
            (json!({}), Some(false), "me", false),
            (json!({ "ansible_become": true }), Some(false), "me", true),
            (json!({ "ansible_user": "ops" }), Some(true), "ops", true),
        ] {
            let lookup = |name: &str| variables.get(name).cloned();
            let target = target(&host, play, &login, lookup).unwrap();
            assert_eq!(target.user.as_deref(), Some(user), "{variables} {play:?}");
            assert_eq!(target.become_.is_some(), becomes, "{variables} {play:?}");
        }
    }
}
