//! What clients ask over their sockets, and what becomes of it.

use std::sync::Arc;

use tickstorm_market::SymbolId;
use tickstorm_net::Carrier;
use tickstorm_venue::{
    Venue,
    closing::Leave,
    limits::Overstep,
    protocol::{Channel, Login, Refusal, Refused, Reply, Request, RequestId, Session, Topic},
    publisher::{StreamId, Wish},
    rest::{Call, Facts},
};

use super::{
    client::{Cause, Client, Held, Source, Stage, Subscriber, is_same},
    floor::{Books, Floor},
    outlet::TURN_BYTES,
};

/// A subscription that a client asks for.
struct Subscribe {
    id: Option<RequestId>,
    topics: Vec<Topic>,
    wish: Wish,
    login: Option<Login>,
}

impl<T: Carrier> Floor<T> {
    pub(super) fn on_request(&mut self, key: usize, request: Request, books: &dyn Books, now_ns: u64) {
        if let Err((id, overstep)) = self.meter(key, &request, now_ns) {
            return self.overstepped(key, id, overstep, now_ns);
        }
        match request {
            Request::Subscribe { id, topics, snapshot, fills, login } => {
                let wish = Wish { snapshot, fills };
                self.subscribe(key, Subscribe { id, topics, wish, login }, books, now_ns);
            }
            Request::Unsubscribe { id, topics } => self.unsubscribe(key, id, topics, now_ns),
            Request::List { id } => {
                let all = self.topics(key);
                self.reply(key, &Reply::Subscriptions { id, all }, now_ns);
            }
            Request::Ping { id } => self.reply(key, &Reply::Pong { id }, now_ns),
            Request::Login { id, login } => match self.log_in(key, &login, books, now_ns) {
                Ok(()) => self.logged_in(key, id, login.key, now_ns),
                Err(refusal) => {
                    let Some(venue) = self.client(key).map(|client| client.venue) else { return };
                    self.refuse(key, refused(id, refusal, None, word(venue, "login")), now_ns);
                    if venue == Venue::Bybit {
                        self.leave(key, Cause::Offended, venue.closing(Leave::LoginFailed), now_ns);
                    }
                }
            },
            Request::Session { id } => self.tell_session(key, id, now_ns),
            Request::Logout { id } => self.log_out(key, id, now_ns),
            Request::Call { id, call, login } => self.call(key, id, call, login.as_ref(), books, now_ns),
            Request::SetCombined { id, combined } => {
                if let Some(client) = self.client_mut(key) {
                    client.is_combined = combined;
                }
                self.rename(key);
                self.reply(key, &Reply::Combined { id, combined: None }, now_ns);
            }
            Request::GetCombined { id } => {
                let combined = self.client(key).is_some_and(|client| client.is_combined);
                self.reply(key, &Reply::Combined { id, combined: Some(combined) }, now_ns);
            }
        }
    }

    /// Counts a command against what the venue allows.
    fn meter(
        &mut self,
        key: usize,
        request: &Request,
        now_ns: u64,
    ) -> Result<(), (Option<RequestId>, Overstep)> {
        let (id, topics) = match request {
            Request::Subscribe { id, topics, .. } | Request::Unsubscribe { id, topics } => (id, topics.len()),
            Request::Login { id, .. } => (id, 0),
            _ => return Ok(()),
        };
        let Some(client) = self.client_mut(key) else { return Ok(()) };
        let more = if matches!(request, Request::Subscribe { .. }) { topics } else { 0 };
        let subscribed = client.held.len() + more;
        client.meter.on_command(now_ns, topics, subscribed).map_err(|overstep| (id.clone(), overstep))
    }

    /// A client has taken more than the venue allows.
    pub(super) fn overstepped(&mut self, key: usize, id: Option<RequestId>, overstep: Overstep, now_ns: u64) {
        match overstep {
            Overstep::Close(closing) => self.leave(key, Cause::Offended, closing, now_ns),
            Overstep::Refuse(refusal) => {
                let method = self.client(key).and_then(|client| word(client.venue, "subscribe"));
                self.refuse(key, refused(id, refusal, None, method), now_ns);
            }
            // Sockets have no status.
            Overstep::Http { .. } => {}
        }
    }

    pub(super) fn refuse(&mut self, key: usize, refused: Refused, now_ns: u64) {
        if let Some(client) = self.client_mut(key) {
            client.tally.refused += 1;
        }
        self.last_refused = Some(refused.clone());
        self.reply(key, &Reply::Refused(refused), now_ns);
    }

