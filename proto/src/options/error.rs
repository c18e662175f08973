use super::{Definition, TableListError};

/// An option that cannot be followed. Nothing is decoded; the client is told at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// A name that is none.
    #[error("unknown option \"{0}\"")]
    Unknown(String),
    /// A name without a value, where one is needed.
    #[error("option \"{0}\" needs a value")]
    NoValue(&'static str),
    /// The same option twice: nobody can know which was meant.
    #[error("option \"{0}\" is given twice")]
    Twice(&'static str),
    /// A list of tables or columns that is none.
    #[error("option \"{name}\": {source}")]
    Names {
        /// Name of the option.
        name: &'static str,
        /// What is wrong with the list.
        source: TableListError,
    },
    /// A value outside of what the option takes.
    #[error("option \"{name}\": expected {expected}, found \"{found}\"")]
    Value {
        /// Name of the option.
        name: &'static str,
        /// What it takes, in words.
        expected: &'static str,
        /// The value.
        found: String,
    },
}

impl OptionError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        format!("Known options: {}.", Definition::names())
    }
}
