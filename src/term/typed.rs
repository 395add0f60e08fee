//! Keys out of bytes, for what is typed while the terminal is asked something: nothing else reads then.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

/// The events that `bytes` are, in order. What is no key is left out.
#[must_use]
pub fn events(bytes: &[u8]) -> Vec<Event> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (event, used) = first(rest);
        found.extend(event);
        rest = &rest[used.clamp(1, rest.len())..];
    }
    found
}

/// How many bytes at the end of `bytes` are the beginning of a sequence whose end is still to come.
#[must_use]
pub fn open_end(bytes: &[u8]) -> usize {
    let Some(at) = bytes.iter().rposition(|b| *b == 0x1b) else { return 0 };
    let tail = &bytes[at..];
    match tail {
        [_] => 1,
        [_, b'[', rest @ ..] if !rest.iter().any(|b| (0x40..=0x7e).contains(b)) => tail.len(),
        _ => 0,
    }
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
    Event::Key(KeyEvent::new(code, modifiers))
}

fn first(bytes: &[u8]) -> (Option<Event>, usize) {
    let plain = KeyModifiers::NONE;
    match bytes {
        [0x1b, b'[', rest @ ..] => control_sequence(rest),
        [0x1b, b'O', last, ..] => (of_letter(*last).map(|code| key(code, plain)), 3),
        [0x1b, 0x1b, ..] | [0x1b] => (Some(key(KeyCode::Esc, plain)), 1),
        [0x1b, rest @ ..] => {
            let (event, used) = first(rest);
            let alt = event.map(|event| match event {
                Event::Key(k) => Event::Key(KeyEvent::new(k.code, k.modifiers | KeyModifiers::ALT)),
                other => other,
            });
            (alt, used + 1)
        }
        [b'\r', ..] => (Some(key(KeyCode::Enter, plain)), 1),
        [b'\t', ..] => (Some(key(KeyCode::Tab, plain)), 1),
        [0x7f, ..] => (Some(key(KeyCode::Backspace, plain)), 1),
        [c @ 1..=26, ..] => (Some(key(KeyCode::Char(char::from(c - 1 + b'a')), KeyModifiers::CONTROL)), 1),
        [0..=31, ..] => (None, 1),
        _ => character(bytes),
    }
}

fn character(bytes: &[u8]) -> (Option<Event>, usize) {
    let length = (1..=bytes.len().min(4)).find(|n| std::str::from_utf8(&bytes[..*n]).is_ok()).unwrap_or(1);
    let c = std::str::from_utf8(&bytes[..length]).ok().and_then(|text| text.chars().next());
    let shift = |c: char| if c.is_uppercase() { KeyModifiers::SHIFT } else { KeyModifiers::NONE };
    (c.map(|c| key(KeyCode::Char(c), shift(c))), length)
}

fn control_sequence(rest: &[u8]) -> (Option<Event>, usize) {
    const PASTE: &[u8] = b"200~";
    const PASTE_END: &[u8] = b"\x1b[201~";
    if let Some(pasted) = rest.strip_prefix(PASTE) {
        let end = pasted.windows(PASTE_END.len()).position(|w| w == PASTE_END);
        let text = String::from_utf8_lossy(&pasted[..end.unwrap_or(pasted.len())]).into_owned();
        return (Some(Event::Paste(text)), 2 + PASTE.len() + end.map_or(pasted.len(), |e| e + PASTE_END.len()));
    }
    let Some(end) = rest.iter().position(|b| (0x40..=0x7e).contains(b)) else { return (None, rest.len() + 2) };
    let parameters = String::from_utf8_lossy(&rest[..end]);
    let mut numbers = parameters.split(';').map(|n| n.parse::<u8>().unwrap_or(0));
    let which = numbers.next().unwrap_or(0);
    let bits = numbers.next().unwrap_or(1).saturating_sub(1);
    let mut modifiers = KeyModifiers::NONE;
    for (bit, modifier) in [(1, KeyModifiers::SHIFT), (2, KeyModifiers::ALT), (4, KeyModifiers::CONTROL)] {
        modifiers.set(modifier, bits & bit != 0);
    }
    let code = match (rest[end], which) {
        (b'Z', _) => Some(KeyCode::BackTab),
        (b'~', 1 | 7) => Some(KeyCode::Home),
        (b'~', 4 | 8) => Some(KeyCode::End),
        (b'~', 3) => Some(KeyCode::Delete),
        (b'~', 5) => Some(KeyCode::PageUp),
        (b'~', 6) => Some(KeyCode::PageDown),
        (letter, _) => of_letter(letter),
    };
    (code.map(|code| key(code, modifiers)), end + 3)
}

fn of_letter(letter: u8) -> Option<KeyCode> {
    Some(match letter {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'H' => KeyCode::Home,
        b'F' => KeyCode::End,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_type() {
        let codes = |bytes: &[u8]| -> Vec<String> {
            let name = |e: Event| match e {
                Event::Key(k) => format!("{:?} {:?}", k.code, k.modifiers.bits()),
                Event::Paste(text) => format!("paste {text}"),
                other => format!("{other:?}"),
            };
            events(bytes).into_iter().map(name).collect()
        };
        assert_eq!(codes("jG日".as_bytes()), ["Char('j') 0", "Char('G') 1", "Char('日') 0"]);
        assert_eq!(
            codes(b"\x1b[A\x1bOB\x1b[1;5C\x1b[5~\x1b[Z"),
            ["Up 0", "Down 0", "Right 2", "PageUp 0", "BackTab 0"]
        );
        assert_eq!(codes(b"\x03\r\t\x7f\x1b"), ["Char('c') 2", "Enter 0", "Tab 0", "Backspace 0", "Esc 0"]);
        assert_eq!(codes(b"\x1bx"), ["Char('x') 4"]);
        assert_eq!(codes(b"\x1b[200~q4\x1b[201~j"), ["paste q4", "Char('j') 0"]);
        assert_eq!(codes(b"\x1b[Iq"), ["Char('q') 0"], "focus is no key");
    }

    #[test]
    fn knows_a_sequence_that_has_only_begun() {
        assert_eq!([b"abc".as_slice(), b"a\x1b", b"a\x1b[1;", b"\x1b[A", b"\x1bx"].map(open_end), [0, 1, 4, 0, 0]);
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = events(&bytes);
            let _ = open_end(&bytes);
        }
    }
}
