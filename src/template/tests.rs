use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::yaml::Node;

/// Variables as a YAML mapping, data beside it, and names that will be known later.
pub(super) struct Names {
    configured: Node,
    data: BTreeMap<&'static str, Value>,
    later: &'static [&'static str],
}

impl Source for Names {
    fn binding(&self, name: &str, _: Option<&Template>) -> Option<Binding<'_>> {
        if self.later.contains(&name) {
            return Some(Binding::Deferred);
        }
        if let Some(value) = self.data.get(name) {
            return Some(Binding::Data(data(value)));
        }
        self.configured.get(name).map(Binding::Configured)
    }

    fn names(&self) -> BTreeSet<String> {
        let configured = self.configured.as_mapping().unwrap_or_default();
        let configured = configured.iter().map(|(key, _)| key.text.clone());
        configured
            .chain(self.data.keys().map(|name| (*name).to_owned()))
            .collect()
    }
}

pub(super) fn names(text: &str) -> Names {
    let configured = yaml::parse("vars.yml", text.to_owned(), &Limits::default()).unwrap();
    let facts = serde_json::json!({"os": {"id": "centos"}, "hostname": "{{ port }}"});
    Names {
        configured,
        data: [("facts", facts)].into(),
        later: &["result"],
    }
}

const VARIABLES: &str = r#"
port: 8080
url: "http://{{ host }}:{{ port }}"
host: "{{ facts.os.id }}.local"
version: 20.10
mode: 0644
on: yes
list: [1, "{{ port }}"]
map: {a: {b: 1}}
name: "{{ facts.hostname }}"
waits: "{{ result.rc }}"
loop_a: "{{ loop_b }}"
loop_b: "{{ loop_a }}"
broken: "{{ nowhere }}"
"#;

fn span(text: &str) -> Span {
    let file = Arc::new(File {
        path: "task.yml".into(),
        text: text.to_owned(),
    });
    Span {
        file,
        start: 0,
        end: text.len(),
    }
}

pub(super) fn text_node(text: &str) -> Node {
    Node::from_json(Value::String(text.to_owned()), &span(text))
}

fn render(text: &str) -> Result<Rendered<Value>, String> {
    let (engine, names) = (Engine::new(Secrets::Later), names(VARIABLES));
    let scope = Scope::new(&engine, &names);
    scope
        .render(&text_node(text))
        .map(|node| node.map(|node| node.to_json()))
        .map_err(|errors| {
            let shown: Vec<_> = errors.iter().map(describe).collect();
            shown.join("; ")
        })
}

/// `line:column message (help)`, and what is marked.
pub(super) fn describe(error: &Diagnostic) -> String {
    let span = error.span.as_ref().unwrap();
    let help: Vec<_> = error.help.iter().map(|help| format!(" ({help})")).collect();
    format!("[{}] {}{}", span.text(), error.message, help.concat())
}

