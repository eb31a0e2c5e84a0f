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
    /// A name that the paths of the API need.
    #[error("the {what} name {name:?} is reserved")]
    Reserved {
        /// `project` or `function`.
        what: &'static str,
        /// The reserved name.
        name: &'static str,
    },
}

fn shape_ok(s: &str) -> bool {
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
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
    ($(#[$doc:meta])* $ty:ident, $what:literal, $reserved:expr) => {
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
                if !shape_ok(s) {
                    return Err(NameError::Shape { what: $what });
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
    "project",
    ["projects"]
);
name!(
    /// A function within a project.
    FunctionName,
    "function",
    []
);

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
        assert_eq!(
            "projects".parse::<ProjectName>(),
            Err(NameError::Reserved {
                what: "project",
                name: "projects"
            })
        );
    }
}
