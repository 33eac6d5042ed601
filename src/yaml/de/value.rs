//! A node as serde's source of data.

use serde::de::{self, IntoDeserializer as _, Visitor};
use serde::forward_to_deserialize_any;

use super::super::{Node, Yaml, scalar};
use super::parts::{Entries, Items, Variant};
use super::{Error, list};

/// A node being read as some type.
#[derive(Clone, Copy)]
pub(super) struct Value<'de>(pub(super) &'de Node);

impl Node {
    pub(super) fn expected(&self, what: &str) -> Error {
        Error::new(format!("expected {what}, found {}", self.describe()))
    }

    /// The integer, or the digits a template left.
    fn integer(&self, what: &str) -> Result<i128, Error> {
        let from_text = |text: &str| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let only_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            only_digits.then(|| text.parse().ok()).flatten()
        };
        match &self.value {
            Yaml::Integer(integer) => Some(i128::from(*integer)),
            Yaml::String(text) if self.raw.is_none() => from_text(text),
            _ => None,
        }
        .ok_or_else(|| self.expected(what).at(&self.span))
    }
}

/// One method per integer type: the range is in the message.
macro_rules! integers {
    ($($method:ident $visit:ident $type:ident),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let integer = self.0.integer("a whole number")?;
            let integer = $type::try_from(integer).map_err(|_| {
                let (least, most) = ($type::MIN, $type::MAX);
                Error::new(format!("expected a whole number from {least} to {most}, found `{integer}`"))
                    .at(&self.0.span)
            })?;
            visitor.$visit(integer).map_err(|error: Error| error.at(&self.0.span))
        })*
    };
}

impl<'de> de::Deserializer<'de> for Value<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Yaml::Null => visitor.visit_unit(),
            Yaml::Bool(bool) => visitor.visit_bool(*bool),
            Yaml::Integer(integer) => visitor.visit_i64(*integer),
            Yaml::Float(float) => visitor.visit_f64(*float),
            Yaml::String(text) => visitor.visit_borrowed_str(text),
            Yaml::Sequence(items) => visitor.visit_seq(Items(items.iter())),
            Yaml::Mapping(entries) => visitor.visit_map(Entries::new(entries)),
        }
        .map_err(|error: Error| error.at(&self.0.span))
    }

    integers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Yaml::Bool(bool) => visitor.visit_bool(*bool),
            // What a template left is text if its variable was: `-e create=no`.
            Yaml::String(text) => match scalar::resolve(text) {
                Yaml::Bool(bool) if self.0.span.text().contains("{{") => visitor.visit_bool(bool),
                Yaml::Bool(_) => Err(self
                    .0
                    .expected("a boolean")
                    .help(format!("remove the quotes: `{text}`"))),
                _ => Err(self.0.expected("a boolean").help("write `true` or `false`")),
            },
            _ => Err(self.0.expected("a boolean").help("write `true` or `false`")),
        }
        .map_err(|error| error.at(&self.0.span))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "where a float is wanted, its precision is"
    )]
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Yaml::Float(float) => visitor.visit_f64(*float),
            _ => visitor.visit_f64(self.0.integer("a number")? as f64),
        }
        .map_err(|error: Error| error.at(&self.0.span))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match (&self.0.value, self.0.text()) {
            (_, Some(text)) => visitor.visit_borrowed_str(text),
            // Without raw text it comes from a template that kept the type.
            (Yaml::Bool(bool), _) => visitor.visit_string(bool.to_string()),
            (Yaml::Integer(integer), _) => visitor.visit_string(integer.to_string()),
            (Yaml::Float(float), _) => visitor.visit_string(float.to_string()),
            (Yaml::Null, _) => Err(self.0.expected("text").help("`\"\"` is the empty text")),
            _ => Err(self.0.expected("text")),
        }
        .map_err(|error: Error| error.at(&self.0.span))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.value {
            Yaml::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor
            .visit_newtype_struct(self)
            .map_err(|error: Error| error.at(&self.0.span))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let error = match &self.0.value {
            Yaml::Sequence(items) => {
                return visitor
                    .visit_seq(Items(items.iter()))
                    .map_err(|error: Error| error.at(&self.0.span));
            }
            Yaml::Null => self.0.expected("a list").help("`[]` is the empty list"),
            Yaml::Mapping(_) => self.0.expected("a list").help("begin each item with `- `"),
            _ => {
                let error = self.0.expected("a list");
                match self.0.text() {
                    Some(text) if text.len() < 40 => {
                        error.help(format!("write a list: `[{text}]`"))
                    }
                    _ => error.help("write a list: `[…]`"),
                }
            }
        };
        Err(error.at(&self.0.span))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Yaml::Mapping(entries) => visitor.visit_map(Entries::new(entries)),
            Yaml::Null => Err(self
                .0
                .expected("a mapping")
                .help("`{}` is the empty mapping")),
            _ => Err(self.0.expected("a mapping").help("write `key: value`")),
        }
        .map_err(|error: Error| error.at(&self.0.span))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match (&self.0.value, self.0.text()) {
            (_, Some(text)) => visitor.visit_enum(text.into_deserializer()),
            (Yaml::Mapping(entries), _) if let [(key, value)] = entries.as_slice() => {
                visitor.visit_enum(Variant { key, value })
            }
            _ => Err(self.0.expected(&format!("one of {}", list(variants)))),
        }
        .map_err(|error: Error| error.at(&self.0.span))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { bytes byte_buf unit unit_struct }
}
