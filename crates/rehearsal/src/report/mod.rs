//! What is left of a rehearsal: a text, a document, a page.

mod document;
mod html;
mod plan;
mod sections;
mod text;

pub use document::{Document, document};
pub use html::html;
pub use plan::{Plan, plan};
pub use text::text;
