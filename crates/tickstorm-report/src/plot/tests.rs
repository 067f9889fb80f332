//! The page as its readers meet it: well-formed, by itself, and true to its data.

use roxmltree::{Document, Node, ParsingOptions};

use super::*;

fn page(title: &str, charts: Vec<Chart>) -> Page {
    Page {
        title: title.to_owned(),
        subtitle: title.to_owned(),
        table: Some(Table {
            headings: vec![title.to_owned()],
            rows: vec![
                Row { cells: vec![title.to_owned()], mark: Mark::Good },
                Row { cells: vec![title.to_owned()], mark: Mark::Bad },
                Row { cells: vec![title.to_owned()], mark: Mark::Unknown },
            ],
        }),
        sections: vec![Section { heading: title.to_owned(), charts }],
    }
}

fn chart(text: &str, layers: Vec<Layer>) -> Chart {
    Chart {
        title: text.to_owned(),
        note: text.to_owned(),
        width: Width::Third,
        x: Axis::linear(text),
        y: Axis::log(text),
        layers,
    }
}

fn parsed(html: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(html, options).unwrap_or_else(|error| panic!("{error}"))
}

fn heat(rows: usize, values: Vec<f32>) -> Layer {
    Layer::Heat(Heat { name: "lots".to_owned(), x: (0.0, 1.0), y: (1.0, 1.0), rows, values })
}

#[test]
fn texts_from_outside_stay_texts() {
    let nasty = "</title><script>alert('1')</script> & \"BTC\u{0}\u{1b}\u{ffff}\" ]]> <svg onload='x'> ☃";
    let layers = vec![
        Layer::line(nasty, Ink::First, [(1.0, 1.0), (2.0, 3.0)]),
        Layer::bars(nasty, Ink::Second, [(1.0, 2.0, 3.0)]),
        Layer::dots(nasty, Ink::Buy, [(1.0, 1.0)]),
        Layer::Heat(Heat {
            name: nasty.to_owned(),
            x: (1.0, 1.0),
            y: (1.0, 1.0),
            rows: 2,
            values: vec![1.0, 2.0],
        }),
    ];
    let html = plot_html(&page(nasty, vec![chart(nasty, layers)]));
    let document = parsed(&html);
    let named = |name| document.descendants().filter(move |node| node.has_tag_name(name));
    assert_eq!(named("script").count(), 0);
    let title = named("title").next().and_then(|node| node.text()).unwrap();
    assert_eq!(title, nasty.replace(['\u{0}', '\u{1b}', '\u{ffff}'], "\u{fffd}"));
    // Title, heading and three cells of the table; heading and note of the chart; the names of four layers.
    let shown = document
        .descendants()
        .filter(|node| node.is_text() && node.text().is_some_and(|it| it.contains("alert")));
    assert!(shown.count() >= 14);
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let layers = vec![Layer::line("", Ink::First, [(1.0, 1.0), (2.0, 3.0)]), heat(1, vec![1.0, 2.0])];
    let html = plot_html(&page("A page", vec![chart("A chart", layers)]));
    for loads in ["src=", "href", "url(", "@import", "<script", "<link", "<iframe", "<image"] {
        assert!(!html.contains(loads), "{loads}");
    }
    let addresses: Vec<&str> =
        html.split("://").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(addresses.iter().all(|it| *it == "www.w3.org/2000/svg"), "{addresses:?}");
}

#[test]
fn every_chart_is_drawn_with_its_name_and_axes() {
    let charts = vec![
        chart("first", vec![Layer::line("a", Ink::First, [(1.0, 1.0), (2.0, 3.0)])]),
        Chart {
            width: Width::Full,
            ..chart("second", vec![Layer::bars("b", Ink::Second, [(1.0, 2.0, 3.0)])])
        },
        Chart { width: Width::Half, ..chart("third", vec![]) },
    ];
    let html = plot_html(&page("A page", charts));
    let document = parsed(&html);
    let drawings: Vec<Node<'_, '_>> = document.descendants().filter(|node| node.has_tag_name(SVG)).collect();
    assert_eq!(
        drawings.iter().map(|it| it.attribute("aria-label")).collect::<Vec<_>>(),
        [Some("first"), Some("second"), Some("third")]
    );
    for drawing in &drawings {
        let name = drawing.attribute("aria-label").unwrap();
        let texts: Vec<&str> = drawing
            .descendants()
            .filter(Node::is_text)
            .filter_map(|node| node.text())
            .map(str::trim)
            .collect();
        assert_eq!(texts.iter().filter(|text| **text == name).count(), 2, "both axes are named: {texts:?}");
        assert!(texts.len() > 6, "{texts:?}");
    }
}

const SVG: (&str, &str) = ("http://www.w3.org/2000/svg", "svg");

#[test]
fn a_line_is_interrupted_where_a_point_cannot_be_shown() {
    let points =
        [(1.0, 1.0), (2.0, 10.0), (3.0, 0.0), (4.0, f64::NAN), (5.0, 100.0), (6.0, 10.0), (7.0, 1.0)];
    let html = plot_html(&page("A page", vec![chart("A chart", vec![Layer::line("", Ink::First, points)])]));
    let document = parsed(&html);
    let color = Ink::First.hex();
    let lengths: Vec<usize> = document
        .descendants()
        .filter(|node| node.attribute("stroke") == Some(&color))
        .map(|node| node.attribute("points").unwrap().split_whitespace().count())
        .filter(|&points| points > 0)
        .collect();
    assert_eq!(lengths, [2, 3], "logarithms have no zero");
}

#[test]
fn higher_is_higher_and_later_is_further_right() {
    let layers = vec![Layer::line("", Ink::First, [(0.0, 1.0), (5.0, 100.0), (10.0, 10.0)])];
    let drawn = chart::svg(&chart("", layers));
    let document = parsed(&drawn);
    let color = Ink::First.hex();
    let line = document.descendants().find(|node| node.attribute("stroke") == Some(&color)).unwrap();
    let numbers = |pair: &str| -> Vec<f64> { pair.split(',').map(|it| it.parse().unwrap()).collect() };
    let places: Vec<Vec<f64>> = line.attribute("points").unwrap().split_whitespace().map(numbers).collect();
    assert!(places[0][0] < places[1][0] && places[1][0] < places[2][0]);
    assert!(places[1][1] < places[2][1] && places[2][1] < places[0][1]);
    // Ten lies half way between one and a hundred.
    assert!((places[2][1] - 0.5 * (places[0][1] + places[1][1])).abs() <= 1.0, "{places:?}");
}

#[test]
fn nonsense_is_drawn_without_panic() {
    let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, -1.0, 0.0, 1e-300];
    let pairs = || values.into_iter().flat_map(|x| values.into_iter().map(move |y| (x, y)));
    let layers = vec![
        Layer::line("", Ink::First, pairs()),
        Layer::dots("", Ink::First, pairs()),
        Layer::bars("", Ink::First, pairs().map(|(x, y)| (x, y, x))),
        heat(0, vec![]),
        heat(3, vec![1.0, f32::NAN]),
    ];
    for scale in [Scale::Linear, Scale::Log] {
        let axis = Axis { scale, ..Axis::linear("") };
        let chart = Chart { x: axis.clone(), y: axis, ..chart("", layers.clone()) };
        parsed(&plot_html(&page("", vec![chart])));
    }
}
