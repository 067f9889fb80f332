//! Signatures that other programs made: the venues' own examples, Python's `hmac`, OpenSSL by way of Python's
//! `cryptography`.

use super::*;

const NOW_MS: u64 = 1_795_420_800_000;

fn credential(key: &str, secret: &str) -> Credential {
    Credential { key: key.into(), secret: secret.into(), passphrase: None, account: AccountId(7) }
}

fn keys(venue: Venue, secret: &str) -> Keys {
    let mut keys = Keys::new(venue);
    let passphrase = (venue == Venue::Okx).then(|| "demo".to_owned());
    keys.add(Credential { passphrase, ..credential("demo-key", secret) }).unwrap();
    keys
}

fn request<'a>(
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
) -> SignedRequest<'a> {
    SignedRequest { method, path, query, headers, body: body.as_bytes() }
}

const ACCOUNT: Result<AccountId, AccessError> = Ok(AccountId(7));

const EC_SEC1: &str = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIERM4nDPy60Lbryix2yuwubhCTcV0efOm8H27/WbTf4GoAoGCCqGSM49\nAwEHoUQDQgAEaB7AjchmGjCvgymys8U6y4/e03Qrt5HNuqab5IIiP+e4VwyYNP8h\ncq3YDLUl7Qd93THe6tbsEfXz/xvdGgXv/Q==\n-----END EC PRIVATE KEY-----";
const EC_PKCS8: &str = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgREzicM/LrQtuvKLH\nbK7C5uEJNxXR586bwfbv9ZtN/gahRANCAARoHsCNyGYaMK+DKbKzxTrLj97TdCu3\nkc26ppvkgiI/57hXDJg0/yFyrdgMtSXtB33dMd7q1uwR9fP/G90aBe/9\n-----END PRIVATE KEY-----";
const EC_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaB7AjchmGjCvgymys8U6y4/e03Qr\nt5HNuqab5IIiP+e4VwyYNP8hcq3YDLUl7Qd93THe6tbsEfXz/xvdGgXv/Q==\n-----END PUBLIC KEY-----";
const ED_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIOC7VBqhoRSI9rD6shzR0uSr3buPxMfPCd6+Y/6ZBQhS\n-----END PRIVATE KEY-----";
const ED_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAUP/ShlEBp5VRuAZXGMYF3HGY8RailuZSdLz4zO7/e14=\n-----END PUBLIC KEY-----";
/// Seed and public half.
const ED_BASE64: &str =
    "4LtUGqGhFIj2sPqyHNHS5Kvdu4/Ex88J3r5j/pkFCFJQ/9KGUQGnlVG4BlcYxgXccZjxFqKW5lJ0vPjM7v97Xg==";

