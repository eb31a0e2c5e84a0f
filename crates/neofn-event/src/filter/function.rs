//! The functions of the language.

use std::fmt;

macro_rules! functions {
    ($($variant:ident, $name:literal, $args:literal, $signature:literal, $about:literal;)*) => {
        /// A function that expressions may call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Function {
            $(#[doc = $about] $variant,)*
        }
        impl Function {
            /// Every function.
            pub const ALL: &'static [Function] = &[$(Function::$variant,)*];
            /// As it is called.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Function::$variant => $name,)* }
            }
            /// How many arguments it takes.
            #[must_use]
            pub const fn arity(self) -> usize {
                match self { $(Function::$variant => $args,)* }
            }
            /// Arguments and result in words.
            #[must_use]
            pub const fn signature(self) -> &'static str {
                match self { $(Function::$variant => $signature,)* }
            }
            /// One line about it.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Function::$variant => $about,)* }
            }
        }
    };
}

functions! {
    StartsWith, "starts_with", 2, "starts_with(text or bytes, beginning) -> boolean", "Whether it begins with this.";
    EndsWith, "ends_with", 2, "ends_with(text or bytes, end) -> boolean", "Whether it ends with this.";
    Contains, "contains", 2, "contains(text, bytes or array, part) -> boolean", "Whether the part occurs in it.";
    Lower, "lower", 1, "lower(text) -> text", "In small letters.";
    Upper, "upper", 1, "upper(text) -> text", "In capital letters.";
    Length, "length", 1, "length(text, bytes, array or map) -> integer", "Characters, bytes or items.";
    Abs, "abs", 1, "abs(integer) -> integer", "Without its sign.";
    Min, "min", 2, "min(integer, integer) -> integer", "The smaller one.";
    Max, "max", 2, "max(integer, integer) -> integer", "The larger one.";
    Int, "int", 1, "int(bytes, text or boolean) -> integer", "Bytes as the NeoVM reads them, digits, or 1 and 0.";
    Text, "text", 1, "text(bytes) -> text", "Bytes as UTF-8.";
    Hex, "hex", 1, "hex('0102') -> bytes", "Bytes written in hexadecimal; takes a literal.";
    Base64, "base64", 1, "base64('AQI=') -> bytes", "Bytes written in base64; takes a literal.";
    Address, "address", 1, "address('N…') -> Hash160", "The script hash of an address, of a hash, or of a native contract's name; takes a literal.";
    Gas, "gas", 1, "gas('1.5') -> integer", "An amount of GAS in datoshi (10^-8 GAS); takes a literal.";
}

impl Function {
    /// The function that is called `name`.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|f| f.name() == name)
    }
    /// Whether its argument must be a literal, so that it costs nothing when it runs.
    pub(crate) fn is_constant(self) -> bool {
        matches!(self, Self::Hex | Self::Base64 | Self::Address | Self::Gas)
    }
}
impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
