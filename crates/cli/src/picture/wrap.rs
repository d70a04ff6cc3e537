//! Lines that are folded between their items, never inside one that fits.

/// `items` joined by `separator`, folded at `width`; later lines are indented by `indent` columns.
/// The first line is not indented: its caller has written something there.
pub(super) fn items(items: &[String], separator: &str, width: usize, indent: usize) -> String {
    let mut text = String::new();
    let mut column = 0;
    for item in items {
        let length = columns(item);
        if column == 0 {
            column = push(&mut text, item, width, indent, 0);
        } else if column + columns(separator) + length <= width {
            text.push_str(separator);
            text.push_str(item);
            column += columns(separator) + length;
        } else {
            text.push_str(&format!("\n{:indent$}", ""));
            column = push(&mut text, item, width, indent, 0);
        }
    }
    text.push('\n');
    text
}

/// `text` folded between words at `width`; later lines are indented by `indent` columns.
pub(crate) fn fold(text: &str, width: usize, indent: usize) -> String {
    items(&[text.to_owned()], "", width.saturating_sub(indent), indent)
}

/// Writes one item, folded between words where it does not fit; returns the column it ends in.
fn push(text: &mut String, item: &str, width: usize, indent: usize, from: usize) -> usize {
    let mut column = from;
    for word in item.split(' ') {
        let length = columns(word);
        if column == from {
            column += length;
        } else if column + 1 + length <= width {
            text.push(' ');
            column += 1 + length;
        } else {
            text.push_str(&format!("\n{:indent$}", ""));
            column = length;
        }
        text.push_str(word);
    }
    column
}

/// The columns that `text` takes: its characters, less the colours.
pub(super) fn columns(text: &str) -> usize {
    let mut in_colour = false;
    let visible = text.chars().filter(|letter| {
        let hidden = in_colour || *letter == '\x1b';
        in_colour = hidden && *letter != 'm';
        !hidden
    });
    visible.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(list: &[&str], width: usize) -> String {
        let list: Vec<String> = list.iter().map(ToString::to_string).collect();
        items(&list, " · ", width, 2)
    }

    #[test]
    fn items_that_fit_stay_on_a_line() {
        assert_eq!(folded(&["one", "two", "three"], 80), "one · two · three\n");
        assert_eq!(folded(&["one", "two", "three"], 10), "one · two\n  three\n");
    }

    #[test]
    fn an_item_that_is_too_long_is_folded_between_words() {
        assert_eq!(folded(&["a much too long item", "b"], 10), "a much too\n  long item\n  b\n");
    }

    #[test]
    fn colours_take_no_columns() {
        assert_eq!(columns("\x1b[31mred\x1b[0m key"), 7);
    }
}