    /// A subscription that stands in the path has no answer, and one that cannot be granted is passed over.
    pub(super) fn open_from_path(&mut self, key: usize, stream: &str, books: &dyn Books, now_ns: u64) {
        // Only Binance has such paths.
        let request = serde_json::json!({"method": "SUBSCRIBE", "params": [stream], "id": 0}).to_string();
        let Some(Ok(Request::Subscribe { topics, .. })) = self.read_request(key, request.as_bytes()) else {
            return;
        };
        if let Ok(sources) = self.open(key, &topics, books) {
            self.hold(key, sources, Wish::default(), books, now_ns);
        }
    }

    /// A key in the path opens the account's stream without further words.
    pub(super) fn open_user_stream(&mut self, key: usize, books: &dyn Books, now_ns: u64) {
        let topic = Topic { channel: Channel::User, symbol: None, name: "userDataStream".to_owned() };
        self.hold(key, vec![Held { topic, source: Source::Account }], Wish::default(), books, now_ns);
    }

    fn subscribe(&mut self, key: usize, request: Subscribe, books: &dyn Books, now_ns: u64) {
        let Subscribe { id, mut topics, wish, login } = request;
        let Some(venue) = self.client(key).map(|client| client.venue) else { return };
        if let Some(login) = login
            && let Err(refusal) = self.log_in(key, &login, books, now_ns)
        {
            let topic = topics.first();
            return self.refuse(key, refused(id, refusal, topic, word(venue, "subscribe")), now_ns);
        }
        match repetition(venue) {
            Repetition::Granted => {}
            Repetition::TopicRefused => {
                for topic in self.taken_out(key, &mut topics, |client, topic| client.find(topic).is_some()) {
                    let refusal = Refusal::AlreadySubscribed;
                    let refused = refused(id.clone(), refusal, Some(&topic), word(venue, "subscribe"));
                    self.refuse(key, refused, now_ns);
                }
                if topics.is_empty() {
                    return;
                }
            }
            Repetition::RequestRefused => {
                let is_held = |topic: &&Topic| self.client(key).is_some_and(|it| it.find(topic).is_some());
                if let Some(topic) = topics.iter().find(is_held) {
                    let refusal = Refusal::AlreadySubscribed;
                    let refused = refused(id, refusal, Some(topic), word(venue, "subscribe"));
                    return self.refuse(key, refused, now_ns);
                }
            }
        }
        let ack_first = self.spec.options.ack_order.ack_comes_first(venue);
        let sources = match self.open(key, &topics, books) {
            Ok(sources) => sources,
            Err((refusal, topic)) => {
                let refused = refused(id, refusal, Some(&topic), word(venue, "subscribe"));
                return self.refuse(key, refused, now_ns);
            }
        };
        let mut all = self.topics(key);
        all.extend(sources.iter().map(|held| held.topic.clone()));
        // Fills that are wished for come in a snapshot, too.
        let snapshot = if wish.fills == Some(true) { wish.fills } else { wish.snapshot };
        let ack = Reply::Subscribed { id, topics, all, snapshot };
        if ack_first {
            self.reply(key, &ack, now_ns);
        }
        self.hold(key, sources, wish, books, now_ns);
        if !ack_first {
            self.reply(key, &ack, now_ns);
        }
    }

    /// Finds out where the messages of topics come from that the client does not have yet; all or none of them.
    fn open(
        &mut self,
        key: usize,
        topics: &[Topic],
        books: &dyn Books,
    ) -> Result<Vec<Held>, (Refusal, Topic)> {
        let Some(client) = self.client(key) else { return Ok(Vec::new()) };
        let (venue, is_owner) = (client.venue, client.account.is_some());
        let mut fresh: Vec<Topic> = Vec::new();
        for topic in topics.iter().filter(|topic| client.find(topic).is_none()) {
            // The client may have named it twice.
            if !fresh.iter().any(|other| is_same(other, topic)) {
                fresh.push(topic.clone());
            }
        }
        let mut sources: Vec<Held> = Vec::new();
        for topic in fresh {
            let source = match topic.channel {
                Channel::Orders | Channel::Fills | Channel::Balances | Channel::User if is_owner => {
                    Ok(Source::Account)
                }
                Channel::Orders | Channel::Fills | Channel::Balances | Channel::User => {
                    Err(Refusal::NotLoggedIn)
                }
                Channel::Heartbeats => Ok(Source::Clock),
                _ => self
                    .open_stream(venue, &topic, books)
                    .map(Source::Stream)
                    .or_else(|| (venue == Venue::Binance).then_some(Source::Nowhere))
                    .ok_or_else(|| Refusal::UnknownChannel { name: topic.name.clone() }),
            };
            match source {
                Ok(source) => sources.push(Held { topic, source }),
                Err(refusal) => {
                    self.close_unheard(venue, sources.iter().map(|held| held.source));
                    return Err((refusal, topic));
                }
            }
        }
        Ok(sources)
    }

