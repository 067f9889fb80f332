//! Reading the id out of replies.

use memchr::memmem;

/// Finds the id, and an error, in JSON replies.
#[derive(Debug)]
pub(crate) struct ReplyReader {
    pointer: String,
    /// `"key":` where the pointer has one step: then most replies are read without parsing them.
    key: Option<memmem::Finder<'static>>,
    error: memmem::Finder<'static>,
}

/// What a reply says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub id: Id,
    /// The text of its top-level member `error`, unless that is null or missing: the message was refused.
    pub error: Option<String>,
}

/// How a reply names its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Id {
    /// Its number on the connection.
    Ordinal(u64),
    /// An id of the message's own.
    Text(String),
}

impl ReplyReader {
    /// `pointer` is a JSON pointer (RFC 6901) to the id.
    pub(crate) fn new(pointer: &str) -> Self {
        let key = &pointer[1..];
        let is_plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        let key = (is_plain && !key.is_empty())
            .then(|| memmem::Finder::new(format!("\"{key}\":").as_bytes()).into_owned());
        Self { pointer: pointer.to_owned(), key, error: memmem::Finder::new(b"\"error\"").into_owned() }
    }

    /// What a reply says, or nothing where it has no id.
    pub(crate) fn read(&self, reply: &[u8], ids_are_texts: bool) -> Option<Read> {
        if !ids_are_texts && let Some(ordinal) = self.read_plainly(reply) {
            return Some(Read { id: Id::Ordinal(ordinal), error: None });
        }
        let value: serde_json::Value = serde_json::from_slice(reply).ok()?;
        let id = match value.pointer(&self.pointer)? {
            serde_json::Value::String(text) if ids_are_texts => Id::Text(text.clone()),
            serde_json::Value::Number(number) if ids_are_texts => Id::Text(number.to_string()),
            serde_json::Value::String(text) => Id::Ordinal(text.parse().ok()?),
            serde_json::Value::Number(number) => Id::Ordinal(number.as_u64()?),
            _ => return None,
        };
        Some(Read { id, error: error(&value) })
    }

    /// The error of a reply that needs no id. What is not JSON is an answer like any other.
    pub(crate) fn refusal(&self, reply: &[u8]) -> Option<String> {
        self.error.find(reply)?;
        error(&serde_json::from_slice(reply).ok()?)
    }

    /// The id of an object with just one place that looks like it and no sign of an error; anything else is for the
    /// parser.
    fn read_plainly(&self, reply: &[u8]) -> Option<u64> {
        let key = self.key.as_ref()?;
        let at = key.find(reply)?;
        let is_flat = memchr::memchr_iter(b'{', reply).count() == 1 && reply.first() == Some(&b'{');
        if !is_flat || reply.last() != Some(&b'}') || self.error.find(reply).is_some() {
            return None;
        }
        let digits = &reply[at + key.needle().len()..];
        let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !matches!(digits.get(count), Some(b',' | b'}')) || !(1..=19).contains(&count) {
            return None;
        }
        Some(digits[..count].iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
    }
}

/// The text of the top-level member `error`, unless that is null or missing.
fn error(reply: &serde_json::Value) -> Option<String> {
    match reply.get("error")? {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The string or number at a JSON pointer of a message, as text.
pub(crate) fn member_text(message: &[u8], pointer: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(message).ok()?;
    match value.pointer(pointer)? {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordinal(reply: &str) -> Option<u64> {
        match ReplyReader::new("/ack").read(reply.as_bytes(), false)?.id {
            Id::Ordinal(ordinal) => Some(ordinal),
            Id::Text(_) => None,
        }
    }

    #[test]
    fn ids_are_found_however_the_reply_is_written() {
        for reply in [
            r#"{"ack":17}"#,
            r#"{"ok":true,"ack":17}"#,
            r#"{ "ack" : 17 }"#,
            r#"{"ack":"17"}"#,
            r#"{"nested":{"ack":3},"ack":17}"#,
            r#"{"text":"\"ack\":3","ack":17}"#,
        ] {
            assert_eq!(ordinal(reply), Some(17), "{reply}");
        }
    }

    #[test]
    fn what_names_no_message_is_nothing() {
        for reply in [
            "",
            "hello",
            "{}",
            r#"{"ack":-1}"#,
            r#"{"ack":1.5}"#,
            r#"{"ack":[]}"#,
            "\u{0}\u{1}",
            r#"{"ack":17"#,
        ] {
            assert_eq!(ordinal(reply), None, "{reply}");
        }
    }

    #[test]
    fn an_error_in_a_reply_is_a_refusal_unless_it_is_null() {
        let read = |reply: &str| ReplyReader::new("/ack").read(reply.as_bytes(), false).unwrap().error;
        assert_eq!(read(r#"{"ack":1,"error":"rejected"}"#), Some("rejected".into()));
        assert_eq!(read(r#"{"ack":1,"error":{"code":7}}"#), Some(r#"{"code":7}"#.into()));
        assert_eq!(read(r#"{"ack":1,"error":null}"#), None);
    }

    #[test]
    fn a_reply_without_an_id_is_an_answer_unless_it_has_an_error() {
        let refusal = |reply: &str| ReplyReader::new("/ack").refusal(reply.as_bytes());
        assert_eq!(refusal(r#"{"error":"rejected"}"#), Some("rejected".into()));
        assert_eq!(refusal(r#"{ "ok": false, "error" : {"code":7} }"#), Some(r#"{"code":7}"#.into()));
        for answer in [
            "",
            "ok",
            r#"{"error":null}"#,
            r#"{"result":{"error":"of something else"}}"#,
            r#"["error"]"#,
            r#"{"error":"cut o"#,
            r#"an "error" in prose"#,
        ] {
            assert_eq!(refusal(answer), None, "{answer}");
        }
    }

    #[test]
    fn ids_may_lie_deeper_and_be_texts() {
        let reader = ReplyReader::new("/data/id");
        let read = reader.read(br#"{"data":{"id":"abc"}}"#, true).unwrap();
        assert_eq!(read.id, Id::Text("abc".into()));
        assert_eq!(member_text(br#"{"c":"ts-000017"}"#, "/c"), Some("ts-000017".into()));
    }
}
