//! Publishes events: each further argument is one, or each line of standard input. See ../../../README.md.
use std::io::{BufRead, Write, stdout};
use std::path::PathBuf;
use std::process::exit;
use std::time::{Duration, Instant};

use clap::{CommandFactory, Parser, builder::NonEmptyStringValueParser, error::ErrorKind};
use reqwest::blocking::Client;
use serde_json::{Value, json};

#[derive(Parser)]
struct Options {
    /// The gateway's address
    #[arg(long, env = "GATEWAY_URL", default_value = "http://127.0.0.1:8000", value_parser = |text: &str| {
        let known = reqwest::Url::parse(text).is_ok_and(|_| text.starts_with("http://") || text.starts_with("https://"));
        known.then(|| text.trim_end_matches('/').to_string()).ok_or("it is not an address like http://127.0.0.1:8000")
    })]
    url: String,
    /// A file whose first line is the API key (default: GATEWAY_API_KEY)
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// The event type
    #[arg(long)]
    event: Option<String>,
    /// Seconds to try one event again
    #[arg(long, default_value = "30")]
    timeout: f64,
    /// One topic, or several separated by commas
    #[arg(env = "GATEWAY_TOPICS", value_parser = NonEmptyStringValueParser::new())]
    topic: String,
    /// One event each (default: the lines of standard input)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    data: Vec<String>,
}

/// Tries for as long as that can help, and returns what the gateway answered. The id is the same on each try:
/// with GATEWAY_DEDUPE_SECONDS the gateway delivers such an event once.
fn publish(client: &Client, options: &Options, key: &str, data: Vec<u8>) -> Result<Value, String> {
    let id = uuid::Uuid::new_v4().to_string();
    let deadline = Instant::now() + Duration::from_secs_f64(options.timeout);
    let mut delay = Duration::from_millis(250);
    loop {
        let mut wait = delay.mul_f64(0.5 + fastrand::f64() / 2.0);
        delay = (delay * 2).min(Duration::from_secs(10));
        let mut request = client
            .post(format!("{}/publish", options.url))
            .timeout(deadline.saturating_duration_since(Instant::now()))
            .bearer_auth(key)
            .header("x-sse-topic", options.topic.as_bytes())
            .header("x-sse-id", &id);
        if let Some(event) = &options.event {
            request = request.header("x-sse-event", event.as_bytes());
        }
        let reason = match request.body(data.clone()).send() {
            Ok(response) => {
                let status = response.status().as_u16();
                let seconds = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
                let answer: Value = response.json().unwrap_or_default();
                let reason = match (status, answer["title"].as_str(), answer["detail"].as_str()) {
                    // 204: nobody is connected.
                    (200 | 204, ..) => {
                        let subscribers = answer["subscribers"].as_u64().unwrap_or(0);
                        return Ok(json!({"status": status, "id": id, "subscribers": subscribers}));
                    }
                    (_, Some(title), Some(detail)) => format!("Refused ({status}): {title}. {detail}"), // RFC 9457
                    _ => format!("Refused ({status})."),
                };
                if ![408, 425, 429, 502, 503, 504].contains(&status) {
                    return Err(reason);
                }
                wait = wait.max(Duration::from_secs(seconds.unwrap_or(0)));
                reason
            }
            Err(error) if error.is_builder() => return Err(format!("It cannot be sent: {}.", root(&error))),
            Err(error) => format!("No answer: {}.", root(&error)),
        };
        if Instant::now() + wait >= deadline {
            return Err(format!("{reason} Gave up after {} s.", options.timeout));
        }
        std::thread::sleep(wait);
    }
}

/// What an error began with.
fn root(error: &dyn std::error::Error) -> &dyn std::error::Error {
    error.source().map_or(error, root)
}

/// Ends the program before anything was sent.
fn misused(message: impl std::fmt::Display) -> ! {
    Options::command().error(ErrorKind::ValueValidation, message).exit()
}

fn main() {
    ctrlc::set_handler(|| exit(0)).expect("the first handler");
    let options = Options::parse();
    let key = match &options.key_file {
        Some(file) => std::fs::read_to_string(file).unwrap_or_else(|error| misused(error)),
        None => std::env::var("GATEWAY_API_KEY").unwrap_or_default(),
    };
    let Some(key) = key.trim().lines().next() else { misused("Set GATEWAY_API_KEY, or give --key-file.") };
    if !(f64::MIN_POSITIVE..=86_400.0).contains(&options.timeout) {
        misused("--timeout is a number of seconds, a day at most.");
    }
    let client = Client::new();
    let lines = std::io::stdin().lock().split(b'\n').map_while(Result::ok);
    let lines = lines.map(|line| line.strip_suffix(b"\r").map(<[u8]>::to_vec).unwrap_or(line));
    let arguments = options.data.iter().map(|data| data.clone().into_bytes());
    let events: Box<dyn Iterator<Item = Vec<u8>>> =
        if options.data.is_empty() { Box::new(lines) } else { Box::new(arguments) };
    for data in events {
        match publish(&client, &options, key, data) {
            Ok(answer) => writeln!(stdout(), "{answer}").unwrap_or_else(|_| exit(141)), // Nobody reads any more: as of SIGPIPE.
            Err(reason) => {
                eprintln!("{reason}");
                exit(1);
            }
        }
    }
}