/// For a socket, and for `GET localhost:8080/proxy/api/v3/brokerage/accounts`.
const JWT_SOCKET: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiIsImtpZCI6Im9yZ2FuaXphdGlvbnMvMS9hcGlLZXlzLzIiLCJub25jZSI6ImFhIn0.eyJhdWQiOlsicmV0YWlsX3Jlc3RfYXBpX3Byb3h5Il0sImlzcyI6ImNvaW5iYXNlLWNsb3VkIiwibmJmIjoxNzk1NDIwODAwLCJleHAiOjE3OTU0MjA5MjAsInN1YiI6Im9yZ2FuaXphdGlvbnMvMS9hcGlLZXlzLzIiLCJpYXQiOjE3OTU0MjA4MDB9.OrkDKFPCYeXlnxRGo0wQq4QPi7GMjUpk79WrwEwaQJJQ5NLo2EbRY7Mr6KFSLlGLLT2pGSw0HxPzXlNfUGeR7w";
const JWT_REST: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiIsImtpZCI6Im9yZ2FuaXphdGlvbnMvMS9hcGlLZXlzLzIiLCJub25jZSI6ImFhIn0.eyJhdWQiOlsicmV0YWlsX3Jlc3RfYXBpX3Byb3h5Il0sImlzcyI6ImNvaW5iYXNlLWNsb3VkIiwibmJmIjoxNzk1NDIwODAwLCJleHAiOjE3OTU0MjA5MjAsInN1YiI6Im9yZ2FuaXphdGlvbnMvMS9hcGlLZXlzLzIiLCJpYXQiOjE3OTU0MjA4MDAsInVyaSI6IkdFVCBsb2NhbGhvc3Q6ODA4MC9wcm94eS9hcGkvdjMvYnJva2VyYWdlL2FjY291bnRzIn0.sh6QawUMOCby8YqqPu1eriUwsYdaG7SFvC6q83dsJxkKD9ZvMuvTqL8y4u4X1duDxdDF2NUuy2mHEaG3Nt3JAw";
/// For `GET api.coinbase.com/api/v3/brokerage/accounts`, by `ed-key`.
const JWT_ED: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSIsImtpZCI6ImVkLWtleSIsIm5vbmNlIjoiYWEifQ.eyJhdWQiOlsiY2RwX3NlcnZpY2UiXSwiaXNzIjoiY2RwIiwibmJmIjoxNzk1NDIwODAwLCJleHAiOjE3OTU0MjA5MjAsInN1YiI6ImVkLWtleSIsImlhdCI6MTc5NTQyMDgwMCwidXJpcyI6WyJHRVQgYXBpLmNvaW5iYXNlLmNvbS9hcGkvdjMvYnJva2VyYWdlL2FjY291bnRzIl19.fdMli_Ra3rP2CTJ2lQBj3LvXIjBM1oUXIc2SZdWn6dWfH5uWzJEkePIxsnoWPy4tPWLZ47s-UEkbSA8E7-EQBw";

/// Of `apiKey=demo-key&timestamp=1795420800000`.
const ED_SIGNATURE: &str =
    "okk1veE2z06M1ctgDEKQRMeaGE5tCIiAlw/arSvEKuqXhPzK9JWeph6esqETw336Jb3zLD4cKZFp6YWMFY8XAw==";

#[test]
fn logins_on_sockets_hold_while_their_time_lasts() {
    let login = |payload: &str, signature: &str, time_ms| Login {
        key: "demo-key".into(),
        payload: payload.into(),
        signature: signature.into(),
        passphrase: Some("demo".into()),
        time_ms: Some(time_ms),
    };
    for (venue, login, late, early) in [
        (
            Venue::Binance,
            login(
                "apiKey=demo-key&recvWindow=5000&timestamp=1795420800000",
                "103180fbedeade34c066ecf8ce4c8c8f7d3f5dcc09e032d0f0564ebc0f2363c8",
                NOW_MS,
            ),
            NOW_MS + 5_001,
            Some(NOW_MS - 1_001),
        ),
        (
            Venue::Okx,
            login("1795420800GET/users/self/verify", "EIJ4qrNP4mFiGoalVWSudF9JzWwxoGl3frY7InTRrMs=", NOW_MS),
            NOW_MS + 30_001,
            Some(NOW_MS - 30_001),
        ),
        (
            Venue::Bybit,
            login(
                "GET/realtime1795420810000",
                "2cd5091899ec2bfe5e2f52949d49e3138db2c1fc777ea917c30c5fd1b69a7933",
                NOW_MS + 10_000,
            ),
            NOW_MS + 10_000,
            None,
        ),
    ] {
        let keys = keys(venue, "demo-secret");
        assert_eq!(keys.check_login(&login, NOW_MS), ACCOUNT, "{venue}");
        assert_eq!(keys.check_login(&login, late - 1), ACCOUNT, "{venue}");
        assert_eq!(keys.check_login(&login, late), Err(AccessError::Late), "{venue}");
        if let Some(early) = early {
            assert_eq!(keys.check_login(&login, early + 1), ACCOUNT, "{venue}");
            assert_eq!(keys.check_login(&login, early), Err(AccessError::Early), "{venue}");
        }
        let wrong = |login: Login, now_ms| keys.check_login(&login, now_ms).unwrap_err();
        let unknown = Login { key: "demo-kez".into(), ..login.clone() };
        assert_eq!(wrong(unknown, NOW_MS), AccessError::UnknownKey);
        let other = Login { payload: login.payload.replace('e', "f"), ..login.clone() };
        assert_eq!(wrong(other, NOW_MS), AccessError::WrongSignature);
        let longer = Login { signature: format!("{}00", login.signature), ..login.clone() };
        assert_eq!(wrong(longer, NOW_MS), AccessError::WrongSignature);
        let empty = Login { signature: String::new(), ..login.clone() };
        assert_eq!(wrong(empty, NOW_MS), AccessError::WrongSignature);
        if venue == Venue::Okx {
            let other = Login { passphrase: Some("demp".into()), ..login };
            assert_eq!(wrong(other, NOW_MS), AccessError::WrongPassphrase);
        }
    }
}

