//! What is left of a rehearsal: a text, a document, a page.

mod document;
mod html;
mod sections;
mod table;
mod text;

pub use document::{Document, document};
pub use html::html;
pub use text::text;
