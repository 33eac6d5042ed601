//! From a task and its names to what is sent to a host or answered by the controller.

use std::collections::BTreeSet;
use std::path::Path;

use super::action::{Action, Answer};
use super::kind::{Declared, KindEntry};
use super::place::{named, place_of};
use super::{Contents, Folder, Task, find_source, kinds};
use crate::diagnostic::Diagnostic;
use crate::protocol::{self, HIDDEN_REASON};
use crate::resource::AnyResource;
use crate::template::{Errors, Rendered, Scope, plain};
use crate::yaml::{Key, Node, Span, TypeError, Yaml};

/// A task on one host, ready to be done.
#[derive(Clone, Debug)]
pub enum Prepared {
    /// To be sent; the files it takes from the controller are found, as
    /// [`Source::Path`](protocol::Source::Path).
    Resource(Box<AnyResource>),
    /// Done.
    Answer(Answer),
}

/// Renders a task's arguments and reads them as its kind; finds the files it names.
///
/// # Errors
/// Everything wrong with them, each at its place.
pub fn prepare(
    task: &Task,
    scope: &Scope<'_>,
    contents: &Contents,
) -> Result<Rendered<Prepared>, Errors> {
    let mut arguments = task.arguments.clone();
    if let (Some(user), Yaml::Mapping(entries)) = (&task.run_as, &mut arguments.value) {
        let text = "run_as".to_owned();
        entries.push((
            Key {
                span: user.span.clone(),
                text,
            },
            user.clone(),
        ));
    }
    match task.kind.name {
        "assert" => assert(&arguments, task, scope),
        "debug" => debug(&arguments, task, scope),
        "template" => template(&arguments, task, scope, contents),
        _ => {
            let rendered = match scope.render(&arguments)? {
                Rendered::Value(rendered) => rendered,
                Rendered::Deferred { on } => {
                    task.kind
                        .check_fields(&arguments)
                        .map_err(|error| vec![error.into()])?;
                    let mut errors = check_known(&arguments, task.kind, scope);
                    errors.extend(
                        copied(&arguments, task, scope, contents)
                            .err()
                            .into_iter()
                            .flatten(),
                    );
                    return match &errors[..] {
                        [] => Ok(Rendered::Deferred { on }),
                        _ => Err(concealed(errors, task)),
                    };
                }
            };
            declare(&rendered, task, contents).map_err(|errors| concealed(errors, task))
        }
    }
}

fn diagnostics(errors: Vec<TypeError>) -> Errors {
    errors.into_iter().map(Diagnostic::from).collect()
}

/// Reads rendered arguments as the task's kind.
fn declare(
    rendered: &Node,
    task: &Task,
    contents: &Contents,
) -> Result<Rendered<Prepared>, Errors> {
    let answer = match task.kind.parse(rendered).map_err(diagnostics)? {
        Declared::Resource(resource) => {
            let resource = resource_of(resource, rendered, task, contents)?;
            return Ok(Rendered::Value(resource));
        }
        Declared::Action(Action::Fail(fail)) => Answer::Failed { message: fail.msg },
        Declared::Action(Action::SetFact(_)) => match plain(rendered) {
            serde_json::Value::Object(facts) => Answer::Facts(facts),
            _ => Answer::Facts(serde_json::Map::new()),
        },
        Declared::Action(_) => unreachable!("assert, debug and template have their own way"),
    };
    Ok(Rendered::Value(Prepared::Answer(answer)))
}

/// The errors without the values of variables they may quote, if those are not to be shown.
fn concealed(mut errors: Errors, task: &Task) -> Errors {
    for error in &mut errors {
        let literal = |span: &Span| !span.text().contains("{{");
        if task.no_log && !error.span.as_ref().is_some_and(literal) {
            let span = error.span.clone().unwrap_or_else(|| task.span.clone());
            *error = Diagnostic::error(format!("refused; {HIDDEN_REASON}")).at(span);
        }
    }
    errors
}

