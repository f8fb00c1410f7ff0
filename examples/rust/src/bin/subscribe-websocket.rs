//! Prints the events of topics, over a WebSocket, and comes back when the connection breaks. See ../../../README.md.
use std::{convert::Infallible, io::Write, io::stdout, process::exit, time::Duration};

use clap::{Parser, builder::NonEmptyStringValueParser};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::time::timeout;
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::{Error, Message, http::Response, protocol::WebSocketConfig};

#[derive(Parser)]
struct Options {
    /// The gateway's address
    #[arg(long, env = "GATEWAY_URL", default_value = "http://127.0.0.1:8000", value_parser = |text: &str| {
        let known = reqwest::Url::parse(text).is_ok_and(|_| text.starts_with("http://") || text.starts_with("https://"));
        known.then(|| text.trim_end_matches('/').to_string()).ok_or("it is not an address like http://127.0.0.1:8000")
    })]
    url: String,
    /// Begin after this event
    #[arg(long, default_value = "")]
    last_event_id: String,
    /// Seconds without a byte that end a connection
    #[arg(long, default_value = "45", value_parser = |text: &str| Duration::try_from_secs_f64(text.parse().unwrap_or(-1.0)))]
    silence: Duration,
    /// Each one topic, or several separated by commas
    #[arg(required = true, env = "GATEWAY_TOPICS", value_parser = NonEmptyStringValueParser::new())]
    topics: Vec<String>,
    #[arg(skip)]
    failures_in_a_row: u32,
}

/// Why a connection is over, and how long to wait: at least, or exactly when the gateway has spread its clients.
struct Ended(String, Duration, bool);

impl<E: std::error::Error> From<E> for Ended {
    fn from(error: E) -> Self {
        fn root(error: &dyn std::error::Error) -> &dyn std::error::Error {
            error.source().map_or(error, root)
        }
        Ended(root(&error).to_string(), Duration::ZERO, false)
    }
}

/// Prints what one WebSocket brings, until it is closed.
async fn connect(options: &mut Options) -> Result<Infallible, Ended> {
    let query = [("topic", &options.topics.join(",")), ("last_event_id", &options.last_event_id)];
    let address = reqwest::Url::parse_with_params(&format!("ws{}/ws", options.url.trim_start_matches("http")), query)?;
    let limits = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let opening = connect_async_with_config(address.as_str(), Some(limits), false);
    let (mut socket, _) = match timeout(options.silence, opening).await? {
        Err(Error::Http(response)) => return Err(refusal(&response)),
        opened => opened?,
    };
    let mut asked = false;
    loop {
        let frame = match timeout(options.silence / 2, socket.next()).await {
            Ok(frame) => frame.ok_or(Error::ConnectionClosed)??,
            Err(_) if asked => Err(std::io::Error::other(format!("Nothing came for {:?}", options.silence)))?,
            Err(_) => {
                socket.send(Message::Ping(Default::default())).await?;
                asked = true;
                continue;
            }
        };
        asked = false;
        let Message::Text(data) = frame else { continue };
        let message: Value = serde_json::from_str(&data)?;
        let text = |name: &str| message[name].as_str().unwrap_or_default();
        match text("type") {
            "open" => {
                options.failures_in_a_row = 0;
                let topics = message["topics"].as_array().into_iter().flatten().filter_map(Value::as_str);
                eprintln!("Connected to {} (topics: {}).", options.url, topics.collect::<Vec<_>>().join(", "));
            }
            "gap" => {
                let missed = message["missed"].as_u64().map_or("some".into(), |number| number.to_string());
                eprintln!("Gap: {missed} events of topic {} did not arrive ({}).", text("topic"), text("reason"));
            }
            "close" => {
                let wait = Duration::from_millis(message["retry"].as_u64().unwrap_or(0));
                return Err(Ended(format!("The gateway closed the connection ({})", text("reason")), wait, true));
            }
            "event" => {
                writeln!(stdout(), "{data}").unwrap_or_else(|_| exit(141)); // Nobody reads any more: as of SIGPIPE.
                options.last_event_id = text("id").into();
            }
            _ => {}
        }
    }
}

/// The gateway's problem (RFC 9457) as a sentence. Ends the program when the gateway will not answer otherwise.
fn refusal(response: &Response<Option<Vec<u8>>>) -> Ended {
    let status = response.status().as_u16();
    let seconds = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let problem: Value = serde_json::from_slice(response.body().as_deref().unwrap_or_default()).unwrap_or_default();
    let reason = match (problem["title"].as_str(), problem["detail"].as_str()) {
        (Some(title), Some(detail)) => format!("Refused ({status}): {title}. {}", detail.trim_end_matches('.')),
        _ => format!("Refused ({status})"),
    };
    if status < 500 && ![408, 425, 429].contains(&status) {
        eprintln!("{reason}.");
        exit(1);
    }
    Ended(reason, Duration::from_secs(seconds.unwrap_or(0)), false)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    ctrlc::set_handler(|| exit(0)).expect("the first handler");
    let mut options = Options::parse();
    loop {
        let Err(Ended(reason, asked, exactly)) = connect(&mut options).await;
        let longest = Duration::from_secs(30.min(3 << options.failures_in_a_row.min(10)));
        let wait = if exactly { asked } else { asked.max(longest.mul_f64(0.5 + fastrand::f64() / 2.0)) };
        options.failures_in_a_row += 1;
        eprintln!("{reason}. Connecting again in {:.1} s.", wait.as_secs_f64());
        tokio::time::sleep(wait).await;
    }
}