#[test]
fn a_whole_expression_keeps_its_type() {
    let cases = [
        ("{{ port }}", "8080"),
        (" {{ port }} ", r#"" 8080 ""#),
        ("{{ port }}\n", r#""8080\n""#),
        ("{{- port -}}", "8080"),
        ("{{ port }}/tcp", r#""8080/tcp""#),
        ("{{ port == 8080 }}", "true"),
        ("{{ 1.5 * 2 }}", "3.0"),
        ("{{ list }}", "[1,8080]"),
        ("{{ map.a }}", r#"{"b":1}"#),
        ("{{ none }}", "null"),
        ("{{ '{{ port }}' }}", r#""{{ port }}""#),
        ("{{ port }}{{ port }}", r#""80808080""#),
        ("{{ 'a' ~ port }}", r#""a8080""#),
        ("{{ port | str }}", r#""8080""#),
        ("{{ mode }}", r#""0644""#),
        ("{{ version }}", r#""20.10""#),
        ("v{{ version }}", r#""v20.10""#),
        ("{{ on }}", "true"),
        ("{% if on %}yes{% endif %}", r#""yes""#),
        ("{{ url }}", r#""http://centos.local:8080""#),
        ("<b>{{ '<&>' }}", r#""<b><&>""#),
        ("plain", r#""plain""#),
    ];
    for (text, expected) in cases {
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(render(text), Ok(Rendered::Value(expected)), "{text}");
    }
}

#[test]
fn facts_are_never_rendered() {
    for text in ["{{ facts.hostname }}", "{{ name }}"] {
        assert_eq!(
            render(text),
            Ok(Rendered::Value("{{ port }}".into())),
            "{text}"
        );
    }
}

#[test]
fn what_is_not_known_yet_is_deferred_and_named() {
    let on: BTreeSet<String> = ["result".to_owned()].into();
    for text in ["{{ result.rc }}", "{{ waits }}", "a {{ port }} {{ waits }}"] {
        assert_eq!(
            render(text),
            Ok(Rendered::Deferred { on: on.clone() }),
            "{text}"
        );
    }
}

#[test]
fn defaults_guard_against_undefined() {
    let cases = [
        ("{{ nope or 'x' }}", "x"),
        ("{{ nope | default(value='x') }}", "x"),
        ("{{ map.c or 'x' }}", "x"),
        ("{{ nope?.deeper or 'x' }}", "x"),
        ("{{ nope if nope is defined else 'x' }}", "x"),
        ("{{ 'x' if true else broken }}", "x"),
        (
            "{% for a in list %}{% if loop.last %}x{% endif %}{% endfor %}",
            "x",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(render(text), Ok(Rendered::Value(expected.into())), "{text}");
    }
}

#[test]
fn every_error_names_what_and_where_and_the_way_out() {
    let cases = [
        (
            "{{ prot }}",
            "[prot] `prot` is not defined (did you mean `port`?)",
        ),
        (
            "{{ facts.os.idd }}",
            "[facts.os.idd] `facts.os.idd` is not defined (did you mean `id`?)",
        ),
        (
            "{{ facts.os.idd == 'centos' }}",
            "[facts.os.idd] `facts.os.idd` is not defined (did you mean `id`?)",
        ),
        (
            "{% if map.zzz %}x{% endif %}",
            "[map.zzz] `map.zzz` is not defined (a default can be given: `map.zzz or 'value'`)",
        ),
        (
            "{{ map.x.y }}",
            "[map.x] `map.x` is not defined (did you mean `a`?)",
        ),
        (
            "{{ item }}",
            "[item] `item` is not defined (`item` exists only in a task with `loop`)",
        ),
        (
            "{{ ansible_hostname }}",
            "[ansible_hostname] `ansible_hostname` is not defined (facts are fields of `facts`; \
             `fleet facts HOST` lists them)",
        ),
        (
            "{{ broken }}",
            "[nowhere] `nowhere` is not defined (a default can be given: `nowhere or 'value'`) \
             (needed at task.yml:1)",
        ),
        (
            "{{ loop_a }}",
            "[\"{{ loop_b }}\"] `loop_a` is defined by itself: loop_a → loop_b → loop_a \
             (`loop_b` is defined at vars.yml:13) (needed at task.yml:1)",
        ),
        (
            "{{ result.rc + typo }}",
            "[typo] `typo` is not defined (a default can be given: `typo or 'value'`)",
        ),
        (
            "{{ port | default('x') }}",
            "['x'] found string but expected identifier (arguments have names: write \
             `default(value='x')`, or `x or 'x'`)",
        ),
        (
            "{{ port | to_jsn }}",
            "[to_jsn] unknown filter `to_jsn` (did you mean `to_json`?)",
        ),
        (
            "{{ port is succeeded }}",
            "[succeeded] unknown test `succeeded` (write `not x.failed`)",
        ),
        (
            "{% include 'x' %}",
            "[include] `include` is not supported (a template is one file; pass the parts as \
             variables)",
        ),
        ("{{ port", "[port] unexpected end of input"),
    ];
    for (text, expected) in cases {
        assert_eq!(render(text), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn conditions_are_true_or_false_and_nothing_else() {
    let (engine, names) = (Engine::new(Secrets::Later), names(VARIABLES));
    let scope = Scope::new(&engine, &names);
    let decide = |text: &str| {
        let node = yaml::parse("task.yml", text.to_owned(), &Limits::default()).unwrap();
        scope
            .condition("when", &node)
            .map_err(|errors| describe(&errors[0]))
    };
    assert_eq!(
        decide("port == 8080 and facts.os.id == 'centos'"),
        Ok(Rendered::Value(true))
    );
    assert_eq!(
        decide("nope is defined and nope.x"),
        Ok(Rendered::Value(false))
    );
    assert_eq!(decide("not on"), Ok(Rendered::Value(false)));
    assert_eq!(decide("false"), Ok(Rendered::Value(false)));
    assert_eq!(
        decide("result.rc == 0"),
        Ok(Rendered::Deferred {
            on: ["result".into()].into()
        })
    );
    let cases = [
        (
            "mode",
            "[mode] `when` must be true or false, got the text `0644`",
        ),
        (
            "port",
            "[port] `when` must be true or false, got the number `8080`",
        ),
        ("[a]", "[[a]] `when` must be true or false, got a list"),
        (
            "'{{ on }}'",
            "[{{] a condition is a bare expression, without `{{ }}` (write `on`)",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(decide(text), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn a_line_inside_a_block_is_found_again() {
    let text = "a: |\n  one\n  two {{ typo }}\n";
    let node = yaml::parse("t.yml", text.to_owned(), &Limits::default()).unwrap();
    let (engine, names) = (Engine::new(Secrets::Later), names("{}"));
    let errors = Scope::new(&engine, &names).render(&node).unwrap_err();
    assert_eq!(errors[0].span.as_ref().unwrap().line_column(), (3, 10));
}

#[test]
fn each_text_is_compiled_once() {
    let engine = Engine::new(Secrets::Later);
    let first = engine.compile("{{ a }}", &span("{{ a }}")).unwrap();
    let second = engine.compile("{{ a }}", &span("{{ a }}")).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(first.variables().iter().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_template_file_always_gives_text() {
    let (engine, names) = (Engine::new(Secrets::Later), names(VARIABLES));
    let scope = Scope::new(&engine, &names);
    let file = Span {
        file: Arc::new(File {
            path: Path::new("t").into(),
            text: "{{ port }}\n".into(),
        }),
        start: 0,
        end: 11,
    };
    let rendered = scope.render_file(&file);
    assert_eq!(
        rendered.map_err(|_| ()),
        Ok(Rendered::Value("8080\n".to_owned()))
    );
}

/// As `jinja2.Environment(trim_blocks=True)` of Jinja 3.1.6 does with what Ansible adds around it.
#[test]
fn a_template_file_has_the_line_feeds_that_it_has_in_ansible() {
    let node = "{list: [a, b], nix: [], yes: true, no: false, line: \"x\\n\", port: 8080}";
    let (engine, names) = (Engine::new(Secrets::Later), names(node));
    for (text, expected) in [
        (
            "#\n{% for i in list %}\nitem {{ i }}\n{% endfor %}\nend\n",
            "#\nitem a\nitem b\nend\n",
        ),
        ("{% if yes %}\nyes\n{% endif %}\n", "yes\n"),
        ("{% if no %}\nyes\n{% endif %}\n", "\n"),
        (
            "  {% if yes %}\n  yes\n  {% endif %}\nend",
            "    yes\n  end",
        ),
        ("a\n{# comment #}\nb\n", "a\nb\n"),
        ("{# only #}\n", "\n"),
        ("{% raw %}\n{{ x }}\n{% endraw %}\nb\n", "\n{{ x }}\nb\n"),
        ("{% raw %}{{ x }}{% endraw %}\n", "{{ x }}\n"),
        ("{% if yes -%}\n  a\n{%- endif %}\nb\n", "ab\n"),
        ("a\n{%- if yes %}\nb\n{% endif -%}\n\n c\n", "ab\nc\n"),
        ("{% for i in nix %}\n{{ i }}\n{% endfor %}\n\n\n", "\n\n\n"),
        ("{{ line }}\n", "x\n"),
        ("{{ line }}", "x\n"),
        ("{{ port }}\n\n", "8080\n\n"),
        (
            "{% if yes %}\n\nblank\n\n{% endif %}\n\nb",
            "\nblank\n\n\nb",
        ),
        ("{% if yes %} \nspace\n{% endif %}\n", " \nspace\n"),
        ("{% set a = 1 %}\n{{ a }}\n", "1\n"),
        (
            "{% if yes %}a{% else %}\nb{% endif %}\n{% if no %}\nc\n{% else %}\nd\n{% endif %}\ne\n",
            "ad\ne\n",
        ),
        ("", ""),
        ("\n", "\n"),
        ("\n\n", "\n\n"),
        ("no end", "no end"),
        ("{# a #}{# b #}\n{# c\nd #}\nx\n", "x\n"),
        ("{{ '{% if %}' }}\nx\n", "{% if %}\nx\n"),
        (
            "{% if yes %}\n{% if yes %}\nx\n{% endif %}\n{% endif %}\n",
            "x\n",
        ),
        ("{%- raw -%}\n a \n{%- endraw -%}\n b\n", "ab\n"),
        // Line feeds of Windows are left as they are.
        ("{% if yes %}\r\na\r\n{% endif %}\r\n", "a\r\n"),
    ] {
        let scope = Scope::new(&engine, &names);
        let rendered = scope
            .render_file(&span(text))
            .map_err(|errors| describe(&errors[0]));
        assert_eq!(
            rendered,
            Ok(Rendered::Value(expected.to_owned())),
            "{text:?}"
        );
    }
}

#[test]
fn what_is_wrong_behind_a_line_feed_that_was_left_out_keeps_its_place() {
    let (engine, names) = (Engine::new(Secrets::Later), names(VARIABLES));
    for (text, expected) in [
        ("{% if true %}\n{# c #}\n{{ prot }}\n{% endif %}\n", "prot"),
        (
            "{% if true %}\n{{ port | nofilter }}\n{% endif %}\n",
            "nofilter",
        ),
        ("{% if true %}\n{{ port + }}\n{% endif %}\n", "}}"),
    ] {
        let scope = Scope::new(&engine, &names);
        let errors = scope.render_file(&span(text)).unwrap_err();
        assert_eq!(
            errors[0].span.as_ref().unwrap().text(),
            expected,
            "{text:?}"
        );
    }
}

#[test]
fn what_is_no_file_keeps_its_line_feeds() {
    assert_eq!(
        render("{% if true %}\na\n{% endif %}\n"),
        Ok(Rendered::Value("\na\n\n".into()))
    );
}

#[test]
fn secrets_come_from_the_store_as_they_are() {
    let engine = Engine::new(Secrets::Ask(Arc::new(|name| match name {
        "none" => Err(Diagnostic::error("there is no Such secret").help("make one")),
        _ => Ok(format!("{{{{ {name} }}}}")),
    })));
    let names = names(VARIABLES);
    let cases = [
        ("{{ secret('db') }}", Ok(r#""{{ db }}""#)),
        ("{{ secret(name='db') }}", Ok(r#""{{ db }}""#)),
        ("{{ secret('db/' ~ port) }}", Ok(r#""{{ db/8080 }}""#)),
        ("{{ secret('db') | upper }}", Ok(r#""{{ DB }}""#)),
        ("{{ secret('none') if port == 1 else 2 }}", Ok("2")),
        (
            "a {{ secret('none') }}",
            Err("[secret('none')] there is no Such secret (make one)"),
        ),
        (
            "{{ secret() }}",
            Err("[secret()] missing keyword argument `name`"),
        ),
        (
            "{{ secret('db', default='') }}",
            Err("[secret('db', default='')] `secret` takes a name and nothing else"),
        ),
        (
            "{{ secret(nmae='db') }}",
            Err("[secret(nmae='db')] missing keyword argument `name`"),
        ),
        (
            "{{ secret(missing) }}",
            Err(
                "[missing] `missing` is not defined (a default can be given: `missing or 'value'`)",
            ),
        ),
    ];
    for (text, expected) in cases {
        let scope = Scope::new(&engine, &names);
        let rendered = scope
            .render(&text_node(text))
            .map_err(|errors| describe(&errors[0]));
        let rendered = rendered.map(|node| node.value().unwrap().to_json().to_string());
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(rendered, expected, "{text}");
    }
}

#[test]
fn what_needs_a_secret_waits_where_none_is_asked_for() {
    let engine = Engine::new(Secrets::Ask(Arc::new(|_| unreachable!("nobody asks"))));
    let names = names(VARIABLES);
    let later = Scope::new(&engine, &names).without_secrets();
    for scope in [&later, &later.excusing([])] {
        let rendered = scope.render(&text_node("a {{ secret('db') }}")).unwrap();
        let on = [Secrets::NAME.to_owned()].into();
        assert_eq!(rendered.map(drop), Rendered::Deferred { on });
    }
    assert_eq!(
        render("{{ secret }}"),
        Err(
            "[secret] `secret` is not defined (a default can be given: `secret or 'value'`)"
                .to_owned()
        )
    );
}
