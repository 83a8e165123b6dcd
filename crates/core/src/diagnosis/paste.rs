//! What people paste: `kubectl describe`, lists of events, log lines, half lines, and objects
//! as JSON or YAML.
//!
//! Text is cut into records, one for each event or log line, and lines that belong together
//! are joined again. The reader expects nothing of a line, so that quotation marks of mails,
//! frames of terminals and lost beginnings do no harm. This module must not judge what it reads.

use super::observation::{Observation, Subject, observe};
use crate::manifest;
use serde_json::Value;

/// How long a record may become before a new one begins, in bytes.
const RECORD: usize = 8 * 1024;

/// Reads a text.
#[must_use]
pub fn observations(text: &str) -> Vec<Observation> {
    objects(text).unwrap_or_else(|| records(text))
}

/// The observations of objects; none if the text is none.
fn objects(text: &str) -> Option<Vec<Observation>> {
    let start = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    let values: Vec<Value> = if start.starts_with('{') {
        serde_json::Deserializer::from_str(start)
            .into_iter::<Value>()
            .collect::<Result<_, _>>()
            .ok()?
    } else if ["apiVersion:", "kind:", "---", "items:"]
        .iter()
        .any(|key| start.starts_with(key))
    {
        manifest::values(start).ok()?
    } else {
        return None;
    };
    let mut found = Vec::new();
    let mut is_known = false;
    for value in &values {
        is_known |= observe(value, &mut found);
    }
    is_known.then_some(found)
}

fn records(text: &str) -> Vec<Observation> {
    let mut reader = RecordReader::default();
    for line in text.lines() {
        reader.line(line);
    }
    reader.finish();
    reader.found
}

#[derive(Default)]
struct RecordReader {
    record: String,
    subject: Subject,
    found: Vec<Observation>,
}

impl RecordReader {
    fn line(&mut self, line: &str) {
        self.header(line);
        let line = line
            .trim()
            .trim_start_matches(['>', '\u{2502}', '|', '\u{2503}'])
            .trim_end_matches(['\u{2502}', '|', '\u{2503}'])
            .trim();
        if line.is_empty() || begins_record(line) || self.record.len() > RECORD {
            self.finish();
        }
        if !self.record.is_empty() {
            self.record.push(' ');
        }
        self.record.push_str(line);
    }

    /// `Name:` and `Namespace:` at the beginning of what `kubectl describe` prints.
    fn header(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("Name:") {
            self.finish();
            self.subject = Subject {
                kind: "Pod".to_owned(),
                name: Some(name.trim().to_owned()),
                namespace: None,
            };
        } else if let Some(namespace) = line.strip_prefix("Namespace:") {
            self.subject.namespace = Some(namespace.trim().to_owned());
        }
    }

    fn finish(&mut self) {
        let text = std::mem::take(&mut self.record);
        if text.is_empty() {
            return;
        }
        let is_success = text.contains("Successfully pulled image")
            || text.contains("already present on machine");
        self.found.push(Observation {
            image: super::message::image_of(&text),
            subject: self.subject.clone(),
            text,
            is_success,
        });
    }
}

/// How the lines of events and logs begin.
const BEGINNINGS: [&str; 34] = [
    "Normal ",
    "Warning ",
    "[Normal]",
    "[Warning]",
    "Type ",
    "Events:",
    "Reason:",
    "Message:",
    "State:",
    "Image:",
    "Conditions:",
    "Status:",
    "message:",
    "reason:",
    "time=",
    "level=",
    "FATA[",
    "ERRO[",
    "WARN[",
    "INFO[",
    "DEBU[",
    "[ERROR",
    "[WARNING",
    "Error:",
    "Error ",
    "ERROR",
    "error:",
    "Failed ",
    "FailedCreate",
    "Back-off ",
    "docker pull ",
    "ctr: ",
    "{\"",
    "\"stderr",
];

fn begins_record(line: &str) -> bool {
    let line = line.trim_start_matches(['"', '\'', '`', '*', '-', ' ']);
    BEGINNINGS.iter().any(|words| line.starts_with(words))
        || has_event_columns(line)
        || begins_with_time(line)
}

