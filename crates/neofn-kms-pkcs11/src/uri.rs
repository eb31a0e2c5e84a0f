//! PKCS #11 URIs, RFC 7512: which token and key, by which library, with whose PIN. Everything that is not understood is
//! refused: a misspelt attribute must not choose another key.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

const SCHEME: &str = "pkcs11:";
/// Longest URI.
const BYTES_MAX: usize = 2_048;

/// A key on a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs11Uri {
    /// The token's label.
    pub token: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Its manufacturer.
    pub manufacturer: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// The key's label.
    pub object: Option<String>,
    /// The key's id.
    pub id: Option<Vec<u8>>,
    /// The library to load, absolute.
    pub module: PathBuf,
    /// The file with the PIN of the token's user, that nobody else may read. A PIN is never in the URI: arguments are seen by
    /// everybody on the machine.
    pub pin: PathBuf,
}

/// Text that is no such URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// It is another kind of URI, or absurdly long.
    #[error("a root on a token is written pkcs11:token=…;object=…?module-path=/…/lib.so&pin-source=file:/…")]
    Scheme,
    /// Something that is not understood.
    #[error(
        "{0:?} is no attribute that is understood here: token, serial, manufacturer, model, object, id, type, module-path and pin-source are"
    )]
    Unknown(String),
    /// The same twice.
    #[error("`{0}` stands there twice")]
    Twice(&'static str),
    /// A value that cannot be meant.
    #[error("`{name}` {why}")]
    Value {
        /// Of which attribute.
        name: &'static str,
        /// What it should be.
        why: &'static str,
    },
}

/// What an attribute's bytes must be.
fn text(name: &'static str, bytes: Vec<u8>) -> Result<String, UriError> {
    match String::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && !text.contains(char::is_control) => Ok(text),
        _ => Err(UriError::Value {
            name,
            why: "is text, and not empty",
        }),
    }
}
fn absolute(name: &'static str, bytes: Vec<u8>) -> Result<PathBuf, UriError> {
    let path = text(name, bytes)?;
    let path = PathBuf::from(path.strip_prefix("file:").unwrap_or(&path));
    match path.is_absolute() {
        true => Ok(path),
        false => Err(UriError::Value {
            name,
            why: "is an absolute path",
        }),
    }
}

/// Turns `%41` into `A`.
fn decoded(name: &'static str, value: &str) -> Result<Vec<u8>, UriError> {
    let bad = || UriError::Value {
        name,
        why: "has a percent sign without two hexadecimal digits behind it",
    };
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| char::from(b?).to_digit(16);
        let (high, low) = (digit(rest.next()), digit(rest.next()));
        let pair = high.zip(low).map(|(high, low)| high * 16 + low);
        out.push(pair.and_then(|n| u8::try_from(n).ok()).ok_or_else(bad)?);
    }
    Ok(out)
}

