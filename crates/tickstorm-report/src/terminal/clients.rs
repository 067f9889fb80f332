//! The page's part about the clients of a served run.

use super::{GAP, MOST_ROWS, Page, Paint, Side, clean, columns, counted, list, time, wrap};
use crate::format;
use crate::model::Report;
use crate::served::{Basis, Client, Served};

/// What was served, and how far behind each client was: where its backlog waited is said in words.
pub(super) fn served(page: &mut Page, report: &Report) {
    let Some(served) = &report.served else { return };
    page.section("Served", Paint::Plain);
    page.wrapped(&list(&[
        format!("on {}", served.address),
        format!("{} market messages", format::count(served.market_messages)),
        format::rate(served.market_rate),
        format!("{} cadence", served.cadence),
    ]));
    let all = &served.delivered;
    page.wrapped(&list(&[
        format!("delivered {} events", format::count(all.events)),
        format!("{} in {} frames", format::rate(all.events_per_s), format::count(all.frames)),
        format!("{} in {}", format::rate(all.frames_per_s), format::bytes(all.bytes)),
        format!("{}/s", format::bytes(all.bytes_per_s as u64)),
    ]));
    asked(page, served);
    clients(page, &served.clients, served.clients_left_out);
    books(page, served);
}

fn asked(page: &mut Page, served: &Served) {
    let mut asked = Vec::new();
    if served.http_requests > 0 {
        asked.push(format!(
            "{} by http, {} for a book, {} refused",
            counted(served.http_requests, "request"),
            format::count(served.snapshot_requests),
            format::count(served.http_refused),
        ));
    }
    if served.turned_away > 0 {
        asked.push(format!("{} turned away at the door", counted(served.turned_away, "connection")));
    }
    if !asked.is_empty() {
        page.painted(&asked.join("; "), Paint::Faint);
    }
}

fn clients(page: &mut Page, clients: &[Client], left_out: u64) {
    if clients.is_empty() {
        page.painted("nobody came", Paint::Faint);
        return;
    }
    page.section("Clients", Paint::Plain);
    // Those who had trouble are shown first where not all are.
    let mut order: Vec<&Client> = clients.iter().collect();
    if order.len() > MOST_ROWS {
        order.sort_by(|one, other| trouble(other).total_cmp(&trouble(one)));
    }
    let (shown, rest) = order.split_at(order.len().min(MOST_ROWS));
    let heading = ["", "venue", "events", "frames", "bytes", "lag p99", "at the end"].map(str::to_owned);
    let rows = shown.iter().map(|client| {
        vec![
            client.id.to_string(),
            client.venue.clone(),
            format::rate(client.traffic.events_per_s),
            format::rate(client.traffic.frames_per_s),
            format!("{}/s", format::bytes(client.traffic.bytes_per_s as u64)),
            time(client.lag.p99_ms),
            behind(client),
        ]
    });
    let mut rows: Vec<Vec<String>> = std::iter::once(heading.to_vec()).chain(rows).collect();
    let sides = [Side::Right, Side::Left, Side::Right, Side::Right, Side::Right, Side::Right, Side::Left];
    let mut lines = columns(&rows, &sides);
    for dispensable in [BYTES, FRAMES] {
        if lines.iter().all(|line| line.trim_end().chars().count() <= page.text_width()) {
            break;
        }
        // A column without text takes no room.
        rows.iter_mut().for_each(|row| row[dispensable].clear());
        lines = columns(&rows, &sides);
    }
    let mut lines = lines.into_iter();
    if let Some(heading) = lines.next() {
        page.line(&[(heading.trim_end(), Paint::Faint)]);
    }
    for (client, line) in shown.iter().zip(lines) {
        page.line(&[(line.trim_end(), Paint::Plain)]);
        for (text, paint) in details(client) {
            for (index, line) in wrap(&clean(&text), page.text_width() - 2 * GAP.len()).iter().enumerate() {
                let further = if index == 0 { "" } else { GAP };
                page.line(&[(GAP, Paint::Plain), (further, Paint::Plain), (line, paint)]);
            }
        }
    }
    let more = rest.len() as u64 + left_out;
    if more > 0 {
        page.painted(&format!("and {}", counted(more, "more client")), Paint::Faint);
    }
}