    /// Streams that were opened for nobody after all.
    fn close_unheard(&mut self, venue: Venue, sources: impl Iterator<Item = Source>) {
        let Some(shop) = self.shop_mut(venue) else { return };
        for source in sources {
            if let Source::Stream(stream) = source {
                shop.close_if_unheard(stream);
            }
        }
    }

    /// Makes the client a subscriber, and tells it what new subscribers are told first.
    fn hold(&mut self, key: usize, sources: Vec<Held>, wish: Wish, books: &dyn Books, now_ns: u64) {
        let wire_ns = self.time.wire_ns(now_ns);
        // However many topics of the account there are, its state is told once.
        let of_account = sources.iter().filter(|held| held.source == Source::Account);
        let of_account: Vec<Topic> = of_account.map(|held| held.topic.clone()).collect();
        let mut sources = sources.into_iter();
        while let Some(held) = sources.next() {
            // Thousands of books in one request are no single turn.
            if self.turn_bytes() >= TURN_BYTES {
                self.flush(now_ns);
            }
            let (Some(shop), Some(client), turn) = self.at(key) else { return };
            if client.stage != Stage::Open {
                let venue = client.venue;
                return self
                    .close_unheard(venue, std::iter::once(held).chain(sources).map(|held| held.source));
            }
            let is_heard = client.held.iter().any(|other| other.source == held.source);
            let Client { link, numbering, is_combined, .. } = client;
            match held.source {
                // A stream that it has subscribed to in other words comes once all the same.
                Source::Stream(_) if is_heard => {}
                Source::Stream(stream) => {
                    shop.publisher.greet(stream, wish.snapshot, wire_ns, numbering, &mut |bytes| {
                        link.push(turn.text(bytes), now_ns, 0);
                    });
                    let wrapped = is_combined.then(|| Arc::from(held.topic.name.as_str()));
                    shop.subscribe(stream, Subscriber { key, wrapped });
                }
                Source::Account | Source::Nowhere => {}
                Source::Clock => client.keep.heartbeat_due_ns = now_ns,
            }
            client.remember(held);
        }
        if !of_account.is_empty() {
            self.greet_owner(key, &of_account, wish, books, now_ns);
        }
        self.subscribers_new.push(key);
        self.touch(key);
    }

    fn unsubscribe(&mut self, key: usize, id: Option<RequestId>, mut topics: Vec<Topic>, now_ns: u64) {
        let Some(venue) = self.client(key).map(|client| client.venue) else { return };
        if repetition(venue) == Repetition::TopicRefused {
            for topic in self.taken_out(key, &mut topics, |client, topic| client.find(topic).is_none()) {
                let refusal = Refusal::NotSubscribed;
                let refused = refused(id.clone(), refusal, Some(&topic), word(venue, "unsubscribe"));
                self.refuse(key, refused, now_ns);
            }
            if topics.is_empty() {
                return;
            }
        }
        for topic in &topics {
            self.let_go(key, topic);
        }
        let all = self.topics(key);
        self.reply(key, &Reply::Unsubscribed { id, topics, all }, now_ns);
    }

    /// Takes the topics out of a list for which something is true of the client.
    fn taken_out(
        &self,
        key: usize,
        topics: &mut Vec<Topic>,
        is_true: impl Fn(&Client<T>, &Topic) -> bool,
    ) -> Vec<Topic> {
        let Some(client) = self.client(key) else { return Vec::new() };
        topics.extract_if(.., |topic| is_true(client, topic)).collect()
    }

    fn let_go(&mut self, key: usize, topic: &Topic) {
        let (Some(shop), Some(client), _) = self.at(key) else { return };
        let Some(index) = client.find(topic) else { return };
        let held = client.held.remove(index);
        client.forgo(&held.topic);
        let Source::Stream(stream) = held.source else { return };
        // Another subscription of the client's may be of the same stream, in other words.
        if client.held.iter().any(|other| other.source == held.source) {
            return self.rename(key);
        }
        shop.unsubscribe(stream, key);
        if let Some(messages) = client.folds.forget(stream) {
            self.drop_folded(key, messages);
        }
    }

    fn log_in(&mut self, key: usize, login: &Login, books: &dyn Books, now_ns: u64) -> Result<(), Refusal> {
        let now_unix_ms = self.real_unix_ns(now_ns) / 1_000_000;
        let Some(venue) = self.client(key).map(|client| client.venue) else { return Ok(()) };
        let checked = self.keys[venue as usize].check_login(login, now_unix_ms);
        let account = checked.map_err(Refusal::Access)?;
        self.become_owner(key, account, &books.balances(account));
        Ok(())
    }