/// Reads an attribute into its place.
fn put<T>(
    name: &'static str,
    place: &mut Option<T>,
    value: &str,
    read: fn(&'static str, Vec<u8>) -> Result<T, UriError>,
) -> Result<(), UriError> {
    match place.replace(read(name, decoded(name, value)?)?) {
        None => Ok(()),
        Some(_) => Err(UriError::Twice(name)),
    }
}

/// As attributes come in, before it is known whether all are there.
#[derive(Default)]
struct Parts {
    token: Option<String>,
    serial: Option<String>,
    manufacturer: Option<String>,
    model: Option<String>,
    object: Option<String>,
    id: Option<Vec<u8>>,
    kind: Option<String>,
    module: Option<PathBuf>,
    pin: Option<PathBuf>,
}

impl Parts {
    fn path(&mut self, name: &str, value: &str) -> Result<(), UriError> {
        match name {
            "token" => put("token", &mut self.token, value, text),
            "serial" => put("serial", &mut self.serial, value, text),
            "manufacturer" => put("manufacturer", &mut self.manufacturer, value, text),
            "model" => put("model", &mut self.model, value, text),
            "object" => put("object", &mut self.object, value, text),
            "id" => put("id", &mut self.id, value, |_, bytes| Ok(bytes)),
            "type" => put("type", &mut self.kind, value, text),
            other => Err(unknown(other)),
        }
    }
    fn query(&mut self, name: &str, value: &str) -> Result<(), UriError> {
        match name {
            "module-path" => put("module-path", &mut self.module, value, absolute),
            "pin-source" => put("pin-source", &mut self.pin, value, absolute),
            "pin-value" => Err(UriError::Value {
                name: "pin-value",
                why: "would be seen by everybody on the machine: write the PIN into a file, and name that by pin-source=file:/…",
            }),
            other => Err(unknown(other)),
        }
    }
    fn whole(self) -> Result<Pkcs11Uri, UriError> {
        let missing = |name, why| UriError::Value { name, why };
        if self.kind.is_some_and(|kind| kind != "secret-key") {
            return Err(missing("type", "is secret-key"));
        }
        if self.token.is_none() && self.serial.is_none() {
            return Err(missing(
                "token",
                "is missing, and so is `serial`: one of them says which token",
            ));
        }
        if self.object.is_none() && self.id.as_ref().is_none_or(Vec::is_empty) {
            return Err(missing(
                "object",
                "is missing, and so is `id`: one of them says which key",
            ));
        }
        let module = self.module.ok_or_else(|| {
            missing(
                "module-path",
                "is missing: which library speaks to the token, such as /usr/lib/softhsm/libsofthsm2.so",
            )
        })?;
        let pin = self.pin.ok_or_else(|| {
            missing(
                "pin-source",
                "is missing: which file holds the PIN, such as pin-source=file:/etc/neofn/pin",
            )
        })?;
        Ok(Pkcs11Uri {
            token: self.token,
            serial: self.serial,
            manufacturer: self.manufacturer,
            model: self.model,
            object: self.object,
            id: self.id,
            module,
            pin,
        })
    }
}

fn unknown(name: &str) -> UriError {
    UriError::Unknown(name.chars().take(80).collect())
}

impl FromStr for Pkcs11Uri {
    type Err = UriError;
    fn from_str(uri: &str) -> Result<Self, UriError> {
        let rest = uri.strip_prefix(SCHEME).ok_or(UriError::Scheme)?;
        if uri.len() > BYTES_MAX {
            return Err(UriError::Scheme);
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut parts = Parts::default();
        for attribute in path.split(';').filter(|a| !a.is_empty()) {
            let (name, value) = attribute.split_once('=').ok_or_else(|| unknown(attribute))?;
            parts.path(name, value)?;
        }
        for attribute in query.split('&').filter(|a| !a.is_empty()) {
            let (name, value) = attribute.split_once('=').ok_or_else(|| unknown(attribute))?;
            parts.query(name, value)?;
        }
        parts.whole()
    }
}

impl Pkcs11Uri {
    /// The key alone: the same on every machine, whatever the library's and the PIN's places are there.
    #[must_use]
    pub fn key(&self) -> String {
        let mut out = String::from(SCHEME);
        let texts = [
            ("token", &self.token),
            ("serial", &self.serial),
            ("manufacturer", &self.manufacturer),
            ("model", &self.model),
            ("object", &self.object),
        ];
        let texts = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name, text.as_ref()?.as_bytes())));
        let all = texts.chain(self.id.as_deref().map(|id| ("id", id)));
        for (n, (name, value)) in all.enumerate() {
            // writing to a string cannot fail
            let _ = write!(out, "{}{name}=", if n == 0 { "" } else { ";" });
            for byte in value {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                        out.push(char::from(*byte));
                    }
                    other => {
                        let _ = write!(out, "%{other:02X}");
                    }
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "pkcs11:token=My%20token;object=root;id=%01%ff;type=secret-key\
         ?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/neofn/pin";

    #[test]
    fn a_uri_is_read_whole_and_the_key_reads_back() {
        let uri: Pkcs11Uri = WHOLE.parse().unwrap();
        assert_eq!(uri.token.as_deref(), Some("My token"));
        assert_eq!(uri.object.as_deref(), Some("root"));
        assert_eq!(uri.id, Some(vec![1, 255]));
        assert_eq!(uri.module, PathBuf::from("/usr/lib/softhsm/libsofthsm2.so"));
        assert_eq!(uri.pin, PathBuf::from("/etc/neofn/pin"));
        assert_eq!(uri.key(), "pkcs11:token=My%20token;object=root;id=%01%FF");
        let elsewhere = format!("{}?module-path=/x.so&pin-source=/p", uri.key());
        assert_eq!(elsewhere.parse::<Pkcs11Uri>().unwrap().key(), uri.key());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let with = |from: &str, to: &str| WHOLE.replace(from, to).parse::<Pkcs11Uri>();
        assert_eq!(with("pkcs11:", "pkcs12:"), Err(UriError::Scheme));
        assert_eq!(
            with("object=", "objct="),
            Err(UriError::Unknown("objct".to_owned()))
        );
        assert_eq!(with("object=root", "token=x"), Err(UriError::Twice("token")));
        for (from, to) in [
            ("token=My%20token;", ""),
            ("object=root;id=%01%ff;", ""),
            ("%20", "%2"),
            ("%20", "%zz"),
            ("%20", "%+1"),
            ("%20", "%00"),
            ("My%20token", ""),
            ("secret-key", "private"),
            ("module-path=/usr", "module-path=usr"),
            ("module-path", "module-name"),
            ("&pin-source=file:/etc/neofn/pin", ""),
            ("pin-source=file:/etc/neofn/pin", "pin-value=1234"),
            ("?module-path=/usr/lib/softhsm/libsofthsm2.so&", "?"),
        ] {
            assert!(with(from, to).is_err(), "{from} -> {to}");
        }
        let long = format!("{WHOLE}{}", "x".repeat(3_000));
        assert_eq!(long.parse::<Pkcs11Uri>(), Err(UriError::Scheme));
    }
}
