//! From the parser's events to [`Node`]s: keys, aliases, merges, and how much of each.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, StrInput, Tag};

use super::{File, Key, Limits, Node, Span, Yaml, scalar, syntax};
use crate::diagnostic::Diagnostic;

/// Errors in one file after which nobody reads on.
const MOST_ERRORS: usize = 50;

/// Reading cannot go on after this one.
type Fatal = Box<Diagnostic>;

/// A value that an alias may stand for, with what its copy costs.
struct Anchored {
    node: Node,
    size: usize,
    height: usize,
}

pub(super) struct Builder<'a> {
    file: &'a Arc<File>,
    parser: Parser<'a, StrInput<'a>>,
    limits: Limits,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    errors: Vec<Diagnostic>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(file: &'a Arc<File>, limits: Limits) -> Self {
        let mut options = granit_parser::options! {
            emit_unresolved_aliases: true,
            flow_nesting_limit: limits.depth,
            block_nesting_limit: limits.depth,
        };
        options.set_emit_comments(false);
        let parser = Parser::new_from_str_with_options(&file.text, options);
        Self {
            file,
            parser,
            limits,
            anchors: HashMap::new(),
            nodes: 0,
            errors: Vec::new(),
        }
    }

    /// The only document, or everything wrong with it.
    pub(super) fn build(mut self) -> Result<Node, Vec<Diagnostic>> {
        match self.document() {
            Ok(node) if self.errors.is_empty() => return Ok(node),
            Ok(_) => {}
            Err(diagnostic) => self.errors.push(*diagnostic),
        }
        Err(self.errors)
    }

    fn document(&mut self) -> Result<Node, Fatal> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(Box::new(
                        Diagnostic::error("only one YAML document per file is supported")
                            .at(span)
                            .label("a second document begins here"),
                    ));
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => {
                    let start = Span {
                        file: Arc::clone(self.file),
                        start: 0,
                        end: 0,
                    };
                    return Ok(root.unwrap_or(Node {
                        span: start,
                        value: Yaml::Null,
                        raw: None,
                    }));
                }
                event => root = Some(self.node(event, span, 1)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Fatal> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let range = span.byte_range().unwrap_or_default();
                Ok((event, self.span(range.start, range.end)))
            }
            Some(Err(error)) => Err(Box::new(syntax::explain(self.file, &error, self.limits))),
            None => Ok((
                Event::StreamEnd,
                self.span(self.file.text.len(), self.file.text.len()),
            )),
        }
    }

    /// Cuts trailing white space, which the parser counts to block scalars and collections.
    fn span(&self, start: usize, end: usize) -> Span {
        let text = self.file.text.get(start..end).unwrap_or_default();
        Span {
            file: Arc::clone(self.file),
            start,
            end: start + text.trim_end().len(),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Fatal> {
        self.count(1, depth, &span)?;
        let before = self.nodes;
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (self.scalar(&text, style, tag.as_deref(), span), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", &span);
                (self.sequence(span, depth)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", &span);
                (self.mapping(span, depth)?, anchor)
            }
            Event::Alias(id) => (self.alias(id, span, depth)?, 0),
            Event::UnresolvedAlias(name) => {
                self.error(
                    Diagnostic::error(format!("no anchor `&{name}` before this alias"))
                        .at(span.clone()),
                )?;
                (
                    Node {
                        span,
                        value: Yaml::Null,
                        raw: None,
                    },
                    0,
                )
            }
            _ => {
                return Err(Box::new(
                    Diagnostic::error("a value was expected here").at(span),
                ));
            }
        };
        if anchor != 0 {
            let size = self.nodes - before + 1;
            // The copy kept for aliases is memory, too.
            self.count(size, depth, &node.span)?;
            let height = height(&node);
            self.anchors.insert(
                anchor,
                Anchored {
                    node: node.clone(),
                    size,
                    height,
                },
            );
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize, depth: usize, span: &Span) -> Result<(), Fatal> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > self.limits.nodes {
            let message = format!(
                "more than {} values after expanding aliases",
                self.limits.nodes
            );
            return Err(Box::new(Diagnostic::error(message).at(span.clone())));
        }
        if depth > self.limits.depth {
            return Err(Box::new(syntax::too_deep(span.clone(), self.limits)));
        }
        Ok(())
    }

    fn error(&mut self, diagnostic: Diagnostic) -> Result<(), Fatal> {
        if self.errors.len() + 1 >= MOST_ERRORS {
            return Err(Box::new(diagnostic));
        }
        self.errors.push(diagnostic);
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Result<Node, Fatal> {
        let Some(Anchored { node, size, height }) = self.anchors.get(&id) else {
            // The parser knows the name, so its value is still being read.
            let message = "an alias cannot be used inside the value it stands for";
            return Err(Box::new(Diagnostic::error(message).at(span)));
        };
        let (node, size, height) = (node.clone(), *size, *height);
        self.count(size - 1, depth + height - 1, &span)?;
        Ok(node)
    }

    fn sequence(&mut self, mut span: Span, depth: usize) -> Result<Node, Fatal> {
        let mut items = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::SequenceEnd {
                span.end = self.end(&span, &at);
                return Ok(Node {
                    span,
                    value: Yaml::Sequence(items),
                    raw: None,
                });
            }
            items.push(self.node(event, at, depth + 1)?);
        }
    }

    fn mapping(&mut self, mut span: Span, depth: usize) -> Result<Node, Fatal> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut places: HashMap<String, Span> = HashMap::new();
        let mut merged = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                span.end = self.end(&span, &at);
                // As in PyYAML: merged keys come first, explicit ones win, of several merged
                // mappings the first wins.
                merged.retain(|(key, _): &(Key, Node)| {
                    !places.contains_key(&key.text)
                        && places.insert(key.text.clone(), key.span.clone()).is_none()
                });
                merged.append(&mut entries);
                return Ok(Node {
                    span,
                    value: Yaml::Mapping(merged),
                    raw: None,
                });
            }
            let merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.key(event, at, depth)?;
            let (event, at) = self.next()?;
            let value = self.node(event, at, depth + 1)?;
            if let Some(first) = places.get(&key.text) {
                let (line, _) = first.line_column();
                self.error(
                    Diagnostic::error(format!("the key `{}` is written twice", key.text))
                        .at(key.span)
                        .help(format!("it is already on line {line}; keep one of them")),
                )?;
                continue;
            }
            places.insert(key.text.clone(), key.span.clone());
            if merge {
                self.merge(value, &mut merged)?;
            } else {
                entries.push((key, value));
            }
        }
    }

    /// The end event of a flow collection is its bracket, that of a block collection is wherever
    /// the parser noticed.
    fn end(&self, start: &Span, end: &Span) -> usize {
        self.span(start.start, end.end.max(start.end)).end
    }

    fn merge(&mut self, value: Node, merged: &mut Vec<(Key, Node)>) -> Result<(), Fatal> {
        match value.value {
            Yaml::Mapping(entries) => merged.extend(entries),
            Yaml::Sequence(items)
                if items
                    .iter()
                    .all(|item| matches!(item.value, Yaml::Mapping(_))) =>
            {
                for item in items {
                    self.merge(item, merged)?;
                }
            }
            _ => self.error(
                Diagnostic::error("`<<` merges a mapping or a list of mappings").at(value.span),
            )?,
        }
        Ok(())
    }

    fn key(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Key, Fatal> {
        let refused = match &event {
            Event::MappingStart(..) | Event::SequenceStart(..)
                if self
                    .file
                    .text
                    .get(..span.start)
                    .is_some_and(|before| before.ends_with('{')) =>
            {
                Diagnostic::error("a value that begins with `{{` must be quoted")
                    .help("write it as `\"{{ … }}\"`")
            }
            Event::Scalar(..) | Event::Alias(_) => {
                let style_is_plain = matches!(event, Event::Scalar(_, ScalarStyle::Plain, ..));
                let written = match &event {
                    Event::Scalar(text, ..) if style_is_plain => Some(text.to_string()),
                    _ => None,
                };
                let node = self.node(event, span.clone(), depth)?;
                if let Some(text) = written.as_deref().or_else(|| node.text()) {
                    return Ok(Key {
                        span,
                        text: text.to_owned(),
                    });
                }
                Diagnostic::error("a key must be text")
            }
            Event::UnresolvedAlias(name) => {
                Diagnostic::error(format!("no anchor `&{name}` before this alias"))
            }
            _ => Diagnostic::error("a key must be text, not a list or a mapping"),
        };
        Err(Box::new(refused.at(span)))
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Node {
        let plain = style == ScalarStyle::Plain;
        let value = match tag {
            None if plain => scalar::resolve(text),
            None => Yaml::String(text.to_owned()),
            Some(tag) => syntax::tagged(tag, text).unwrap_or_else(|diagnostic| {
                self.refuse(diagnostic.at(span.clone()));
                Yaml::Null
            }),
        };
        Node {
            span,
            value,
            raw: plain.then(|| Arc::from(text)),
        }
    }

    /// Refuses every tag but the core one of this shape.
    fn check_tag(&mut self, tag: Option<&Tag>, shape: &str, span: &Span) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema_tag(shape)) {
            self.refuse(syntax::unknown_tag(tag).at(span.clone()));
        }
    }

    /// Reports an error after which reading goes on in any case.
    fn refuse(&mut self, diagnostic: Diagnostic) {
        if self.errors.len() + 1 < MOST_ERRORS {
            self.errors.push(diagnostic);
        }
    }
}

/// Levels of nesting, 1 for a scalar.
fn height(node: &Node) -> usize {
    1 + match &node.value {
        Yaml::Sequence(items) => items.iter().map(height).max().unwrap_or(0),
        Yaml::Mapping(entries) => entries
            .iter()
            .map(|(_, value)| height(value))
            .max()
            .unwrap_or(0),
        _ => 0,
    }
}
