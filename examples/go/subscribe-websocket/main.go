// Command subscribe-websocket prints the events of topics, and comes back when the connection breaks. See ../../README.md.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
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

	"github.com/coder/websocket"
)

var (
	address         = flag.String("url", cmp.Or(os.Getenv("GATEWAY_URL"), "http://127.0.0.1:8000"), "the gateway's `address`")
	lastID          = flag.String("last-event-id", "", "begin after this `event`")
	silence         = flag.Float64("silence", 45, "`seconds` without a byte that end a connection")
	retry, failures = 3 * time.Second, 0 // Between two connections, as the gateway asks; in a row.
)

// connect prints what one WebSocket brings. It returns why that ended, and how long to wait: at least, or exactly.
func connect(topics string) (why error, atLeast, exactly time.Duration) {
	ctx, end := context.WithCancelCause(context.Background())
	limit := time.Duration(min(*silence, 86400) * float64(time.Second))
	quiet := time.AfterFunc(limit, func() { end(fmt.Errorf("Nothing came for %g s", *silence)) })
	defer quiet.Stop()
	query := url.Values{"topic": {topics}, "last_event_id": {*lastID}}
	socket, response, err := websocket.Dial(ctx, strings.TrimRight(*address, "/")+"/ws?"+query.Encode(), nil)
	if err != nil && response != nil {
		atLeast, _ = time.ParseDuration(response.Header.Get("Retry-After") + "s")
		return refusal(response), atLeast, 0
	} else if err != nil {
		return cmp.Or(context.Cause(ctx), err), 0, 0
	}
	defer socket.CloseNow()
	socket.SetReadLimit(-1)
	go func() {
		for ; socket.Ping(ctx) == nil; time.Sleep(limit / 2) {
			quiet.Reset(limit)
		}
	}()
	for {
		_, data, err := socket.Read(ctx)
		if err != nil {
			return cmp.Or(context.Cause(ctx), err), 0, exactly
		}
		var message struct {
			Type, ID, Topic, Reason string
			Topics                  []string
			Missed                  json.Number
			Retry                   time.Duration // Milliseconds.
		}
		if err := json.Unmarshal(data, &message); err != nil {
			end(err)
		}
		switch message.Type {
		case "open":
			failures = 0
			log.Printf("Connected to %s (topics: %s).", *address, strings.Join(message.Topics, ", "))
		case "gap":
			log.Printf("Gap: %s events of topic %s did not arrive (%s).", cmp.Or(message.Missed, "some"), message.Topic, message.Reason)
		case "close":
			exactly = message.Retry * time.Millisecond
			end(fmt.Errorf("The gateway closed the connection (%s)", message.Reason))
		case "event":
			fmt.Printf("%s\n", data)
			*lastID = message.ID
		}
	}
}

// refusal makes a sentence of the gateway's problem (RFC 9457), and ends the program when it will not change.
func refusal(response *http.Response) error {
	var problem struct{ Title, Detail string }
	err := fmt.Errorf("Refused (%d)", response.StatusCode)
	if json.NewDecoder(response.Body).Decode(&problem) == nil {
		err = fmt.Errorf("%w: %s. %s", err, problem.Title, strings.TrimSuffix(problem.Detail, "."))
	}
	if response.StatusCode < 500 && !slices.Contains([]int{408, 425, 429}, response.StatusCode) {
		log.Fatalf("%v.", err)
	}
	return err
}

func main() {
	log.SetFlags(0)
	flag.Parse()
	topics := cmp.Or(strings.Join(flag.Args(), ","), os.Getenv("GATEWAY_TOPICS"))
	parts, err := url.Parse(*address)
	if err == nil {
		_, err = net.LookupPort("tcp", parts.Port())
	}
	if err != nil || parts.Host == "" || strings.TrimSuffix(parts.Scheme, "s") != "http" || topics == "" || !(*silence > 0) {
		log.Printf("Needed: a topic (or GATEWAY_TOPICS), a number of seconds, an -url like http://127.0.0.1:8000 (it is %q).", *address)
		os.Exit(2)
	}
	stop, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(stop, func() { os.Exit(0) })
	for ; ; failures++ {
		why, atLeast, exactly := connect(topics)
		longest := max(retry, min(30*time.Second, retry<<min(failures, 10)))
		wait := cmp.Or(exactly, max(atLeast, longest/2+rand.N(longest/2)))
		log.Printf("%v. Connecting again in %.1f s.", why, wait.Seconds())
		time.Sleep(wait)
	}
}
