//! Records as MessagePack: each an array whose first element says what follows. Integers take as few bytes as
//! they can.
//!
//! Specification: <https://github.com/msgpack/msgpack/blob/master/spec.md>

use tickstorm_market::event::Kind;

mod read;
mod write;

pub(super) use read::take;
pub(super) use write::{write_head, write_message, write_opening_balance, write_snapshot};

/// Elements of a message's array: type, the six fields of every message, and those of its body.
#[inline(always)]
const fn message_length(kind: Kind) -> usize {
    7 + match kind {
        Kind::Book | Kind::Trade | Kind::Balance => 4,
        Kind::Quote => 5,
        Kind::Ticker => 17,
        Kind::Execution => 14,
        Kind::Transfer => 3,
        Kind::Status => 1,
    }
}

const HEAD: u64 = 1;
const SNAPSHOT: u64 = 2;
const OPENING_BALANCE: u64 = 3;

/// A message's type of record is the number of its body's field in `proto/tickstorm.proto`.
#[inline(always)]
const fn tag(kind: Kind) -> u64 {
    match kind {
        Kind::Book => 7,
        Kind::Trade => 8,
        Kind::Quote => 9,
        Kind::Ticker => 10,
        Kind::Execution => 11,
        Kind::Balance => 12,
        Kind::Transfer => 13,
        Kind::Status => 14,
    }
}

#[inline(always)]
const fn kind_of(tag: u64) -> Option<Kind> {
    match tag {
        7 => Some(Kind::Book),
        8 => Some(Kind::Trade),
        9 => Some(Kind::Quote),
        10 => Some(Kind::Ticker),
        11 => Some(Kind::Execution),
        12 => Some(Kind::Balance),
        13 => Some(Kind::Transfer),
        14 => Some(Kind::Status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rmpv::Value;

    use super::*;
    use crate::normalised::testing::{any_message, any_record, fields, head, one_of_each, only, written};
    use crate::normalised::{Format, Record, Stop};

    fn bytes_of(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, value).unwrap();
        bytes
    }

    fn problem(value: &Value) -> String {
        match take(&bytes_of(value)).map_err(|stop| *stop) {
            Err(Stop::Wrong { at, problem }) => {
                format!("at {at}: {} is {}, must be {}", problem.field, problem.found, problem.expected)
            }
            Err(stop) => panic!("{stop:?}"),
            Ok(taken) => panic!("{:?}", taken.record),
        }
    }

    #[test]
    fn another_implementation_reads_every_record_as_one_array_after_the_other() {
        let records = one_of_each();
        let stream = written(Format::MessagePack, &records);
        let mut rest = stream.as_slice();
        for record in &records {
            let before = rest.len();
            let value = rmpv::decode::read_value(&mut rest).unwrap();
            let ours = written(Format::MessagePack, std::slice::from_ref(record));
            assert_eq!(before - rest.len(), ours.len());
            let bytes = bytes_of(&value);
            assert_eq!(&only(take(&bytes), &bytes), record);
        }
        assert_eq!(rest.len(), 0);
    }

    #[test]
    fn the_head_lists_names_and_units() {
        let head = head();
        let bytes = written(Format::MessagePack, &[Record::Head(head.clone())]);
        let value = rmpv::decode::read_value(&mut bytes.as_slice()).unwrap();
        assert_eq!(value[0], Value::from(HEAD));
        assert_eq!(value[2], Value::from(head.start_unix_ns));
        assert_eq!(value[3], Value::from(head.shards));
        assert_eq!(value[4][1], Value::from("BTC"));
        let instrument = &value[5][1];
        assert_eq!(instrument[0], Value::from("PEPEUSDT"));
        assert_eq!([&instrument[1], &instrument[2]], [&Value::from(2), &Value::from(0)]);
        assert_eq!(instrument[4], Value::from(100_000_000));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let book = |side: Value, price: Value| {
            let common = [7, 0, 1, 1, 0, 0].map(Value::from);
            let body = [Value::from(true), Value::from(1), side, price, Value::from(5)];
            Value::Array(common.into_iter().chain(body).collect())
        };
        let price = Value::from(9);
        assert_eq!(problem(&book(3.into(), price.clone())), "at 9: side is 3, must be 1 (buy) or 2 (sell)");
        assert_eq!(problem(&book("buy".into(), price)), "at 9: side is a string, must be a whole number");
        assert_eq!(problem(&book(1.into(), (-1).into())), "at 10: price is -1, must be at least 0");
        assert_eq!(
            problem(&book(1.into(), (1u64 << 32).into())),
            "at 10: price is 4294967296, must be at most 4294967295"
        );
        assert_eq!(
            problem(&Value::Array(vec![99.into()])),
            "at 1: type of record is 99, must be 1, 2, 3 or 7 to 14"
        );
        assert_eq!(
            problem(&Value::Array(vec![7.into()])),
            "at 0: record is 1 long, must be 11 long for type 7"
        );
        assert_eq!(problem(&Value::Nil), "at 0: record is nil, must be an array");
    }

    #[test]
    fn an_announced_length_is_not_believed_before_its_bytes_are_there() {
        // A snapshot with 2^32 - 1 bids.
        let bytes = [0x96, 2, 0, 1, 1, 0xdd, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(take(&bytes).err(), Some(Box::new(Stop::Incomplete { at_least: 10 + 3 * 0xffff_ffff })));
        // An asset whose name has 2^32 - 1 bytes.
        let bytes = [0x96, 1, 1, 0, 1, 0x91, 0xdb, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(take(&bytes).err(), Some(Box::new(Stop::Incomplete { at_least: 11 + 0xffff_ffff })));
    }

    proptest! {
        #[test]
        fn a_message_is_an_array_of_the_proto_files_fields_in_their_order(message in any_message()) {
            let bytes = written(Format::MessagePack, &[Record::Message(message)]);
            let Value::Array(values) = rmpv::decode::read_value(&mut bytes.as_slice()).unwrap() else {
                panic!("no array");
            };
            prop_assert_eq!(&values[0], &Value::from(tag(message.body.kind())));
            let fields = fields(&message);
            prop_assert_eq!(values.len(), 1 + fields.len());
            for (value, (name, expected)) in values[1..].iter().zip(fields) {
                let found = match value {
                    Value::Boolean(value) => value.to_string(),
                    Value::Integer(number) => match (name, number.as_u64()) {
                        ("side" | "taker", Some(1)) => "buy".to_owned(),
                        ("side" | "taker", Some(2)) => "sell".to_owned(),
                        ("kind", Some(kind @ 1..=3)) => ["new", "trade", "canceled"][kind as usize - 1].to_owned(),
                        _ => number.to_string(),
                    },
                    other => panic!("{name} is {other}"),
                };
                prop_assert_eq!(found, expected, "{}", name);
            }
        }

        #[test]
        fn what_another_implementation_writes_reads_the_same(record in any_record()) {
            let ours = written(Format::MessagePack, std::slice::from_ref(&record));
            let theirs = bytes_of(&rmpv::decode::read_value(&mut ours.as_slice()).unwrap());
            prop_assert_eq!(only(take(&theirs), &theirs), record);
        }
    }
}