/// Checks what types cannot, and finds the files.
fn resource_of(
    mut resource: Box<AnyResource>,
    rendered: &Node,
    task: &Task,
    contents: &Contents,
) -> Result<Prepared, Errors> {
    let mut errors = Vec::new();
    if let Err(message) = resource.validate() {
        let kind = kinds()
            .get(resource.kind())
            .expect("every resource is of a kind");
        let says = |rest: &Node| match kind.parse(rest) {
            Ok(Declared::Resource(resource)) => resource.validate().err(),
            Ok(Declared::Action(_)) | Err(_) => None,
        };
        errors.extend(refused(&message, rendered, task, says));
    }
    for source in resource.sources_mut() {
        let protocol::Source::Path(name) = source else {
            continue;
        };
        if contents.absent(Path::new(name)).is_some() {
            continue;
        }
        let span = place_of(rendered, name).unwrap_or(&rendered.span);
        match find_source(task, name, span, Folder::Files) {
            Ok(path) => *name = path.to_string_lossy().into_owned(),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(Prepared::Resource(resource))
    } else {
        Err(errors)
    }
}

/// What a kind finds wrong, a line each, at the field it is about. Where values are not to be
/// shown, that is no reason to show one: the whole task is marked, and with it concealed.
///
/// `says` gives the problems of other arguments.
pub(super) fn refused(
    problems: &str,
    arguments: &Node,
    task: &Task,
    says: impl Fn(&Node) -> Option<String>,
) -> Errors {
    let at = |problem: &str| {
        let persists = |rest: &Node| {
            says(rest).is_some_and(|problems| problems.split('\n').any(|it| it == problem))
        };
        let place = named(arguments, problem, persists).filter(|_| !task.no_log);
        Diagnostic::error(problem).at(place.unwrap_or(&arguments.span).clone())
    };
    problems.split('\n').map(at).collect()
}

/// What is wrong with the fields that are known while others are not.
fn check_known(arguments: &Node, kind: &KindEntry, scope: &Scope<'_>) -> Errors {
    let known = |value: &Node| scope.render(value).ok().and_then(Rendered::value);
    let entries = arguments.as_mapping().unwrap_or_default().iter();
    let entries = entries.filter_map(|(key, value)| Some((key.clone(), known(value)?)));
    let known = Node {
        value: Yaml::Mapping(entries.collect()),
        ..arguments.clone()
    };
    diagnostics(kind.check_known(&known))
}

/// A `copy` whose other fields are not known yet can still miss its file.
fn copied(
    arguments: &Node,
    task: &Task,
    scope: &Scope<'_>,
    contents: &Contents,
) -> Result<(), Errors> {
    let Some(src) = arguments.get("src").filter(|_| task.kind.name == "copy") else {
        return Ok(());
    };
    let Rendered::Value(src) = scope.render(src)? else {
        return Ok(());
    };
    let Some(name) = src.text() else {
        return Ok(());
    };
    if contents.absent(Path::new(name)).is_some() {
        return Ok(());
    }
    find_source(task, name, &src.span, Folder::Files)
        .map(drop)
        .map_err(|error| vec![error])
}

/// The arguments but for one field, which is not rendered.
fn render_but(field: &str, arguments: &Node, scope: &Scope<'_>) -> Result<Rendered<Node>, Errors> {
    let entries = arguments.as_mapping().unwrap_or_default();
    let rest = entries
        .iter()
        .filter(|(key, _)| key.text != field)
        .cloned()
        .collect();
    let rest = Node {
        value: Yaml::Mapping(rest),
        ..arguments.clone()
    };
    let kept: Vec<_> = entries
        .iter()
        .filter(|(key, _)| key.text == field)
        .cloned()
        .collect();
    Ok(scope.render(&rest)?.map(|mut node| {
        if let Yaml::Mapping(entries) = &mut node.value {
            entries.extend(kept);
        }
        node
    }))
}

fn assert(arguments: &Node, task: &Task, scope: &Scope<'_>) -> Result<Rendered<Prepared>, Errors> {
    task.kind
        .check_fields(arguments)
        .map_err(|error| vec![error.into()])?;
    let that = arguments.get("that");
    let those = that.map(|node| node.as_sequence().unwrap_or(std::slice::from_ref(node)));
    let mut errors = Vec::new();
    let mut waits = BTreeSet::new();
    let mut broken = None;
    for condition in those.unwrap_or_default() {
        match scope.condition("that", condition) {
            Ok(Rendered::Value(true)) => {}
            Ok(Rendered::Value(false)) => {
                broken.get_or_insert(condition);
            }
            Ok(Rendered::Deferred { on }) => waits.extend(on),
            Err(found) => errors.extend(found),
        }
    }
    let rendered = render_but("that", arguments, scope);
    if !errors.is_empty() {
        errors.extend(rendered.err().unwrap_or_default());
        return Err(errors);
    }
    let rendered = match rendered? {
        Rendered::Value(rendered) if waits.is_empty() => rendered,
        Rendered::Value(_) => return Ok(Rendered::Deferred { on: waits }),
        Rendered::Deferred { on } => return Ok(Rendered::Deferred { on }),
    };
    let declared = task.kind.parse(&rendered).map_err(diagnostics)?;
    let Declared::Action(Action::Assert(assert)) = declared else {
        unreachable!("the kind `assert` reads as that action");
    };
    let answer = match broken {
        None => Answer::Passed {
            message: assert.success_msg,
        },
        Some(condition) => Answer::Failed {
            message: assert.fail_msg.unwrap_or_else(|| {
                format!("`{}` does not hold", condition.text().unwrap_or("that"))
            }),
        },
    };
    Ok(Rendered::Value(Prepared::Answer(answer)))
}

fn debug(arguments: &Node, task: &Task, scope: &Scope<'_>) -> Result<Rendered<Prepared>, Errors> {
    task.kind.parse(arguments).map_err(diagnostics)?;
    let shown = match (arguments.get("msg"), arguments.get("var")) {
        (Some(message), None) => scope.render(message)?.map(|node| match node.text() {
            Some(text) => text.to_owned(),
            None => pretty(&plain(&node)),
        }),
        (None, Some(variable)) => {
            let name = variable.text().unwrap_or_default();
            scope
                .expression(name, &variable.span)?
                .map(|value| format!("{name}: {}", pretty(&value)))
        }
        _ => {
            let message = "`debug` needs either `msg` or `var`";
            return Err(vec![Diagnostic::error(message).at(arguments.span.clone())]);
        }
    };
    Ok(shown.map(|text| {
        Prepared::Answer(Answer::Passed {
            message: Some(text),
        })
    }))
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

/// Finds and renders the file even if other fields are not known yet, so that what is wrong in
/// it is seen early.
fn template(
    arguments: &Node,
    task: &Task,
    scope: &Scope<'_>,
    contents: &Contents,
) -> Result<Rendered<Prepared>, Errors> {
    let mut errors = Vec::new();
    let mut content = None;
    if let Some(src) = arguments.get("src") {
        match scope.render(src) {
            Ok(Rendered::Value(src)) => match file(&src, task, scope) {
                Ok(rendered) => content = Some((rendered, src.span)),
                Err(found) => errors.extend(found),
            },
            // What is wrong with `src` itself comes up again with the other fields below.
            Ok(Rendered::Deferred { .. }) | Err(_) => {}
        }
    }
    task.kind
        .check_fields(arguments)
        .map_err(|error| vec![error.into()])?;
    let rendered = match scope.render(arguments) {
        Ok(rendered) if errors.is_empty() => rendered,
        Ok(_) => return Err(errors),
        Err(found) => {
            errors.extend(found);
            return Err(errors);
        }
    };
    let copy = kinds().get("copy").expect("`copy` is a kind");
    let arguments = match rendered {
        Rendered::Value(arguments) => arguments,
        Rendered::Deferred { on } => {
            let mut errors = check_known(arguments, task.kind, scope);
            let lowered = super::action::Template::lower(arguments, "", &arguments.span);
            errors.extend(check_known(&lowered, copy, scope));
            return match &errors[..] {
                [] => Ok(Rendered::Deferred { on }),
                _ => Err(concealed(errors, task)),
            };
        }
    };
    task.kind.parse(&arguments).map_err(diagnostics)?;
    let (content, place) = content.expect("a template's `src` is required, so it was rendered");
    let (content, deferred) = match content {
        Rendered::Value(content) => (content, None),
        // All but the content is known, and can be wrong.
        Rendered::Deferred { on } => (String::new(), Some(on)),
    };
    let lowered = super::action::Template::lower(&arguments, &content, &place);
    match copy.parse(&lowered).map_err(diagnostics)? {
        Declared::Resource(resource) => {
            let resource = resource_of(resource, &lowered, task, contents)?;
            Ok(match deferred {
                None => Rendered::Value(resource),
                Some(on) => Rendered::Deferred { on },
            })
        }
        Declared::Action(_) => unreachable!("`copy` works on the host"),
    }
}

fn file(src: &Node, task: &Task, scope: &Scope<'_>) -> Result<Rendered<String>, Errors> {
    let Some(name) = src.text() else {
        let message = format!("`src` must be text, got {}", src.describe());
        return Err(vec![Diagnostic::error(message).at(src.span.clone())]);
    };
    let path =
        find_source(task, name, &src.span, Folder::Templates).map_err(|error| vec![error])?;
    let file = scope.engine().file(&path).map_err(|error| {
        let place = src.span.clone();
        vec![if error.span.is_none() {
            error.at(place)
        } else {
            error
        }]
    })?;
    let span = Span {
        start: 0,
        end: file.text.len(),
        file: file.clone(),
    };
    scope.render_file(&span)
}
