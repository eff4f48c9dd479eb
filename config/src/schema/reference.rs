//! Values that stand elsewhere, and PEM texts, which may stand in the file.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

/// Where a value that does not belong into the file is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// `{file: /etc/portcullis/idp}`
    File(PathBuf),
    /// `{env: IDP_SECRET}`
    Env(String),
    /// `{credential: idp}`, below `$CREDENTIALS_DIRECTORY`
    Credential(String),
}

/// A PEM text in a file of its own: the file's path, or a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PemFile(pub(crate) Reference);

/// A PEM text that is no secret: written in the file, or referenced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PemText {
    Inline(String),
    Reference(Reference),
}

/// Where a value is that does not belong into the file: exactly one of these.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReferenceShape {
    /// A file; relative to the folder of the configuration.
    file: Option<PathBuf>,
    /// An environment variable.
    env: Option<String>,
    /// A systemd credential (`LoadCredential=`).
    credential: Option<String>,
}

/// What to say to somebody who writes a secret into the file.
const NOT_HERE: &str =
    "a secret does not stand in the configuration: write {file: PATH}, {env: NAME} or {credential: NAME}";

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl<'de> Visitor<'de> for Shape {
            type Value = Reference;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{file: PATH}, {env: NAME} or {credential: NAME}")
            }

            // Neither text nor number is echoed: it may be the secret.
            fn visit_str<E: de::Error>(self, _secret: &str) -> Result<Reference, E> {
                Err(E::custom(NOT_HERE))
            }

            fn visit_u64<E: de::Error>(self, _secret: u64) -> Result<Reference, E> {
                Err(E::custom(NOT_HERE))
            }

            fn visit_i64<E: de::Error>(self, _secret: i64) -> Result<Reference, E> {
                Err(E::custom(NOT_HERE))
            }

            fn visit_f64<E: de::Error>(self, _secret: f64) -> Result<Reference, E> {
                Err(E::custom(NOT_HERE))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Reference, A::Error> {
                let shape = ReferenceShape::deserialize(MapAccessDeserializer::new(map))?;
                match shape {
                    ReferenceShape { file: Some(path), env: None, credential: None } => Ok(Reference::File(path)),
                    ReferenceShape { file: None, env: Some(name), credential: None } => Ok(Reference::Env(name)),
                    ReferenceShape { file: None, env: None, credential: Some(name) } => Ok(Reference::Credential(name)),
                    _ => Err(de::Error::custom("exactly one of `file`, `env` and `credential` says where it is")),
                }
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

impl JsonSchema for Reference {
    fn schema_name() -> Cow<'static, str> {
        "Reference".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = ReferenceShape::json_schema(generator);
        schema.insert("minProperties".into(), 1.into());
        schema.insert("maxProperties".into(), 1.into());
        schema
    }
}

impl<'de> Deserialize<'de> for PemFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl<'de> Visitor<'de> for Shape {
            type Value = PemFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a PEM file, {file: PATH}, {env: NAME} or {credential: NAME}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PemFile, E> {
                // A path has neither lines nor PEM in it; what has may be a key.
                if text.is_empty() || text.contains('\n') || text.contains("-----") {
                    return Err(E::custom("PEM does not stand here: write the path of its file"));
                }
                Ok(PemFile(Reference::File(PathBuf::from(text))))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PemFile, A::Error> {
                Reference::deserialize(MapAccessDeserializer::new(map)).map(PemFile)
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

impl JsonSchema for PemFile {
    fn schema_name() -> Cow<'static, str> {
        "PemFile".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, generator.subschema_for::<Reference>()]})
    }
}

impl<'de> Deserialize<'de> for PemText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl<'de> Visitor<'de> for Shape {
            type Value = PemText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("PEM text, {file: PATH}, {env: NAME} or {credential: NAME}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PemText, E> {
                Ok(PemText::Inline(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PemText, A::Error> {
                Reference::deserialize(MapAccessDeserializer::new(map)).map(PemText::Reference)
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

impl JsonSchema for PemText {
    fn schema_name() -> Cow<'static, str> {
        "PemText".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, generator.subschema_for::<Reference>()]})
    }
}