#[test]
fn a_login_is_checked_as_it_was_read() {
    use crate::protocol::{Endpoint, Protocol, Request};

    for (venue, text) in [
        (
            Venue::Binance,
            r#"{"id":"8b0f","method":"userDataStream.subscribe.signature","params":{"apiKey":"demo-key","recvWindow":5000,"timestamp":1795420800000,"signature":"103180fbedeade34c066ecf8ce4c8c8f7d3f5dcc09e032d0f0564ebc0f2363c8"}}"#,
        ),
        (
            Venue::Okx,
            r#"{"op":"login","args":[{"apiKey":"demo-key","passphrase":"demo","timestamp":"1795420800","sign":"EIJ4qrNP4mFiGoalVWSudF9JzWwxoGl3frY7InTRrMs="}]}"#,
        ),
        // As python-okx writes it.
        (
            Venue::Okx,
            r#"{"op":"login","args":[{"apiKey":"demo-key","passphrase":"demo","timestamp":1795420800,"sign":"EIJ4qrNP4mFiGoalVWSudF9JzWwxoGl3frY7InTRrMs="}]}"#,
        ),
        (
            Venue::Bybit,
            r#"{"req_id":"a1","op":"auth","args":["demo-key",1795420810000,"2cd5091899ec2bfe5e2f52949d49e3138db2c1fc777ea917c30c5fd1b69a7933"]}"#,
        ),
    ] {
        let protocol = Protocol::new(venue, &crate::testing::listing());
        let login = match protocol.read_request(text.as_bytes(), Endpoint::Private) {
            Ok(Request::Login { login, .. } | Request::Subscribe { login: Some(login), .. }) => login,
            other => panic!("{other:?}"),
        };
        assert_eq!(keys(venue, "demo-secret").check_login(&login, NOW_MS), ACCOUNT, "{venue}");
    }
}

#[test]
fn requests_of_binance_are_signed_in_query_and_body() {
    let keys = keys(Venue::Binance, "demo-secret");
    let headers = [("x-mbx-apikey", "demo-key")];
    let query = "omitZeroBalances=true&recvWindow=5000&timestamp=1795420800000";
    let signature = "signature=db34039b5057a6cf4c5cddcead416b3823189fc8261b117b39f0a25ddb667fb0";
    let path = "/api/v3/account";
    let signed = format!("{query}&{signature}");
    assert_eq!(keys.check_rest(&request("GET", path, &signed, &headers, ""), NOW_MS), ACCOUNT);
    assert_eq!(keys.check_rest(&request("GET", path, signature, &headers, query), NOW_MS), ACCOUNT);
    let wrong = |query: &str, headers: &[_], now_ms| {
        keys.check_rest(&request("GET", path, query, headers, ""), now_ms).unwrap_err()
    };
    assert_eq!(wrong(query, &headers, NOW_MS), AccessError::Missing { what: "signature" });
    assert_eq!(wrong(&signed, &[], NOW_MS), AccessError::Missing { what: "X-MBX-APIKEY" });
    assert_eq!(wrong(&signed.replace("true", "false"), &headers, NOW_MS), AccessError::WrongSignature);
    assert_eq!(wrong(&signed, &headers, NOW_MS + 5_001), AccessError::Late);
    let wide = signed.replace("recvWindow=5000", "recvWindow=60001");
    assert_eq!(wrong(&wide, &headers, NOW_MS), AccessError::Unreadable { what: "recvWindow" });
    // A listen key takes no signature, but a known key.
    let listen_key = request("POST", "/api/v3/userDataStream", "", &headers, "");
    assert_eq!(keys.check_rest(&listen_key, NOW_MS), ACCOUNT);
}

