package main

import (
	"bytes"
	"errors"
	"fmt"
)

// subscriber is one SSE response or WebSocket, and what it has got so far.
type subscriber struct {
	fd, number, topic int
	connected, open   bool
	inBody            bool
	framing           uint8
	headReader        headReader
	chunks            chunks
	frames            *frames
	scanner           scanner
	// opening keeps the stream's beginning while OpenAfter is looked for in it.
	opening []byte
	// warm is the last warm-up event seen.
	warm uint32
	// order is a digest of the order in which the publishers' events came: equal for all subscribers of a topic.
	order uint64
}

const (
	identity = iota
	chunked
	webSocket
)

// readSubscriber takes bytes that came for a subscriber.
func (r *run) readSubscriber(s *subscriber, data []byte) error {
	if !s.inBody {
		h, rest, done, err := s.headReader.read(data)
		if err != nil || !done {
			return err
		}
		want := 200
		if r.config.Transport == "websocket" {
			want = 101
		}
		if h.status != want {
			return fmt.Errorf("subscriber got status %d instead of %d: %.300q", h.status, want, data)
		}
		s.inBody = true
		switch {
		case want == 101:
			s.framing = webSocket
			s.frames = &frames{}
			for _, text := range r.config.WebsocketSend {
				text = string(bytes.ReplaceAll([]byte(text), []byte("{topic}"), []byte(topicName(s.topic))))
				if err := writeAll(s.fd, clientFrame(opText, []byte(text))); err != nil {
					return err
				}
			}
		case h.chunked:
			s.framing = chunked
		default:
			s.framing = identity
		}
		if r.config.OpenAfter == "" {
			r.opened(s)
		}
		data = rest
	}
	r.current = s
	switch s.framing {
	case chunked:
		done, err := s.chunks.read(data, r.onPayload)
		if err == nil && done {
			err = errors.New("the response ended")
		}
		return err
	case webSocket:
		return s.frames.read(data, r.onPayload, r.control)
	default:
		return r.payload(data)
	}
}

// control answers a control frame of the current subscriber's WebSocket.
func (r *run) control(opcode byte, payload []byte) error {
	switch opcode {
	case opPing:
		return writeAll(r.current.fd, clientFrame(opPong, payload))
	case opClose:
		return fmt.Errorf("the server closed the WebSocket: %q", payload)
	}
	return nil
}

// payload takes bytes of the current subscriber's stream, without framing.
func (r *run) payload(payload []byte) error {
	s := r.current
	if !s.open {
		s.opening = append(s.opening, payload...)
		if bytes.Contains(s.opening, []byte(r.config.OpenAfter)) {
			s.opening = nil
			r.opened(s)
		} else if len(s.opening) > maxHead {
			return fmt.Errorf("%q did not come: %.200q", r.config.OpenAfter, s.opening)
		}
	}
	return s.scanner.scan(payload, r.config.Size, r.onEvent)
}

// received checks one event at the current subscriber: its topic, its turn.
func (r *run) received(m mark) error {
	s := r.current
	if m.topic != s.topic {
		return fmt.Errorf("an event of topic %d came to a subscriber of topic %d", m.topic, s.topic)
	}
	if m.publisher == warmUp {
		if m.sequence <= s.warm {
			return fmt.Errorf("warm-up event %d came after %d", m.sequence, s.warm)
		}
		s.warm = m.sequence
		if m.sequence == r.warmRound {
			r.warmMissing--
		}
		return nil
	}
	if m.publisher >= r.config.Publishers {
		return fmt.Errorf("there is no publisher %d", m.publisher)
	}
	last := &r.last[s.number*r.config.Publishers+m.publisher]
	if m.sequence != *last+1 {
		what := "lost or out of order"
		if m.sequence <= *last {
			what = "repeated or out of order"
		}
		return fmt.Errorf("%s: subscriber %d got event %d of publisher %d on topic %d after %d",
			what, s.number, m.sequence, m.publisher, m.topic, *last)
	}
	*last = m.sequence
	s.order = s.order*1099511628211 + uint64(m.publisher) + 1
	return r.delivered(m)
}
