//! What belongs to an account and is told nobody else.

use tickstorm_market::event::{AccountId, Body, ExecutionKind, Kind, Message};

use crate::blotter::{Blotter, OpenOrder};
use crate::decoded::{AssetBalance, BalanceUpdate, Decoded, DepthForm, WallClock};
use crate::encoder::{Encoder, Numbering};
use crate::protocol::{Channel, Topic};
use crate::venue::Venue;

/// Tells one connection what happens to its account: every message by itself, with the connection's own numbers.
#[derive(Debug, Clone)]
pub struct AccountFeed {
    venue: Venue,
    account: AccountId,
    encoder: Encoder,
    clock: WallClock,
    /// Whether Binance's events come without the number of their subscription.
    bare: bool,
    out: Vec<u8>,
}

/// What an account has, and what it has done so far.
#[derive(Debug, Clone, Copy)]
pub struct AccountState<'a> {
    /// Its balances now.
    pub balances: &'a [AssetBalance],
    /// Its open orders and last fills, in the times of the messages that are pushed.
    pub blotter: &'a Blotter,
}

/// What a client wants to be sent first, where it has a choice and made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// How things stand.
    pub snapshot: Option<bool>,
    /// Its last fills.
    pub fills: Option<bool>,
}

impl AccountFeed {
    pub(super) fn new(
        venue: Venue,
        mut encoder: Encoder,
        clock: WallClock,
        account: AccountId,
        state: &AccountState<'_>,
    ) -> Self {
        encoder.seed_balances(told_as(venue, account), state.balances);
        encoder.seed_orders(&state.blotter.orders());
        Self { venue, account, encoder, clock, bare: false, out: Vec::new() }
    }

    /// Tells events without the wrapper that numbers their subscription, as Binance does on a socket that was opened with a
    /// listen key. Other venues have no wrapper.
    pub fn tell_bare_events(&mut self) {
        self.bare = true;
    }

    /// Whose it is.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Takes in a message of the market; those of other accounts and of none are ignored. Hands `send` what it means on
    /// the channels that the connection has subscribed to. To be called for every message of the account, also while
    /// there is no subscription: later messages refer to earlier ones.
    pub fn push(
        &mut self,
        message: &Message,
        channels: &[Channel],
        numbering: &mut Numbering,
        send: &mut dyn FnMut(&[u8], Kind),
    ) {
        let Some(message) = self.own(message) else { return };
        let kind = message.body.kind();
        let wanted = |channel| channels.contains(&channel) || channels.contains(&Channel::User);
        let is_wanted = match (self.venue, &message.body) {
            // A fill is told by itself, and what it makes of the order as well.
            (Venue::Bybit, Body::Execution(execution)) if execution.kind == ExecutionKind::Trade => {
                wanted(Channel::Fills)
            }
            (_, Body::Execution(_)) => wanted(Channel::Orders),
            _ => wanted(Channel::Balances),
        };
        self.out.clear();
        // What is not sent is not counted either.
        let (mut sent, mut unsent) = (*numbering, *numbering);
        if self.encoder.encode(&message, if is_wanted { &mut sent } else { &mut unsent }, &mut self.out)
            && is_wanted
        {
            *numbering = sent;
            let event = self.out.strip_prefix(WRAPPER).and_then(|event| event.strip_suffix(b"}"));
            send(event.filter(|_| self.bare).unwrap_or(&self.out), kind);
        }
        let fill =
            matches!(&message.body, Body::Execution(execution) if execution.kind == ExecutionKind::Trade);
        if self.venue == Venue::Bybit && fill && wanted(Channel::Orders) {
            self.out.clear();
            if self.encoder.encode_order(&message, numbering, &mut self.out) {
                send(&self.out, kind);
            }
        }
    }

