//! How far behind clients are said to be, by what their pongs prove.

use tickstorm_venue::Venue;

use super::hall::{Hall, S, STARTS_NS, market};
use crate::serve::ServeSpec;

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
