//! Names that reach URLs, file paths and subjects: parsed once, valid ever after.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, too long, or a character outside the rule.
    #[error(
        "a {what} name matches [a-z0-9]([a-z0-9_-]{{0,62}}[a-z0-9])?: lower case letters, digits, '-' and '_', at most 64"
    )]
    Shape {
        /// `project` or `function`.
        what: &'static str,
    },
    /// As `Shape`, for secrets: theirs may have capitals.
    #[error(
        "a secret's name matches [A-Za-z0-9]([A-Za-z0-9_-]{{0,62}}[A-Za-z0-9])?: letters, digits, '-' and '_', at most 64"
    )]
    SecretShape,
    /// A name that the paths of the API need.
    #[error("the {what} name {name:?} is reserved")]
    Reserved {
        /// `project` or `function`.
        what: &'static str,
        /// The reserved name.
        name: &'static str,
    },
}

/// Whether a kind of name may have capitals.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Lower,
    Any,
}

fn shape_ok(s: &str, case: Case) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || (case == Case::Any && b.is_ascii_uppercase());
    let edge = |b: u8| letter(b) || b.is_ascii_digit();
    let inner = |b: u8| edge(b) || b == b'_' || b == b'-';
    let bytes = s.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(&a), Some(&z)) => {
            bytes.len() <= NAME_BYTES_MAX && edge(a) && edge(z) && bytes.iter().all(|&b| inner(b))
        }
        _ => false,
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $ty:ident, $case:expr, $shape:expr, $what:literal, $reserved:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $ty(Arc<str>);

        impl $ty {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $ty {
            type Err = NameError;
            fn from_str(s: &str) -> Result<Self, NameError> {
                if !shape_ok(s, $case) {
                    return Err($shape);
                }
                let reserved: &[&'static str] = &$reserved;
                if let Some(name) = reserved.iter().find(|r| **r == s) {
                    return Err(NameError::Reserved { what: $what, name });
                }
                Ok(Self(Arc::from(s)))
            }
        }
        impl fmt::Display for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
        impl AsRef<str> for $ty {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl serde::Serialize for $ty {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }
        impl<'de> serde::Deserialize<'de> for $ty {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let s = std::borrow::Cow::<'de, str>::deserialize(d)?;
                s.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// A project (tenant). Its name is its id.
    ProjectName,
    Case::Lower,
    NameError::Shape { what: "project" },
    "project",
    ["projects"]
);
name!(
    /// A function within a project.
    FunctionName,
    Case::Lower,
    NameError::Shape { what: "function" },
    "function",
    []
);
name!(
    /// A secret within a project.
    SecretName,
    Case::Any,
    NameError::SecretShape,
    "secret",
    []
);

impl SecretName {
    /// What a function writes where the value is to stand: `{{secret:API_KEY}}`.
    #[must_use]
    pub fn handle(&self) -> String {
        format!("{{{{secret:{}}}}}", self.0)
    }
}

impl ProjectName {
    /// The project that a manifest without `project` belongs to.
    #[must_use]
    pub fn default_project() -> Self {
        Self(Arc::from("default"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_of_the_design_holds() {
        for good in ["a", "0", "hello", "a-b_c9", &"x".repeat(64)] {
            assert!(good.parse::<FunctionName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "_a",
            "A",
            "a b",
            "a/b",
            "ä",
            "..",
            &"x".repeat(65),
            "a\n",
        ] {
            assert!(bad.parse::<FunctionName>().is_err(), "{bad}");
        }
        for good in ["API_KEY", "a", "Z9", "x-Y_z"] {
            assert!(good.parse::<SecretName>().is_ok(), "{good}");
        }
        for bad in ["", "_A", "A_", "A B", "A:B", "A}}", "Ä", &"X".repeat(65)] {
            assert_eq!(bad.parse::<SecretName>(), Err(NameError::SecretShape), "{bad}");
        }
        assert_eq!(
            "projects".parse::<ProjectName>(),
            Err(NameError::Reserved {
                what: "project",
                name: "projects"
            })
        );
    }
}
