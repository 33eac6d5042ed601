//! Files made from templates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::yaml::{Key, Node, Span, Yaml};

/// A file made from a template of the role (or of the folder `templates` beside the playbook).
///
/// The controller renders it; on the host it is a `copy`, with the same drift, diff, `validate`
/// and `backup`.
///
/// Line feeds are those of Ansible (`trim_blocks`): one right after `{% … %}` or `{# … #}` is left
/// out, so a line that holds only tags leaves none; blanks before the tag stay. The file ends
/// with at least as many line feeds as the template.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The template, looked up in `templates/`.
    pub src: String,
    /// The path on the host.
    pub dest: String,
    /// The user the file belongs to, by name or number.
    #[serde(default)]
    pub owner: Option<String>,
    /// The group the file belongs to, by name or number.
    #[serde(default)]
    pub group: Option<String>,
    /// Permission bits in octal, with a leading zero: `0644`.
    #[serde(default)]
    pub mode: Option<String>,
    /// A command that must succeed on the new file before it is put in place; `%s` is the file.
    #[serde(default)]
    pub validate: Option<String>,
    /// Keep the old file beside the new one.
    #[serde(default)]
    pub backup: bool,
}

impl Template {
    pub(in crate::playbook) const KIND: &'static str = "template";
    pub(in crate::playbook) const EXAMPLE: &'static str = "\
- template:
    src: daemon.json.j2
    dest: /etc/docker/daemon.json
    owner: root
    group: root
    mode: 0644
    validate: dockerd --validate --config-file %s
    backup: true
  notify: restart docker
";

    /// The arguments of the `copy` this comes to: the rendered ones without `src`, with the
    /// content, each at its place.
    pub(in crate::playbook) fn lower(arguments: &Node, content: &str, place: &Span) -> Node {
        let mut entries = arguments.as_mapping().unwrap_or_default().to_vec();
        for (key, value) in &mut entries {
            if key.text == "src" {
                let text = "content".to_owned();
                *key = Key {
                    span: key.span.clone(),
                    text,
                };
                *value = Node {
                    span: place.clone(),
                    value: Yaml::String(content.to_owned()),
                    raw: None,
                };
            }
        }
        Node {
            span: arguments.span.clone(),
            value: Yaml::Mapping(entries),
            raw: None,
        }
    }
}