    /// Hands `send` what who subscribes to these topics of the account is told first: of balances all of them at Kraken
    /// and OKX, of orders the open ones at Kraken and Coinbase, and at Kraken the last fills if they are wanted. Nothing
    /// elsewhere.
    pub fn greet(
        &mut self,
        topics: &[Topic],
        wish: Wish,
        state: &AccountState<'_>,
        now_ns: u64,
        numbering: &mut Numbering,
        send: &mut dyn FnMut(&[u8]),
    ) {
        let about = |channel| topics.iter().filter(move |topic| topic.channel == channel);
        let wants_state = wish.snapshot.unwrap_or(true);
        match self.venue {
            Venue::Kraken | Venue::Okx => {
                if about(Channel::Balances).next().is_some() && wants_state {
                    self.greet_with_balances(state.balances, now_ns, numbering, send);
                }
            }
            Venue::Coinbase => {
                let orders = state.blotter.orders().into_iter().filter(|order| {
                    about(Channel::User)
                        .any(|topic| topic.symbol.is_none_or(|symbol| symbol == order.last.symbol))
                });
                let orders: Vec<OpenOrder> = orders.collect();
                // Who has none is told so, too.
                let frames = orders.chunks(ORDERS_A_FRAME).chain(orders.is_empty().then_some(&[][..]));
                if about(Channel::User).next().is_some() {
                    frames.for_each(|orders| self.greet_with_orders(orders, &[], now_ns, numbering, send));
                }
            }
            Venue::Binance | Venue::Bybit => {}
        }
        let wants_fills = wish.fills.unwrap_or(false);
        if self.venue == Venue::Kraken
            && about(Channel::Orders).next().is_some()
            && (wants_state || wants_fills)
        {
            let orders = if wants_state { state.blotter.orders() } else { Vec::new() };
            let fills = state.blotter.fills().filter(|_| wants_fills);
            let fills: Vec<Message> = fills.filter_map(|fill| self.own(fill)).collect();
            self.greet_with_orders(&orders, &fills, now_ns, numbering, send);
        }
    }

    fn greet_with_orders(
        &mut self,
        orders: &[OpenOrder],
        fills: &[Message],
        now_ns: u64,
        numbering: &mut Numbering,
        send: &mut dyn FnMut(&[u8]),
    ) {
        let own = |order: &OpenOrder| Some(OpenOrder { last: self.own(&order.last)?, ..*order });
        let orders: Vec<OpenOrder> = orders.iter().filter_map(own).collect();
        self.out.clear();
        if self.encoder.open_orders(&orders, fills, now_ns, numbering, &mut self.out) {
            send(&self.out);
        }
    }

    fn greet_with_balances(
        &mut self,
        balances: &[AssetBalance],
        now_ns: u64,
        numbering: &mut Numbering,
        send: &mut dyn FnMut(&[u8]),
    ) {
        let unix_ns = self.clock.unix_ns(now_ns);
        let update = BalanceUpdate {
            account: told_as(self.venue, self.account),
            event_ns: Some(unix_ns),
            engine_ns: unix_ns,
            form: DepthForm::Snapshot,
            balances,
        };
        self.encoder.seed_balances(update.account, balances);
        self.out.clear();
        if self.encoder.encode_decoded(&Decoded::Balance(update), numbering, &mut self.out) {
            send(&self.out);
        }
    }

    /// The message as this connection sees it; none if it is none of its business.
    fn own(&self, message: &Message) -> Option<Message> {
        let mut message = *message;
        let account = match &mut message.body {
            Body::Execution(execution) => &mut execution.account,
            Body::Balance(balance) => &mut balance.account,
            Body::Transfer(transfer) => &mut transfer.account,
            _ => return None,
        };
        if *account != self.account {
            return None;
        }
        *account = told_as(self.venue, *account);
        Some(message)
    }
}

/// So many open orders Coinbase puts into a frame.
const ORDERS_A_FRAME: usize = 50;

/// What Binance's events begin with; their end is a brace.
const WRAPPER: &[u8] = br#"{"subscriptionId":0,"event":"#;

/// A connection is about one account, so that venues need not tell which. Binance numbers the connection's
/// subscriptions instead, and Kraken an account's wallets: both have only the first. OKX and Bybit know clients by their numbers.
fn told_as(venue: Venue, account: AccountId) -> AccountId {
    match venue {
        Venue::Binance | Venue::Kraken => AccountId(0),
        Venue::Coinbase | Venue::Okx | Venue::Bybit => account,
    }
}
