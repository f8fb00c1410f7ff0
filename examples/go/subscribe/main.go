// Command subscribe prints the events of topics, and comes back when the connection breaks. See ../../README.md.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/launchdarkly/eventsource"
)

var (
	address         = flag.String("url", cmp.Or(os.Getenv("GATEWAY_URL"), "http://127.0.0.1:8000"), "the gateway's `address`")
	lastID          = flag.String("last-event-id", "", "begin after this `event`")
	silence         = flag.Float64("silence", 45, "`seconds` without a byte that end a connection")
	retry, failures = 3 * time.Second, 0 // Between two connections, as the gateway asks; in a row.
)

// listener is told of all that comes, keep-alives too.
type listener func()

func (heard listener) Write(bytes []byte) (int, error) { heard(); return len(bytes), nil }

// connect prints what one response brings. It returns why that ended, and how long to wait: at least, or exactly.
func connect(request *http.Request) (why error, atLeast, exactly time.Duration) {
	ctx, end := context.WithCancelCause(context.Background())
	limit := time.Duration(min(*silence, 86400) * float64(time.Second))
	quiet := time.AfterFunc(limit, func() { end(fmt.Errorf("Nothing came for %g s", *silence)) })
	defer quiet.Stop()
	request.Header.Set("Last-Event-Id", *lastID)
	response, err := http.DefaultClient.Do(request.WithContext(ctx))
	if err != nil {
		return cmp.Or(context.Cause(ctx), err), 0, 0
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		atLeast, _ = time.ParseDuration(response.Header.Get("Retry-After") + "s")
		return refusal(response), atLeast, 0
	}
	decoder := eventsource.NewDecoder(io.TeeReader(response.Body, listener(func() { quiet.Reset(limit) })))
	for {
		event, err := decoder.Decode()
		if err != nil {
			return cmp.Or(context.Cause(ctx), err), 0, exactly
		}
		retry = cmp.Or(time.Duration(event.(interface{ Retry() int64 }).Retry())*time.Millisecond, retry)
		var message struct {
			ID, Topic, Reason string
			Topics            []string
			Missed            json.Number
			Retry             time.Duration // Milliseconds.
		}
		if err := json.Unmarshal([]byte(event.Data()), &message); err != nil {
			end(err)
		}
		switch event.Event() {
		case "gateway.open":
			failures = 0
			log.Printf("Connected to %s (topics: %s).", *address, strings.Join(message.Topics, ", "))
		case "gateway.gap":
			log.Printf("Gap: %s events of topic %s did not arrive (%s).", cmp.Or(message.Missed, "some"), message.Topic, message.Reason)
		case "gateway.close":
			exactly = message.Retry * time.Millisecond
			end(fmt.Errorf("The gateway closed the connection (%s)", message.Reason))
		default:
			fmt.Println(event.Data())
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
	request, err := http.NewRequest(http.MethodGet, strings.TrimRight(*address, "/")+"/sse?format=json", nil)
	if err == nil {
		_, err = net.LookupPort("tcp", request.URL.Port())
	}
	if err != nil || request.URL.Host == "" || strings.TrimSuffix(request.URL.Scheme, "s") != "http" || topics == "" || !(*silence > 0) {
		log.Printf("Needed: a topic (or GATEWAY_TOPICS), a number of seconds, an -url like http://127.0.0.1:8000 (it is %q).", *address)
		os.Exit(2)
	}
	request.Header.Set("X-Sse-Topic", topics)
	stop, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(stop, func() { os.Exit(0) })
	for ; ; failures++ {
		why, atLeast, exactly := connect(request)
		longest := max(retry, min(30*time.Second, retry<<min(failures, 10)))
		wait := cmp.Or(exactly, max(atLeast, longest/2+rand.N(longest/2)))
		log.Printf("%v. Connecting again in %.1f s.", why, wait.Seconds())
		time.Sleep(wait)
	}
}