    fn logged_in(&mut self, key: usize, id: Option<RequestId>, api_key: String, now_ns: u64) {
        let since_ms = self.unix_ns(now_ns) / 1_000_000;
        let Some(client) = self.client_mut(key) else { return };
        client.login = Some((api_key, since_ms));
        match client.venue {
            Venue::Binance => self.tell_session(key, id, now_ns),
            _ => self.reply(key, &Reply::LoggedIn { id }, now_ns),
        }
    }

    fn tell_session(&mut self, key: usize, id: Option<RequestId>, now_ns: u64) {
        let Some(client) = self.client(key) else { return };
        let session = Session {
            login: client.login.clone(),
            connected_ms: self.unix_ns(client.tally.came_ns) / 1_000_000,
            is_subscribed: client.held.iter().any(|held| held.source == Source::Account),
        };
        self.reply(key, &Reply::Session { id, session }, now_ns);
    }

    /// Ends with its session what the client is told of its account. Without one there is nothing to end.
    fn log_out(&mut self, key: usize, id: Option<RequestId>, now_ns: u64) {
        if let Some(client) = self.client_mut(key).filter(|client| client.login.is_some()) {
            client.held.retain(|held| held.source != Source::Account);
            self.forget_owner(key);
        }
        self.tell_session(key, id, now_ns);
    }

    /// Answers over the socket what the HTTP interface answers as well.
    fn call(
        &mut self,
        key: usize,
        id: Option<RequestId>,
        call: Call,
        login: Option<&Login>,
        books: &dyn Books,
        now_ns: u64,
    ) {
        if let Some(login) = login
            && let Err(refusal) = self.log_in(key, login, books, now_ns)
        {
            return self.refuse(key, refused(id, refusal, None, None), now_ns);
        }
        let owner = self.client(key).and_then(|client| client.account.as_ref().map(|(account, _)| *account));
        if call.is_private() && owner.is_none() {
            return self.refuse(key, refused(id, Refusal::NotLoggedIn, None, None), now_ns);
        }
        let book = match &call {
            Call::Depth { symbol, .. } => books.book(*symbol),
            _ => None,
        };
        let balances = owner.filter(|_| call.is_private()).map(|owner| (owner, books.balances(owner)));
        let facts = Facts {
            now_unix_ns: self.unix_ns(now_ns),
            book: book.as_ref(),
            balances: balances.as_ref().map(|(owner, balances)| (*owner, balances.as_slice())),
            token: "",
        };
        let Some(rest) = self.rest_of(key) else { return };
        let answer = match &call {
            Call::Tickers { .. } => {
                let of = |symbol: SymbolId| self.tickers.get(symbol.0 as usize).copied().flatten();
                rest.tickers(&call, &of, self.start_unix_ns() as i64, self.time.wire_ns(now_ns))
            }
            _ => rest.answer(&call, &facts),
        };
        self.reply(key, &Reply::Called { id, answer }, now_ns);
    }

    fn topics(&self, key: usize) -> Vec<Topic> {
        self.client(key).map(Client::topics).unwrap_or_default()
    }

    /// Has the client's messages wrapped, or no longer.
    fn rename(&mut self, key: usize) {
        let (Some(shop), Some(client), _) = self.at(key) else { return };
        let name = |stream: StreamId| {
            let held = client.held.iter().find(|held| held.source == Source::Stream(stream));
            held.filter(|_| client.is_combined).map(|held| Arc::from(held.topic.name.as_str()))
        };
        shop.rename(key, name);
    }
}

/// What a venue makes of a subscription to what is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repetition {
    /// It is acknowledged and changes nothing.
    Granted,
    /// It is refused topic by topic, and so is unsubscribing from what is not subscribed to.
    TopicRefused,
    /// It is refused with all the other topics of its request.
    RequestRefused,
}

fn repetition(venue: Venue) -> Repetition {
    match venue {
        Venue::Kraken => Repetition::TopicRefused,
        // As ccxt's users have met it: the new topics of such a request stay silent.
        Venue::Bybit => Repetition::RequestRefused,
        Venue::Binance | Venue::Coinbase | Venue::Okx => Repetition::Granted,
    }
}

/// The venue's own word for what a client wanted.
fn word(venue: Venue, wanted: &'static str) -> Option<String> {
    Some(match (venue, wanted) {
        (Venue::Binance, "login") => "session.logon".to_owned(),
        (Venue::Binance, other) => other.to_uppercase(),
        (Venue::Bybit, "login") => "auth".to_owned(),
        (_, other) => other.to_owned(),
    })
}

fn refused(
    id: Option<RequestId>,
    refusal: Refusal,
    topic: Option<&Topic>,
    method: Option<String>,
) -> Refused {
    Refused { id, refusal, topic: topic.map(|topic| topic.name.clone()), method }
}