/// "SIGNED Endpoint Examples for POST /api/v3/order" of Binance's documentation.
#[test]
fn the_documented_request_of_binance_holds() {
    let mut keys = Keys::new(Venue::Binance);
    let key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
    keys.add(credential(key, "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j")).unwrap();
    let query = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559&signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71";
    let headers = [("X-MBX-APIKEY", key)];
    let order = request("POST", "/api/v3/order", query, &headers, "");
    assert_eq!(keys.check_rest(&order, 1_499_827_319_559), ACCOUNT);
}

#[test]
fn requests_of_okx_are_signed_with_method_path_and_query() {
    let keys = keys(Venue::Okx, "demo-secret");
    let headers = [
        ("OK-ACCESS-KEY", "demo-key"),
        ("OK-ACCESS-SIGN", "YwqfgRbjpBjce1CGMApdsDtE7qAm3akZ734WO7q9Mfs="),
        ("OK-ACCESS-TIMESTAMP", "2026-11-23T08:00:00.000Z"),
        ("OK-ACCESS-PASSPHRASE", "demo"),
    ];
    let balance = request("GET", "/api/v5/account/balance", "ccy=BTC", &headers, "");
    assert_eq!(keys.check_rest(&balance, NOW_MS), ACCOUNT);
    assert_eq!(keys.check_rest(&balance, NOW_MS + 30_001), Err(AccessError::Late));
    let other = SignedRequest { query: "ccy=ETH", ..balance };
    assert_eq!(keys.check_rest(&other, NOW_MS), Err(AccessError::WrongSignature));
    let fewer = SignedRequest { headers: &headers[..3], ..balance };
    let missing = AccessError::Missing { what: "OK-ACCESS-PASSPHRASE" };
    assert_eq!(keys.check_rest(&fewer, NOW_MS), Err(missing));
}

#[test]
fn requests_of_bybit_are_signed_with_time_key_window_and_query() {
    let keys = keys(Venue::Bybit, "demo-secret");
    let headers = [
        ("X-BAPI-API-KEY", "demo-key"),
        ("X-BAPI-SIGN", "51e2587ab05d50d83f9c74b59e5d7f8f333398a759deec530a34961ee277f525"),
        ("X-BAPI-TIMESTAMP", "1795420800000"),
        ("X-BAPI-RECV-WINDOW", "5000"),
    ];
    let balance = request("GET", "/v5/account/wallet-balance", "accountType=UNIFIED", &headers, "");
    assert_eq!(keys.check_rest(&balance, NOW_MS + 5_000), ACCOUNT);
    assert_eq!(keys.check_rest(&balance, NOW_MS + 5_001), Err(AccessError::Late));
    assert_eq!(keys.check_rest(&balance, NOW_MS - 1_001), Err(AccessError::Early));
    let other = SignedRequest { query: "accountType=SPOT", ..balance };
    assert_eq!(keys.check_rest(&other, NOW_MS), Err(AccessError::WrongSignature));
}

const KRAKEN_SECRET: &str =
    "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==";

/// The first is the example of Kraken's guide "Spot REST Authentication".
#[test]
fn requests_of_kraken_are_signed_with_path_nonce_and_body() {
    let keys = keys(Venue::Kraken, KRAKEN_SECRET);
    for (path, body, sign) in [
        (
            "/0/private/AddOrder",
            "nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25",
            "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ==",
        ),
        (
            "/0/private/GetWebSocketsToken",
            "nonce=1795420800000",
            "dVpmECGhmeTmsYG0IwY5B2r4AAxlaWaCwnVT2Z7+iKIUorB3C34SpHgY/92ydMrPRdYOXl5UuIpSsCswZXG3IA==",
        ),
    ] {
        let headers = [("API-Key", "demo-key"), ("API-Sign", sign)];
        let signed = request("POST", path, "", &headers, body);
        assert_eq!(keys.check_rest(&signed, NOW_MS), ACCOUNT);
        let other = SignedRequest { path: "/0/private/Balance", ..signed };
        assert_eq!(keys.check_rest(&other, NOW_MS), Err(AccessError::WrongSignature));
        let without = SignedRequest { body: b"asset=XBT", ..signed };
        assert_eq!(keys.check_rest(&without, NOW_MS), Err(AccessError::Missing { what: "nonce" }));
    }
}

