//! The same JSON in other words.

/// The text with white space between all of its tokens and an escape in every string, so that it means the same and
/// no reader can know it by its wording. None if it is no JSON.
pub(crate) fn reworded(text: &[u8]) -> Option<Vec<u8>> {
    serde_json::from_slice::<&serde_json::value::RawValue>(text).ok()?;
    let mut out = Vec::with_capacity(2 * text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => {
                out.push(byte);
                reword_string(&mut bytes, &mut out);
            }
            b'{' | b'[' | b',' | b':' => out.extend([byte, b' ']),
            b'}' | b']' => out.extend([b' ', byte]),
            other => out.push(other),
        }
    }
    Some(out)
}

/// Copies a string from behind its opening quote to behind its closing one. Its first letter is escaped.
fn reword_string<'a>(bytes: &mut impl Iterator<Item = &'a u8>, out: &mut Vec<u8>) {
    let mut escaped = false;
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => return out.push(byte),
            b'\\' => {
                out.push(byte);
                out.extend(bytes.next());
                escaped = true;
            }
            letter if letter.is_ascii_alphabetic() && !escaped => {
                out.extend(format!("\\u{:04x}", letter).bytes());
                escaped = true;
            }
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_in_other_words() {
        let text = br#"{"a":[1.50,"b\"c"],"\u0064":"{,}","":null}"#;
        let other = reworded(text).unwrap();
        assert_eq!(
            std::str::from_utf8(&other).unwrap(),
            r#"{ "\u0061": [ 1.50, "\u0062\"c" ], "\u0064": "{,}", "": null }"#
        );
        let read = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&other), read(text));
        assert_eq!(reworded(b"{"), None);
    }
}
