package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// MaxPublishers is one less than what a marker's publisher digit can say; the last value means warm-up.
const MaxPublishers = base - 1

// Request is a template of an HTTP request. In target, header values and body these are replaced:
// {topic} (the topic's name), {id} (unique in the run) and {data} (the event's data).
type Request struct {
	Method  string      `json:"method"`
	Target  string      `json:"target"`
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"`
}

// Config is a whole run. It is read from standard input as one JSON object.
type Config struct {
	// Mode is deliver, idle or dropped.
	Mode string `json:"mode"`
	// Address takes subscribers, PublishAddress publishers (Address when empty): an IPv4 address and port.
	Address string `json:"address"`
	// MoreAddresses take subscribers, too: all addresses have their turn, each has as many as the others.
	MoreAddresses  []string `json:"more_addresses"`
	PublishAddress string   `json:"publish_address"`
	// Transport is sse or websocket.
	Transport string  `json:"transport"`
	Subscribe Request `json:"subscribe"`
	// WebsocketSend are text messages sent once the WebSocket is open; {topic} is replaced.
	WebsocketSend []string `json:"websocket_send"`
	// OpenAfter is text in the stream that says that a subscriber is open; the response's head says it when empty.
	OpenAfter string  `json:"open_after"`
	Publish   Request `json:"publish"`
	// PublishStatus are the statuses of a publish with subscribers, DroppedStatus of one without.
	PublishStatus []int `json:"publish_status"`
	DroppedStatus []int `json:"dropped_status"`

	Subscribers int `json:"subscribers"`
	Topics      int `json:"topics"`
	// SoloTopics of the topics, the first ones, have one subscriber each; the others share the rest evenly.
	SoloTopics int `json:"solo_topics"`
	// PublishTopics of the topics, the first ones, are published to, in turn; 0 means all.
	PublishTopics int `json:"publish_topics"`
	Publishers    int `json:"publishers"`
	// Window is the number of events in flight: not yet with all their subscribers. 1 is one event at a time.
	Window int `json:"window"`
	// Rate in events a second makes the run an open loop: the window is ignored, latency counts from when an event
	// was due. 0 is a closed loop.
	Rate float64 `json:"rate"`
	// Size is the data of an event in bytes, 10 at least.
	Size int `json:"size"`
	// Seconds is how long events are published, or how long idle connections are held.
	Seconds float64 `json:"seconds"`
	// WarmUpRounds are published at least before the measurement; each is one event to every topic.
	WarmUpRounds int `json:"warm_up_rounds"`
	// Opening is the number of subscribers that connect at the same time; 0 means all.
	Opening int `json:"opening"`
	// SettleSeconds pass between the last subscriber's opening and the first publish.
	SettleSeconds float64 `json:"settle_seconds"`
	// First is the number of subscribers that are open before memory and accept cost are counted (mode idle).
	First int `json:"first"`
	// Pids are the server's processes.
	Pids []int `json:"pids"`
	// BesidePids are processes that work for the server; their processor time is reported on its own.
	BesidePids []int `json:"beside_pids"`
	// ProbeTarget is requested with GET every ProbeSeconds while events are delivered; its latency is reported.
	ProbeTarget  string  `json:"probe_target"`
	ProbeSeconds float64 `json:"probe_seconds"`
}

func readConfig(in io.Reader) (*Config, error) {
	config := &Config{
		Transport: "sse", Topics: 1, Publishers: 1, Window: 1, Size: 200, Seconds: 3, WarmUpRounds: 5,
		Opening: 200, First: 100, ProbeSeconds: 0.01,
	}
	decoder := json.NewDecoder(in)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(config); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if config.PublishAddress == "" {
		config.PublishAddress = config.Address
	}
	if config.PublishTopics == 0 {
		config.PublishTopics = config.Topics
	}
	switch {
	case config.Mode != "deliver" && config.Mode != "idle" && config.Mode != "dropped":
		return nil, fmt.Errorf("mode %q is none of deliver, idle, dropped", config.Mode)
	case config.Transport != "sse" && config.Transport != "websocket":
		return nil, fmt.Errorf("transport %q is neither sse nor websocket", config.Transport)
	case config.Publishers < 1 || config.Publishers > MaxPublishers:
		return nil, fmt.Errorf("publishers must be 1 to %d", MaxPublishers)
	case config.Size < markerSize:
		return nil, fmt.Errorf("size must be %d at least", markerSize)
	case config.Topics < 1 || config.Topics > base*base*base:
		return nil, errors.New("topics out of range")
	case config.Mode != "dropped" && config.Subscribers < config.Topics:
		return nil, errors.New("every topic needs a subscriber: subscribers must not be fewer than topics")
	case config.SoloTopics > config.Topics || config.PublishTopics > config.Topics:
		return nil, errors.New("solo_topics and publish_topics cannot be more than topics")
	case config.SoloTopics == config.Topics && config.Subscribers != config.Topics:
		return nil, errors.New("all topics are solo, but there are more subscribers than topics")
	case config.Window < 1:
		return nil, errors.New("window must be 1 at least")
	}
	return config, nil
}

// topicOf spreads subscribers over topics.
func (config *Config) topicOf(subscriber int) int {
	if subscriber < config.SoloTopics {
		return subscriber
	}
	shared := config.Topics - config.SoloTopics
	return config.SoloTopics + (subscriber-config.SoloTopics)%shared
}

func topicName(topic int) string {
	return "bench-" + strconv.Itoa(topic)
}

// render makes a request. Name and values come from this program, so nothing is escaped.
func (request *Request) render(out []byte, address, topic, id string, data []byte) []byte {
	fill := func(text string) string {
		if !strings.Contains(text, "{") {
			return text
		}
		return strings.NewReplacer("{topic}", topic, "{id}", id, "{address}", address).Replace(text)
	}
	out = append(out, request.Method...)
	out = append(out, ' ')
	out = append(out, fill(request.Target)...)
	out = append(out, " HTTP/1.1\r\nhost: "...)
	out = append(out, address...)
	out = append(out, "\r\n"...)
	for _, header := range request.Headers {
		out = append(out, header[0]...)
		out = append(out, ": "...)
		out = append(out, fill(header[1])...)
		out = append(out, "\r\n"...)
	}
	if request.Body == "" {
		return append(out, "\r\n"...)
	}
	before, after, _ := strings.Cut(request.Body, "{data}")
	before, after = fill(before), fill(after)
	out = append(out, "content-length: "...)
	out = strconv.AppendInt(out, int64(len(before)+len(data)+len(after)), 10)
	out = append(out, "\r\n\r\n"...)
	out = append(out, before...)
	out = append(out, data...)
	return append(out, after...)
}
