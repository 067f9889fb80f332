//! Lists of instruments: whoever reads one can work with it.

use tickstorm_market::Listing;
use tickstorm_venue::rest::Call;
use tickstorm_venue::{Decoder, Encoder, Numbering, Protocol, Replica, Rest, Venue};

pub(crate) fn run(venue: Venue, data: &[u8]) {
    if let Ok(Some(listing)) = Decoder::read_instruments(venue, data) {
        work_with(venue, &listing);
        rewrite(venue, &listing);
    }
    let rest = Rest::new(venue, &crate::listing());
    if let Ok(listing) = rest.read_instruments(data) {
        work_with(venue, &listing);
    }
}

/// What a listing promises, and that nothing refuses it.
pub(crate) fn work_with(venue: Venue, listing: &Listing) {
    for (index, instrument) in listing.instruments.iter().enumerate() {
        assert_eq!(instrument.id.0 as usize, index);
        assert!(instrument.tick > 0 && instrument.lot > 0, "{instrument:?} has no steps");
        for asset in [instrument.base, instrument.quote] {
            assert!((asset.0 as usize) < listing.assets.len(), "{instrument:?} is of an unknown asset");
        }
    }
    drop((Decoder::new(venue, listing), Replica::new(venue, listing), Protocol::new(venue, listing)));
    let calls = Call::Instruments(listing.instruments.iter().map(|instrument| instrument.id).collect());
    drop(Rest::new(venue, listing).path(&calls));
}

/// Our own list of the same instruments is the same list.
fn rewrite(venue: Venue, listing: &Listing) {
    let mut out = Vec::new();
    Encoder::new(venue, listing, 0).instruments(0, &mut Numbering::default(), &mut out);
    let again = Decoder::read_instruments(venue, &out).ok().flatten();
    let steps = |listing: &Listing| {
        let one = |it: &tickstorm_market::Instrument| (it.symbol.clone(), it.tick, it.lot);
        listing.instruments.iter().map(one).collect::<Vec<_>>()
    };
    let show = || String::from_utf8_lossy(&out).into_owned();
    assert_eq!(again.as_ref().map(steps), Some(steps(listing)), "written as {}", show());
}
