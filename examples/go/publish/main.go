// Command publish publishes events: each further argument is one, or each line of standard input. See ../../README.md.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
)

var (
	address = flag.String("url", cmp.Or(os.Getenv("GATEWAY_URL"), "http://127.0.0.1:8000"), "the gateway's `address`")
	keyFile = flag.String("key-file", "", "a `file` whose first line is the API key (default: GATEWAY_API_KEY)")
	event   = flag.String("event", "", "the event `type`")
	timeout = flag.Float64("timeout", 30, "`seconds` to try one event again")
)

// publish tries for as long as that can help, and prints what the gateway answered. The id is the same on each try:
// with GATEWAY_DEDUPE_SECONDS the gateway delivers such an event once.
func publish(key, topics, data string) error {
	id, deadline := uuid.NewString(), time.Now().Add(time.Duration(*timeout*float64(time.Second)))
	headers := http.Header{"Authorization": {"Bearer " + key}, "X-Sse-Topic": {topics}, "X-Sse-Id": {id}}
	if *event != "" {
		headers.Set("X-Sse-Event", *event)
	}
	for delay := 250 * time.Millisecond; ; delay = min(10*time.Second, 2*delay) {
		wait := delay/2 + rand.N(delay/2)
		response, body, err := post(headers, data, time.Until(deadline))
		if err != nil {
			err = fmt.Errorf("No answer: %w.", err)
		} else {
			var answer struct {
				Subscribers   int
				Title, Detail string // Of a problem (RFC 9457).
			}
			known, status := json.Unmarshal(body, &answer) == nil, response.StatusCode
			if status == http.StatusOK || status == http.StatusNoContent { // 204: nobody is connected.
				return json.NewEncoder(os.Stdout).Encode(map[string]any{"status": status, "id": id, "subscribers": answer.Subscribers})
			}
			err = fmt.Errorf("Refused (%d).", status)
			if known {
				err = fmt.Errorf("Refused (%d): %s. %s", status, answer.Title, answer.Detail)
			}
			if !slices.Contains([]int{408, 425, 429, 502, 503, 504}, status) {
				return err
			}
			asked, _ := time.ParseDuration(response.Header.Get("Retry-After") + "s")
			wait = max(wait, asked)
		}
		if time.Now().Add(wait).After(deadline) {
			return fmt.Errorf("%w Gave up after %g s.", err, *timeout)
		}
		time.Sleep(wait)
	}
}

// post asks once, and reads the answer to its end, so that the connection is kept. The address has been checked.
func post(headers http.Header, data string, limit time.Duration) (*http.Response, []byte, error) {
	request, _ := http.NewRequest(http.MethodPost, strings.TrimRight(*address, "/")+"/publish", strings.NewReader(data))
	request.Header = headers
	response, err := (&http.Client{Timeout: limit}).Do(request) // All on the connections of http.DefaultTransport.
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, body, err
}

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() { <-stop; os.Exit(0) }()
	flag.Parse()
	key, topics := os.Getenv("GATEWAY_API_KEY"), cmp.Or(flag.Arg(0), os.Getenv("GATEWAY_TOPICS"))
	if *keyFile != "" {
		text, err := os.ReadFile(*keyFile)
		check(2, err)
		key = string(text)
	}
	key, _, _ = strings.Cut(strings.TrimSpace(key), "\n")
	parts, err := url.Parse(*address)
	if err == nil {
		_, err = net.LookupPort("tcp", parts.Port())
	}
	if err != nil || parts.Host == "" || strings.TrimSuffix(parts.Scheme, "s") != "http" || topics == "" || key == "" || !(*timeout > 0) {
		check(2, fmt.Errorf("Needed: a topic (or GATEWAY_TOPICS), GATEWAY_API_KEY or -key-file, an -url like http://127.0.0.1:8000 (it is %q).", *address))
	}
	for _, data := range flag.Args()[min(1, flag.NArg()):] {
		check(1, publish(key, topics, data))
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<26) // Bytes of the longest line; the gateway has a limit of its own.
	for flag.NArg() < 2 && lines.Scan() {
		check(1, publish(key, topics, lines.Text()))
	}
	check(1, lines.Err())
}

// check ends the program when there is an error.
func check(code int, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(code)
	}
}
