//! Keeps the documentation true.
//!
//! Three kinds of text in the Markdown pages are not written by hand: *generated* parts, made from the
//! tables in the source; *tests* columns, made from the names of the tests in the source; and *recorded*
//! consoles, made by running the commands that stand in them. `cargo run -p keystile-book -- generate`
//! and `… -- record` refresh them (`e2e/book record` those on a cluster); the tests of this crate fail where
//! they, or a link, or a named test, are not what the source says.

pub mod columns;
pub mod error;
pub mod markdown;
pub mod parts;
pub mod record;
pub mod tree;

pub use error::BookError;
