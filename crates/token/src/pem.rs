//! PEM (RFC 7468): its strict grammar, with lines of any one width.

use pem_rfc7468::{Decoder, Error};

/// How wide lines are of which the text does not say it.
const USUAL_WIDTH: usize = 64;

/// Reads the one block of `pem` into `buffer`, which must be as long as `pem`: its label, and what it holds.
///
/// Writers wrap at 64 columns, but readers may be lax, and some tools wrap at 76. The width is that of the first
/// line; nothing else is taken more lightly. Finding it looks at where lines end, never at what is in them.
pub(crate) fn decode<'i, 'o>(pem: &'i [u8], buffer: &'o mut [u8]) -> Result<(&'i str, &'o [u8]), Error> {
    let mut decoder = Decoder::new_wrapped(pem, width(pem))?;
    let label = decoder.type_label();
    let buffer = buffer.get_mut(..decoder.remaining_len()).ok_or(Error::Length)?;
    let read = decoder.decode(buffer)?;
    if decoder.is_finished() { Ok((label, read)) } else { Err(Error::Length) }
}

/// The width of the first line after the one that begins the block; never narrower than four letters.
fn width(pem: &[u8]) -> usize {
    let lines = pem.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty());
    let first = lines.skip_while(|line| !line.starts_with(b"-----BEGIN")).nth(1);
    first.map_or(USUAL_WIDTH, <[u8]>::len).max(4)
}
