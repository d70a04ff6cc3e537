//! What a simulation came to: for a terminal, for programs, and as a page.

mod document;
mod html;
mod plan;
mod plot;
mod series;
mod text;

pub use document::{Document, document};
pub use html::html;
pub use plan::{Plan, plan};
pub use text::text;
