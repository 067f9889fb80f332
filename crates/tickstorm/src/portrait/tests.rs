//! The page of a generated market, and of what is none.

use tickstorm_market::realism::{Expectation, Realism};
use tickstorm_market::{MarketSpec, ShardMarket};
use tickstorm_random::Seed;
use tickstorm_report::plot::plot_html;

use super::*;

/// So many messages about twenty symbols, at 20,000 a second.
fn recorded(messages: u64) -> (Picture, RealismTable, Listing) {
    let seed = Seed::new(1);
    let spec = MarketSpec { shards: 1, ..MarketSpec::new(seed, Listing::synthetic(20, seed)) };
    let mut market = ShardMarket::new(&spec, 0).unwrap();
    let mut portrait = Portrait::new(20, &market.snapshots());
    let mut realism = Realism::new(20, &market.snapshots());
    for number in 0..messages {
        let message = market.next(number * 50_000);
        portrait.observe(message);
        realism.observe(message);
    }
    (portrait.finish(), realism.finish(Expectation::default()), spec.listing)
}

#[test]
fn a_market_is_shown_from_its_rate_to_its_impact() {
    let (picture, realism, listing) = recorded(200_000);
    let mut page = page("Market", "", &picture, &listing);
    page.table = Some(realism_rows(&realism));
    let headings: Vec<&str> = page.sections.iter().map(|section| section.heading.as_str()).collect();
    assert_eq!(headings, ["Activity", "BTCUSDT", "ETHUSDT", "SOLUSDT", "Statistics"]);
    for chart in page.sections.iter().flat_map(|section| &section.charts) {
        let drawn = chart.layers.iter().any(|layer| match layer {
            Layer::Line { points, .. } | Layer::Dots { points, .. } => points.len() > 1,
            Layer::Bars { bars, .. } => bars.len() > 1,
            Layer::Heat(heat) => heat.values.iter().any(|&lots| lots > 0.0),
        });
        assert!(drawn, "{} is empty", chart.title);
        assert!(!chart.x.label.is_empty() && !chart.y.label.is_empty(), "{}", chart.title);
    }
    let html = plot_html(&page);
    assert!(html.len() < 3_000_000, "{} bytes", html.len());
    assert!(html.contains("price, USDT") && html.contains("A lot is 0.001 BTC"));
}

#[test]
fn prices_and_times_are_in_their_units() {
    let (picture, _, listing) = recorded(50_000);
    let page = page("Market", "", &picture, &listing);
    let instrument = &listing.instruments[0];
    let dollars = f64::from(instrument.start_price) * instrument.tick as f64 / UNITS_PER_WHOLE as f64;
    let price = &page.sections[1].charts[0];
    let Some(Layer::Line { points, .. }) =
        price.layers.iter().find(|layer| matches!(layer, Layer::Line { .. }))
    else {
        panic!("{price:?}")
    };
    assert!(points.iter().all(|point| (point.1 / dollars - 1.0).abs() < 0.05));
    // 50,000 messages at 50 us.
    assert_eq!(price.x.label, "time since the first message, ms");
    assert!((points.last().unwrap().0 - 2_500.0).abs() < 20.0, "{:?}", points.last());
    let Layer::Bars { bars, .. } = &page.sections[0].charts[0].layers[0] else { panic!("rates are bars") };
    assert!(bars.iter().all(|bar| (bar.2 - 20_000.0).abs() < 2_000.0), "20,000 a second all the time");
}

#[test]
fn nothing_still_has_a_page() {
    let listing = Listing::synthetic(3, Seed::new(1));
    let page = page("Nothing", "", &Portrait::new(3, &[]).finish(), &listing);
    assert!(plot_html(&page).contains("<h1>Nothing</h1>"));
    // Symbols that the listing does not know are left out.
    let (picture, ..) = recorded(10_000);
    let listing = Listing::synthetic(1, Seed::new(1));
    assert_eq!(super::page("", "", &picture, &listing).sections.len(), 3);
}

#[test]
fn a_row_of_several_figures_is_named_once() {
    let (_, realism, _) = recorded(10_000);
    let table = realism_rows(&realism);
    assert_eq!(table.rows.len(), realism.rows.iter().map(|row| row.figures.len()).sum::<usize>());
    assert!(
        table.rows.iter().all(|row| row.cells.len() == table.headings.len() && row.mark == Mark::Unknown)
    );
    assert_eq!(table.rows.iter().filter(|row| row.cells[0] == "M1").count(), 1);
}

#[test]
fn durations_are_shown_in_their_largest_unit() {
    let shown: Vec<String> = [999, 1_000, 102_400_000, 1_500_000_000, 7_200_000_000_000].map(shown_ns).into();
    assert_eq!(shown, ["999 ns", "1 µs", "102 ms", "1.5 s", "2 h"]);
}
