"""Points ccxt at a mock exchange with an account's key, and says whether the account's books balance.

What the account has in the end must be what it had, plus its fills with their fees, plus deposits and less withdrawals
where the venue's messages tell of them. It ends when the exchange closes its connections, or after the given time.
"""

import argparse
import asyncio
import json
from collections import defaultdict
from decimal import Decimal

import ccxt.pro

from ccxt_live import describe, point, takes_leave


def transfers(venue, message):
    """Assets and amounts of the deposits and withdrawals that a message tells of."""
    if not isinstance(message, dict):
        return
    if venue == "binance":
        event = message.get("event", message)
        if event.get("e") == "balanceUpdate":
            yield event["a"], Decimal(event["d"])
    elif venue == "kraken" and message.get("channel") == "balances" and message.get("type") == "update":
        for entry in message["data"]:
            if entry["type"] in ("deposit", "withdrawal"):
                yield entry["asset"], Decimal(str(entry["amount"]))


def listening(exchange):
    """The class of an exchange that keeps what is said of transfers."""

    class Listening(exchange):
        moved = defaultdict(Decimal)

        def handle_message(self, client, message):
            for asset, amount in transfers(self.id, message):
                self.moved[asset] += amount
            super().handle_message(client, message)

    return Listening


def charged(venue, trade):
    """Assets and amounts of a fill's fees, as the venue tells them, and not always ccxt."""
    info = trade["info"]
    if venue == "okx":
        # What is charged is negative there, and ccxt hands it on as if it were a rebate.
        yield info["fillFeeCcy"], -Decimal(info["fillFee"])
    elif venue == "bybit":
        # ccxt takes the currency for that of what was bought.
        yield info["feeCurrency"], Decimal(info["execFee"])
    else:
        for fee in trade.get("fees") or [trade["fee"]]:
            yield fee["currency"], Decimal(str(fee["cost"]))


def totals(balance):
    return {asset: Decimal(str(amount)) for asset, amount in balance["total"].items() if amount is not None}


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("host", help="host and port of the exchange")
    parser.add_argument("venue")
    parser.add_argument("--key", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--passphrase")
    parser.add_argument("--seconds", type=float, default=60, help="how long at most")
    arguments = parser.parse_args()

    exchange = listening(getattr(ccxt.pro, arguments.venue))(
        {
            "apiKey": arguments.key,
            "secret": arguments.secret,
            "password": arguments.passphrase,
            "options": {"tradesLimit": 1_000_000, "ordersLimit": 1_000_000},
        }
    )
    point(exchange.urls["api"], arguments.host)
    await exchange.load_markets()
    # The market still stands: it waits for subscriptions.
    before = totals(await exchange.fetch_balance())
    errors, ended = [], []
    fills, orders = {}, {}
    told = {}

    async def watch(name, look):
        while True:
            try:
                look(await getattr(exchange, f"watch_{name}")())
            except ccxt.NetworkError as error:
                (ended if takes_leave(error) else errors).append(describe(error))
                return
            except Exception as error:
                errors.append(describe(error))
                return

    def on_balance(balance):
        told.update(totals(balance))

    def on_trades(trades):
        fills.update(((trade["symbol"], trade["id"]), trade) for trade in trades)

    def on_orders(some):
        orders.update(((order["symbol"], order["id"]), order) for order in some)

    watches = [
        asyncio.create_task(watch(name, look))
        for name, look in (("balance", on_balance), ("my_trades", on_trades), ("orders", on_orders))
    ]
    await asyncio.wait(watches, timeout=arguments.seconds)
    for task in watches:
        task.cancel()

    expected = defaultdict(Decimal, before)
    filled = defaultdict(Decimal)
    for trade in fills.values():
        base, quote = trade["symbol"].split("/")
        sign = 1 if trade["side"] == "buy" else -1
        amount, price = Decimal(str(trade["amount"])), Decimal(str(trade["price"]))
        expected[base] += sign * amount
        expected[quote] -= sign * amount * price
        # An order's number is its symbol's own at some venues.
        filled[trade["symbol"], trade["order"]] += amount
        for asset, fee in charged(arguments.venue, trade):
            expected[asset] -= fee
    for asset, amount in exchange.moved.items():
        expected[asset] += amount
    unexplained = {
        asset: float(amount - expected[asset])
        for asset, amount in told.items()
        if abs(amount - expected[asset]) > TOLERANCE
    }
    of_orders = {name: str(order["filled"]) for name, order in orders.items() if order["filled"]}
    await exchange.close()
    print(
        json.dumps(
            {
                "venue": arguments.venue,
                "errors": errors,
                "ended": ended,
                "assets": len(told),
                "fills": len(fills),
                "orders": len(orders),
                "transfers": {asset: float(amount) for asset, amount in exchange.moved.items()},
                "changed": sum(told[asset] != before.get(asset) for asset in told),
                "unexplained": unexplained,
                # Fills before the subscription count for an order, and nobody has told them here.
                "orders_short": [name for name, amount in of_orders.items() if Decimal(amount) < filled[name]],
            }
        ),
        flush=True,
    )


# ccxt keeps amounts as floats.
TOLERANCE = Decimal("0.00000002")

if __name__ == "__main__":
    asyncio.run(main())