fn trouble(client: &Client) -> f64 {
    let failed = (client.dropped + client.lost) as f64;
    failed * 1e6 + client.last.age_ms.unwrap_or(0.0).max(client.worst.age_ms.unwrap_or(0.0))
}

/// In a word; the sentence follows.
fn behind(client: &Client) -> String {
    if let Some(ended) = &client.ended {
        return ended.cause.replace('_', " ");
    }
    match (client.last.basis, client.last.place, client.last.age_ms) {
        (Basis::Exact, None, _) => "kept up".into(),
        (Basis::Exact, Some(_), age) => time(age),
        (Basis::LowerBound, None, Some(age_ms)) if age_ms < NOT_WORTH_A_WORD_MS => "not known".into(),
        (Basis::LowerBound, _, age) => format!("at least {}", time(age)),
        (Basis::Unknown, ..) => "unknown".into(),
    }
}

fn details(client: &Client) -> Vec<(String, Paint)> {
    let mut details = Vec::new();
    let mut who = vec![client.address.clone()];
    who.extend(client.process.as_ref().map(|process| {
        let command = process.command.as_deref().unwrap_or("process");
        format!("{command} ({})", process.pid)
    }));
    who.extend(client.user_agent.clone());
    who.push(counted(client.subscriptions, "subscription"));
    if client.resubscriptions > 0 {
        who.push(counted(client.resubscriptions, "resubscription"));
    }
    details.push((who.join(", "), Paint::Faint));
    if let Some(ended) = &client.ended {
        let code = ended.code.map(|code| format!(" with code {code}")).unwrap_or_default();
        let text = if ended.text.is_empty() { String::new() } else { format!(": {}", ended.text) };
        details.push((format!("ended at {}{code}{text}", format::seconds(ended.at_s)), Paint::Doubtful));
    } else if client.last.place.is_some() || client.last.basis != Basis::Exact {
        details.push((client.last.text.clone(), Paint::Doubtful));
    }
    let worst_ms = client.worst.age_ms.unwrap_or(0.0);
    if client.worst.place.is_some() && worst_ms > client.last.age_ms.unwrap_or(0.0) {
        details.push((format!("during the feed {}", client.worst.text), Paint::Faint));
    }
    if client.dropped + client.lost > 0 {
        let (dropped, lost) = (format::count(client.dropped), format::count(client.lost));
        let owed = format::count(client.owed);
        details.push((format!("of {owed} messages owed {dropped} dropped, {lost} lost"), Paint::Bad));
    }
    details
}

fn books(page: &mut Page, served: &Served) {
    if served.books.is_empty() {
        return;
    }
    page.section("Books", Paint::Plain);
    for book in served.books.iter().take(MOST_ROWS) {
        let who = if book.client.is_empty() { "a client" } else { &book.client };
        let stale = book.staleness.p99_ms.map(|_| format!(", stale p99 {}", time(book.staleness.p99_ms)));
        page.wrapped(&format!(
            "{who}'s best prices of {}: {} posts, {} right, {} wrong, {} unknown{}",
            book.symbol,
            format::count(book.posts),
            format::count(book.correct),
            format::count(book.wrong),
            format::count(book.unknown),
            stale.unwrap_or_default(),
        ));
    }
    let more = served.books.len().saturating_sub(MOST_ROWS) as u64;
    if more > 0 {
        page.painted(&format!("and {}", counted(more, "more book")), Paint::Faint);
    }
}

/// Columns of the table of clients that a narrow page does without.
const FRAMES: usize = 3;
const BYTES: usize = 4;

/// What is on its way anyway.
const NOT_WORTH_A_WORD_MS: f64 = 20.0;
