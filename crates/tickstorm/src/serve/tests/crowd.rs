//! More clients than are told of one by one.

use tickstorm_net::observe::{Basis, Finding};
use tickstorm_report::{self as report, Summary};
use tickstorm_venue::Venue;

use super::hall::{MS, entrance};
use crate::serve::{
    client::{Cause, End, Tally},
    floor::{MOST_PAST, Past, PastClients},
    gauge::{Ages, Seen},
};

/// A client that was owed so much, and gone because of that.
fn past(number: u32, owed: u64, cause: Cause) -> Past {
    let end = End { at_ns: 0, cause, code: None, text: String::new() };
    Past {
        key: number as usize,
        number,
        who: entrance(Venue::Okx).who,
        venue: Venue::Okx,
        tally: Tally { owed, delivered: owed, end: Some(end), ..Tally::default() },
        lag: Summary::default(),
        round_trips: Summary::default(),
        reader: None,
        worst: Ages::default(),
        last: Ages::default(),
        seen: Seen::default(),
    }
}

fn found(basis: Basis, age_ns: u64) -> Seen {
    let finding = Finding {
        drained_our_queue_at_ns: None,
        drained_kernel_at_ns: None,
        read_at_ns: None,
        rested_at_ns: None,
        place: None,
        age_ns: Some(age_ns),
        basis,
        resolution_ns: 0,
        reason: None,
    };
    Seen { finding: Some(finding), ..Seen::default() }
}

fn numbers(past: &PastClients) -> Vec<u32> {
    past.kept.iter().map(|past| past.number).collect()
}

#[test]
fn who_was_owed_nothing_gives_way_to_who_stayed() {
    let mut all = PastClients::default();
    for number in 1..=5_000 {
        all.add(past(number, 0, Cause::ClosedByClient));
        all.make_room();
        assert!(all.kept.len() < 2 * MOST_PAST, "they fill the memory");
    }
    all.add(past(5_001, 9, Cause::RunEnded));
    all.add(past(5_002, 0, Cause::TooSlow));
    let all = all.told();
    let firsts = 1..=MOST_PAST as u32 - 2;
    assert_eq!(numbers(&all), firsts.chain([5_001, 5_002]).collect::<Vec<_>>());
    assert_eq!(all.left_out, 5_002 - MOST_PAST as u64);
    let together = all.together.expect("somebody is left out");
    assert_eq!((together.owed_something, together.owed, together.cut_off), (0, 0, 0));
    assert_eq!((together.worst_age_ms, together.last_age_ms), (None, None));
}

#[test]
fn what_the_verdict_needs_of_a_client_is_not_left_out_with_it() {
    let mut all = PastClients::default();
    let crowd = 1..=MOST_PAST as u32 + 3;
    for number in crowd.clone() {
        all.add(past(number, 2, Cause::RunEnded));
    }
    let basis = |number| if number == 2 { Basis::LowerBound } else { Basis::Exact };
    // The first three are hardly behind.
    let age_ns = |number| if number > 3 { u64::from(2_000 - number) * MS } else { u64::from(number) * MS };
    all.saw(crowd.map(|number| (number as usize, found(basis(number), age_ns(number)))).collect());
    let first = all.kept.iter_mut().find(|past| past.number == 1).expect("it is there");
    first.worst.our_queue_ns = 2 * MS;
    let all = all.told();
    assert_eq!((all.kept.len(), all.left_out), (MOST_PAST, 3));
    assert_eq!(all.kept[0].number, 4, "those who are furthest behind stay");
    assert_eq!(
        all.together,
        Some(report::LeftOut {
            owed_something: 3,
            owed: 6,
            cut_off: 0,
            worst_age_ms: Some(2.0),
            last_age_ms: Some(3.0),
            last_basis: report::Basis::LowerBound,
        })
    );
}