/// `12s  Warning  Failed  pod/x  …`
fn has_event_columns(line: &str) -> bool {
    let mut columns = line.split(['\t', ' ']).filter(|word| !word.is_empty());
    columns
        .by_ref()
        .take(12)
        .any(|word| matches!(word, "Warning" | "Normal"))
}

/// A date, the header of a klog line, a month of syslog, or the age of an event.
fn begins_with_time(line: &str) -> bool {
    let bytes = line.as_bytes();
    let digits = |from: usize, count: usize| {
        bytes
            .get(from..from + count)
            .is_some_and(|some| some.iter().all(u8::is_ascii_digit))
    };
    let is_date = digits(0, 4) && bytes.get(4).is_some_and(|byte| b"-/".contains(byte));
    let is_klog = matches!(bytes.first(), Some(b'I' | b'W' | b'E' | b'F')) && digits(1, 4);
    let month = line.get(..4).unwrap_or_default();
    let is_syslog = [
        "Jan ", "Feb ", "Mar ", "Apr ", "May ", "Jun ", "Jul ", "Aug ", "Sep ", "Oct ", "Nov ",
        "Dec ",
    ]
    .contains(&month);
    let count = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let is_age = count > 0
        && matches!(bytes.get(count), Some(b's' | b'm' | b'h' | b'd'))
        && bytes
            .get(count + 1)
            .is_some_and(|byte| byte.is_ascii_digit() || byte.is_ascii_whitespace());
    is_date || is_klog || is_syslog || is_age
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_belong_together_are_joined() {
        let found = observations(
            "Name:         web\nNamespace:    shop\nEvents:\n  Type     Reason  Age  From     Message\n  \
             Warning  Failed  1s   kubelet  Failed to pull image \"a.example/b:1\": rpc error: code = Unknown\n\
             desc = Error response from daemon: unauthorized\n  Normal   BackOff 1s   kubelet  Back-off\n",
        );
        let failed: Vec<_> = found
            .iter()
            .filter(|observation| observation.text.contains("Failed to pull"))
            .collect();
        assert_eq!(failed.len(), 1);
        assert!(failed[0].text.ends_with("daemon: unauthorized"));
        assert_eq!(failed[0].image.as_deref(), Some("a.example/b:1"));
        assert_eq!(failed[0].subject, Subject::pod("shop", "web"));
    }

    #[test]
    fn objects_are_read_as_json_and_as_yaml() {
        let json = r#"{"kind":"Pod","metadata":{"namespace":"shop","name":"web"},
            "spec":{"containers":[{"name":"c","image":"a.example/b:1"}]},
            "status":{"containerStatuses":[{"name":"c","image":"","state":{"waiting":
            {"reason":"ErrImagePull","message":"no such host"}}}]}}"#;
        let value: Value = serde_json::from_str(json).unwrap();
        let yaml = "kind: Pod\nmetadata: {namespace: shop, name: web}\nspec:\n  containers: [{name: c, image: 'a.example/b:1'}]\nstatus:\n  containerStatuses:\n  - name: c\n    state: {waiting: {reason: ErrImagePull, message: no such host}}\n";
        let list = serde_json::json!({"kind": "List", "items": [value]}).to_string();
        for text in [json, yaml, &list] {
            let found = observations(text);
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].subject, Subject::pod("shop", "web"));
            assert_eq!(found[0].image.as_deref(), Some("a.example/b:1"));
            assert_eq!(found[0].text, "ErrImagePull: no such host");
        }
    }

    #[test]
    fn an_event_of_either_api_is_read() {
        for text in [
            r#"{"kind":"Event","reason":"Failed","message":"no such host","involvedObject":{"kind":"Pod","namespace":"shop","name":"web"}}"#,
            r#"{"kind":"Event","reason":"Failed","note":"no such host","regarding":{"kind":"Pod","namespace":"shop","name":"web"}}"#,
        ] {
            let found = observations(text);
            assert_eq!(found[0].subject, Subject::pod("shop", "web"));
            assert_eq!(found[0].text, "Failed: no such host");
        }
    }
}
