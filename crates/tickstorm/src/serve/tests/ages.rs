//! How far behind clients are said to be, by what their pongs prove.

use tickstorm_venue::Venue;

use super::hall::{Hall, MS, S, STARTS_NS, market};
use crate::{
    Spec,
    serve::{ServeSpec, floor::Reader},
};

#[test]
fn a_client_that_answers_no_ping_at_all_is_not_accused_for_it() {
    let mut hall = Hall::open(&market(51), ServeSpec::default(), 0);
    let index = hall.enter(Venue::Okx, 16 << 20);
    hall.callers[index].answers_pings = false;
    hall.callers[index].subscribe_to_all();
    hall.run(STARTS_NS + 3 * S);
    assert!(hall.callers[index].heard.pings.len() > 20, "there are no pings");
    let outcome = hall.close();
    let past = outcome.of(index);
    assert!(past.tally.owed > 0 && past.tally.owed == past.tally.delivered + past.tally.folded);
    assert_eq!((past.worst.known_ns(), past.last.known_ns()), (0, 0));
    assert_eq!((past.worst.place(), past.last.place(), past.reader), (None, None, None));
}

#[test]
fn no_age_is_older_than_the_oldest_message() {
    let spec = Spec { base_rate: "1/h".parse().expect("it is a rate"), ..market(52) };
    for (spec, is_told) in [(&spec, false), (&market(52), true)] {
        let mut hall = Hall::open(spec, ServeSpec::default(), 0);
        hall.start_at(5 * S);
        let index = hall.enter(Venue::Okx, 16 << 20);
        hall.callers[index].subscribe_to_all();
        hall.run(S);
        assert!(!hall.callers[index].heard.pings.is_empty(), "there was no ping in the calm");
        hall.callers[index].answers_pings = false;
        hall.run(6 * S);
        let outcome = hall.close();
        let past = outcome.of(index);
        assert_eq!(past.tally.owed > 0, is_told);
        let oldest_ns = if is_told { 1_500 * MS..=2 * S } else { 0..=0 };
        for ages in [past.worst, past.last] {
            assert!(oldest_ns.contains(&ages.known_ns()), "{ages:?}");
        }
        assert_eq!(matches!(past.reader, Some(Reader::Behind { .. })), is_told, "{:?}", past.reader);
    }
}