#[test]
fn tokens_of_kraken_and_listen_keys_are_good_for_a_while() {
    let kraken = keys(Venue::Kraken, KRAKEN_SECRET);
    let token = kraken.token(AccountId(7), NOW_MS).unwrap();
    let login = Login { signature: token.clone(), ..Login::default() };
    let quarter = 15 * 60 * 1_000;
    assert_eq!(kraken.check_login(&login, NOW_MS + quarter), ACCOUNT);
    assert_eq!(kraken.check_login(&login, NOW_MS + quarter + 1), Err(AccessError::Late));
    assert_eq!(kraken.token(AccountId(8), NOW_MS), None);
    for place in 0..token.len() {
        let mut other = token.clone().into_bytes();
        other[place] = if other[place] == b'0' { b'1' } else { b'0' };
        let login = Login { signature: String::from_utf8(other).unwrap(), ..Login::default() };
        assert_eq!(kraken.check_login(&login, NOW_MS), Err(AccessError::UnknownKey));
    }
    for signature in ["", "0123456789abcdef", "Ümläut Ümläut Ümläut"] {
        let login = Login { signature: signature.into(), ..Login::default() };
        assert_eq!(kraken.check_login(&login, NOW_MS), Err(AccessError::UnknownKey));
    }
    let binance = keys(Venue::Binance, "demo-secret");
    let listen_key = binance.token(AccountId(7), NOW_MS).unwrap();
    assert!(listen_key.len() >= 60 && listen_key.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(binance.check_listen_key(&listen_key, NOW_MS + 3_600_000), ACCOUNT);
}

fn coinbase(key: &str, secret: &str) -> Keys {
    let mut keys = Keys::new(Venue::Coinbase);
    keys.add(credential(key, secret)).unwrap();
    keys
}

#[test]
fn tokens_of_coinbase_hold_whatever_form_the_key_has() {
    let socket = Login { signature: JWT_SOCKET.into(), ..Login::default() };
    for secret in [EC_SEC1, EC_PKCS8, EC_PUBLIC, &EC_SEC1.replace('\n', "\\n")] {
        let keys = coinbase("organizations/1/apiKeys/2", secret);
        assert_eq!(keys.check_login(&socket, NOW_MS), ACCOUNT);
        assert_eq!(keys.check_login(&socket, NOW_MS + 125_999), ACCOUNT);
        assert_eq!(keys.check_login(&socket, NOW_MS + 126_000), Err(AccessError::Late));
        assert_eq!(keys.check_login(&socket, NOW_MS - 6_000), Err(AccessError::Early));
        let bearer = format!("Bearer {JWT_REST}");
        let headers = [("authorization", &*bearer)];
        let accounts = request("GET", "/api/v3/brokerage/accounts", "limit=49", &headers, "");
        assert_eq!(keys.check_rest(&accounts, NOW_MS), ACCOUNT);
        let other = SignedRequest { path: "/api/v3/brokerage/orders", ..accounts };
        assert_eq!(keys.check_rest(&other, NOW_MS), Err(AccessError::WrongSignature));
    }
    // A signature of one key, and the claims of another token.
    let (claims, _) = JWT_REST.rsplit_once('.').unwrap();
    let (_, signature) = JWT_SOCKET.rsplit_once('.').unwrap();
    let keys = coinbase("organizations/1/apiKeys/2", EC_SEC1);
    let forged = Login { signature: format!("{claims}.{signature}"), ..Login::default() };
    assert_eq!(keys.check_login(&forged, NOW_MS), Err(AccessError::WrongSignature));
    for secret in [ED_BASE64, ED_PRIVATE, ED_PUBLIC] {
        let keys = coinbase("ed-key", secret);
        let bearer = format!("Bearer {JWT_ED}");
        let headers = [("Authorization", &*bearer)];
        let accounts = request("GET", "/api/v3/brokerage/accounts", "", &headers, "");
        assert_eq!(keys.check_rest(&accounts, NOW_MS), ACCOUNT);
    }
    // The right claims, but the key that is known by this name is another one.
    let keys = coinbase("organizations/1/apiKeys/2", ED_BASE64);
    assert_eq!(keys.check_login(&socket, NOW_MS), Err(AccessError::WrongSignature));
    for (text, error) in [
        ("", AccessError::Missing { what: "jwt" }),
        ("a.b.c", AccessError::Unreadable { what: "jwt" }),
        ("eyJhbGciOiJub25lIn0.e30.", AccessError::Unreadable { what: "jwt" }),
    ] {
        let login = Login { signature: text.into(), ..Login::default() };
        assert_eq!(keys.check_login(&login, NOW_MS), Err(error));
    }
}

#[test]
fn requests_of_coinbase_may_be_signed_the_old_way() {
    let keys = coinbase("demo-key", "demo-secret");
    for sign in [
        "8f06f315a5c31989a610a6872ebc6df7e1670f689d988b6e9448b34f3cc591a8",
        "a8dcce062be3fb30a7c06efb7a96e9ccf521b80bf4d5f6c93d087abb384d6f68",
    ] {
        let headers =
            [("CB-ACCESS-KEY", "demo-key"), ("CB-ACCESS-SIGN", sign), ("CB-ACCESS-TIMESTAMP", "1795420800")];
        let accounts = request("GET", "/api/v3/brokerage/accounts", "limit=1", &headers, "");
        assert_eq!(keys.check_rest(&accounts, NOW_MS), ACCOUNT);
        assert_eq!(keys.check_rest(&accounts, NOW_MS + 30_001), Err(AccessError::Late));
        let other = SignedRequest { method: "POST", ..accounts };
        assert_eq!(keys.check_rest(&other, NOW_MS), Err(AccessError::WrongSignature));
    }
}

#[test]
fn binance_takes_ed25519_keys() {
    for secret in [ED_PRIVATE, ED_PUBLIC] {
        let keys = keys(Venue::Binance, secret);
        let payload = "apiKey=demo-key&timestamp=1795420800000";
        let login = Login {
            key: "demo-key".into(),
            payload: payload.into(),
            signature: ED_SIGNATURE.into(),
            passphrase: None,
            time_ms: Some(NOW_MS),
        };
        assert_eq!(keys.check_login(&login, NOW_MS), ACCOUNT);
        let other = Login { payload: payload.replace("demo", "dome"), ..login };
        assert_eq!(keys.check_login(&other, NOW_MS), Err(AccessError::WrongSignature));
    }
}

#[test]
fn keys_that_cannot_be_used_are_refused_with_a_reason() {
    let refused = |venue, credential| {
        let mut error = &Keys::new(venue).add(credential).unwrap_err() as &dyn std::error::Error;
        let mut texts = vec![error.to_string()];
        while let Some(source) = error.source() {
            texts.push(source.to_string());
            error = source;
        }
        texts.join(": ")
    };
    for (venue, secret, text) in [
        (Venue::Kraken, "not base64!", "the secret of kraken key \"k\" cannot be used: it is not base64"),
        (Venue::Bybit, " ", "the secret of bybit key \"k\" cannot be used: it is empty"),
        (
            Venue::Binance,
            EC_SEC1,
            "the secret of binance key \"k\" cannot be used: it is not a PEM of an Ed25519 key, nor of a P-256 key where the venue takes one",
        ),
        (Venue::Okx, "s", "okx key \"k\" has no passphrase, which every signature there needs"),
    ] {
        assert_eq!(refused(venue, credential("k", secret)), text);
    }
    let mut keys = keys(Venue::Bybit, "s");
    let twice = keys.add(credential("demo-key", "t")).unwrap_err();
    assert_eq!(twice.to_string(), "bybit key \"demo-key\" is given twice");
}
