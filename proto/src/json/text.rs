/// U+FFFD, which stands in for bytes that are no UTF-8.
const REPLACEMENT: &str = "\u{FFFD}";

/// Writes a JSON string, escaped as by PostgreSQL's `escape_json` (`src/backend/utils/adt/json.c`).
pub(super) fn write_string(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    match std::str::from_utf8(bytes) {
        Ok(_) => write_escaped(bytes, out),
        Err(_) => {
            for chunk in bytes.utf8_chunks() {
                write_escaped(chunk.valid().as_bytes(), out);
                if !chunk.invalid().is_empty() {
                    out.extend_from_slice(REPLACEMENT.as_bytes());
                }
            }
        }
    }
    out.push(b'"');
}

/// Embeds a JSON document. Line breaks can only stand between its tokens, and a blank says the
/// same: so an event stays on one line.
pub(super) fn write_document(bytes: &[u8], out: &mut Vec<u8>) {
    let blank = |&byte: &u8| {
        if byte == b'\n' || byte == b'\r' {
            b' '
        } else {
            byte
        }
    };
    match std::str::from_utf8(bytes) {
        Ok("") => out.extend_from_slice(b"null"),
        Ok(_) => out.extend(bytes.iter().map(blank)),
        Err(_) => {
            for chunk in bytes.utf8_chunks() {
                out.extend(chunk.valid().as_bytes().iter().map(blank));
                if !chunk.invalid().is_empty() {
                    out.extend_from_slice(REPLACEMENT.as_bytes());
                }
            }
        }
    }
}

/// A bytea as PostgreSQL prints it under `bytea_output=hex`, its backslash escaped for JSON.
pub(super) fn write_hex_string(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() * 2 + 5);
    out.extend_from_slice(b"\"\\\\x");
    write_hex(bytes, out);
    out.push(b'"');
}

/// A uuid of 16 bytes in groups of 8, 4, 4, 4 and 12 digits.
pub(super) fn write_uuid(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(&HEX[usize::from(*byte)]);
    }
    out.push(b'"');
}

fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    for block in bytes.chunks(64) {
        let mut digits = [0; 128];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(block) {
            pair.copy_from_slice(&HEX[usize::from(*byte)]);
        }
        out.extend_from_slice(&digits[..block.len() * 2]);
    }
}

/// The two digits of each byte.
static HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Copies what needs no escape in the longest pieces that have none.
fn write_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some(at) = first_special(rest) {
        out.extend_from_slice(&rest[..at]);
        write_escape(rest[at], out);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0C => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(b"\\u00");
            return out.extend_from_slice(&HEX[usize::from(byte)]);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn first_special(bytes: &[u8]) -> Option<usize> {
    // Whole blocks without an early exit, so that the compiler compares many bytes at once.
    let (blocks, _) = bytes.as_chunks::<32>();
    let clean = blocks
        .iter()
        .take_while(|block| !block.iter().fold(false, |any, &b| any | special(b)));
    let start = clean.count() * 32;
    bytes[start..]
        .iter()
        .position(|&byte| special(byte))
        .map(|at| start + at)
}

#[inline]
fn special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}
