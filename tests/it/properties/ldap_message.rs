//! What a directory sends. Input: bytes of a message.

use airgate::ports::ldap::ber::{Header, Reader};
use airgate::ports::ldap::message::{Answer, Message};

/// A header says no more than there is; what is read of a message is within it, and fit for a log; and of
/// a message that is cut off nothing is read.
pub fn holds(input: &[u8]) {
    if let Ok(Some(header)) = Header::parse(input) {
        assert!((2..=6).contains(&header.size) && header.size <= input.len());
        assert_eq!(header.tag, input[0]);
    }
    let mut reader = Reader::new(input);
    let mut read = 0;
    while let Ok((_, content)) = reader.any() {
        read += 2 + content.len();
        assert!(read <= input.len());
    }
    let Ok(message) = Message::parse(input) else { return };
    assert!(message.id <= i32::MAX as u32);
    match &message.answer {
        Answer::Bind(outcome) | Answer::SearchDone(outcome) | Answer::Extended(outcome) => {
            assert!(outcome.text.chars().count() <= 256 && !outcome.text.contains(char::is_control));
        }
        Answer::Found(entry) => {
            let size: usize = entry.values.iter().map(|(_, value)| value.len()).sum();
            assert!(entry.name.len() + size <= input.len());
        }
        Answer::Elsewhere | Answer::Intermediate => {}
    }
    assert!(Message::parse(&input[..input.len() - 1]).is_err(), "cut off");
    assert!(Message::parse(&[input, b"\0"].concat()).is_err(), "with more behind it");
}
